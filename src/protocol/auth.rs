//! Request signing: RSA-PSS or Ed25519 over timestamp, method and path.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::Signer;
use rsa::{
    RsaPrivateKey,
    pkcs1::DecodeRsaPrivateKey,
    pkcs8::DecodePrivateKey,
    pss,
    sha2::Sha256,
    signature::{RandomizedSigner, SignatureEncoding},
    traits::PublicKeyParts,
};

/// A key id with its private key. Neither is ever printed.
#[derive(Clone)]
pub struct Credentials {
    key_id: String,
    key: PrivateKey,
}

#[derive(Clone)]
enum PrivateKey {
    Rsa(Box<pss::SigningKey<Sha256>>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// Why a private key cannot be used. Says nothing of the key's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text holds no PEM block.
    #[error("no PEM block (`-----BEGIN … PRIVATE KEY-----`) in it")]
    NotPem,
    /// A public key or certificate.
    #[error("it is a `{0}`, not a private key")]
    NotPrivate(&'static str),
    /// The key is protected by a password.
    #[error("it is encrypted with a password")]
    Encrypted,
    /// An elliptic-curve key in SEC1 or OpenSSH's own form.
    #[error("it is in the `{0}` form; the exchange takes RSA and Ed25519 in PKCS#1 or PKCS#8")]
    Unsupported(&'static str),
    /// An RSA key too short to be safe, or even to sign with.
    #[error("it is an RSA key of less than 1,024 bits; the exchange makes keys of 2,048")]
    TooShort,
    /// The PEM block does not hold a readable RSA or Ed25519 key.
    #[error("the PEM block holds no readable RSA or Ed25519 private key")]
    Malformed,
    /// The key id is empty or holds characters that no header may carry.
    #[error("the key id is empty or holds characters other than letters, digits and `-`")]
    KeyId,
}

/// The three headers of a signed request.
#[derive(Clone)]
pub struct AuthHeaders {
    /// `KALSHI-ACCESS-KEY`.
    pub key_id: String,
    /// `KALSHI-ACCESS-TIMESTAMP`, ms since the epoch.
    pub timestamp: String,
    /// `KALSHI-ACCESS-SIGNATURE`, base64.
    pub signature: String,
}

impl AuthHeaders {
    /// The headers' names and values.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [
            ("KALSHI-ACCESS-KEY", &self.key_id),
            ("KALSHI-ACCESS-TIMESTAMP", &self.timestamp),
            ("KALSHI-ACCESS-SIGNATURE", &self.signature),
        ]
    }
}

impl Credentials {
    /// Reads a PEM private key: RSA in PKCS#1 or PKCS#8, or Ed25519 in PKCS#8.
    ///
    /// Tolerates CRLF, a missing last newline, and the `\n` escapes of one-line variables.
    ///
    /// # Errors
    /// [`KeyError`] says which kind of wrong it is.
    pub fn new(key_id: &str, pem: &str) -> Result<Self, KeyError> {
        let key_id = key_id.trim();
        if key_id.is_empty() || !key_id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(KeyError::KeyId);
        }
        Ok(Self { key_id: key_id.to_owned(), key: PrivateKey::parse(pem)? })
    }

    /// Signs a request made at `timestamp_ms` (ms since the epoch).
    ///
    /// `path` starts at the API root and has no host and no query.
    #[must_use]
    pub fn sign(&self, method: &str, path: &str, timestamp_ms: i64) -> AuthHeaders {
        let timestamp = timestamp_ms.to_string();
        let path = path.split('?').next().unwrap_or(path);
        let text = format!("{timestamp}{method}{path}");
        let signature = match &self.key {
            PrivateKey::Rsa(key) => {
                key.sign_with_rng(&mut rsa::rand_core::OsRng, text.as_bytes()).to_vec()
            }
            PrivateKey::Ed25519(key) => key.sign(text.as_bytes()).to_vec(),
        };
        AuthHeaders {
            key_id: self.key_id.clone(),
            timestamp,
            signature: BASE64_STANDARD.encode(signature),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.key {
            PrivateKey::Rsa(_) => "RSA",
            PrivateKey::Ed25519(_) => "Ed25519",
        };
        write!(f, "Credentials({kind}, redacted)")
    }
}

impl fmt::Debug for AuthHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthHeaders(redacted)")
    }
}

impl PrivateKey {
    fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.replace("\\n", "\n").replace('\r', "");
        let start = text.find("-----BEGIN ").ok_or(KeyError::NotPem)?;
        let pem = text.get(start..).ok_or(KeyError::NotPem)?.trim_end();
        let label = pem
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.split("-----").next())
            .ok_or(KeyError::NotPem)?;
        match label {
            "RSA PRIVATE KEY" if pem.contains("ENCRYPTED") => Err(KeyError::Encrypted),
            "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_pem(pem)
                .map_err(|_| KeyError::Malformed)
                .and_then(Self::rsa),
            "PRIVATE KEY" => match RsaPrivateKey::from_pkcs8_pem(pem) {
                Ok(key) => Self::rsa(key),
                Err(_) => ed25519_dalek::SigningKey::from_pkcs8_pem(pem)
                    .map(|key| Self::Ed25519(Box::new(key)))
                    .map_err(|_| KeyError::Malformed),
            },
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::NotPrivate("public key")),
            "CERTIFICATE" => Err(KeyError::NotPrivate("certificate")),
            "OPENSSH PRIVATE KEY" => Err(KeyError::Unsupported("OpenSSH")),
            "EC PRIVATE KEY" => Err(KeyError::Unsupported("EC")),
            _ => Err(KeyError::Malformed),
        }
    }

    fn rsa(key: RsaPrivateKey) -> Result<Self, KeyError> {
        const BYTES_MIN: usize = 128;
        if key.size() < BYTES_MIN {
            return Err(KeyError::TooShort);
        }
        Ok(Self::Rsa(Box::new(pss::SigningKey::new(key))))
    }
}

#[cfg(test)]
mod tests {
    use rsa::{
        pkcs1::EncodeRsaPrivateKey,
        pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding},
        signature::Verifier,
    };

    use super::*;

    const PATH: &str = "/trade-api/ws/v2";

    fn rsa_key() -> RsaPrivateKey {
        RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap()
    }

    fn signature(headers: &AuthHeaders) -> Vec<u8> {
        BASE64_STANDARD.decode(&headers.signature).unwrap()
    }

    #[test]
    fn rsa_in_both_forms_signs_timestamp_method_path_with_pss() {
        let key = rsa_key();
        let verifier = pss::VerifyingKey::<Sha256>::new(key.to_public_key());
        let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).unwrap();
        let pkcs8 = key.to_pkcs8_pem(LineEnding::CRLF).unwrap();
        let one_line = pkcs1.trim_end().replace('\n', "\\n");
        for pem in [pkcs1.as_str(), pkcs8.as_str(), &one_line] {
            let credentials = Credentials::new(" key-1 ", pem).unwrap();
            let headers = credentials.sign("GET", &format!("{PATH}?x=1"), 1_703_123_456_789);
            assert_eq!((&*headers.key_id, &*headers.timestamp), ("key-1", "1703123456789"));
            let signature = pss::Signature::try_from(&*signature(&headers)).unwrap();
            verifier.verify(format!("1703123456789GET{PATH}").as_bytes(), &signature).unwrap();
        }
    }

    #[test]
    fn ed25519_signs_the_same_text() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
        let headers = Credentials::new("key-1", &pem).unwrap().sign("GET", PATH, 5);
        let signature = ed25519_dalek::Signature::from_slice(&signature(&headers)).unwrap();
        key.verifying_key().verify(format!("5GET{PATH}").as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_wrong_key_is_named_for_what_it_is() {
        let key = rsa_key();
        let public = key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
        let short = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 512).unwrap();
        let short = short.to_pkcs8_pem(LineEnding::LF).unwrap();
        let garbled = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (pem, expected) in [
            ("", KeyError::NotPem),
            ("hello", KeyError::NotPem),
            (garbled, KeyError::Malformed),
            (short.as_str(), KeyError::TooShort),
            ("-----BEGIN RSA PRIVATE KEY-----", KeyError::Malformed),
            (&public, KeyError::NotPrivate("public key")),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", KeyError::Encrypted),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", KeyError::Unsupported("OpenSSH")),
        ] {
            assert_eq!(Credentials::new("key-1", pem).unwrap_err(), expected);
        }
        let pem = key.to_pkcs1_pem(LineEnding::LF).unwrap();
        assert_eq!(Credentials::new("a b", &pem).unwrap_err(), KeyError::KeyId);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let pem = rsa_key().to_pkcs1_pem(LineEnding::LF).unwrap();
        let credentials = Credentials::new("key-1", &pem).unwrap();
        let headers = credentials.sign("GET", PATH, 5);
        let printed = format!("{credentials:?} {headers:?}");
        assert_eq!(printed, "Credentials(RSA, redacted) AuthHeaders(redacted)");
    }
}
