//! The key a client signs with, and the half of it the exchange keeps.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use rsa::{
    RsaPrivateKey, RsaPublicKey,
    pkcs1::{DecodeRsaPublicKey, EncodeRsaPrivateKey},
    pkcs8::{DecodePublicKey, EncodePrivateKey},
    pss,
    rand_core::{OsRng, RngCore},
    sha2::Sha256,
};

/// Whose signatures the exchange accepts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyKind {
    /// A throw-away Ed25519 key, made at once.
    #[default]
    Ed25519,
    /// A throw-away RSA key of 2048 bits; making it takes up to seconds.
    Rsa,
    /// A key somebody holds: its id, and its public half in PEM.
    Given {
        /// The key id.
        key_id: String,
        /// RSA or Ed25519, as `PUBLIC KEY` or `RSA PUBLIC KEY`.
        public_pem: String,
    },
}

/// A key pair's id and public half, with the private half if it was made here.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) key_id: String,
    pub(super) public: PublicKey,
    pub(super) private_pem: Option<String>,
}

/// What signatures are checked with.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    /// RSA-PSS with SHA-256 and a salt of 32 bytes.
    Rsa(pss::VerifyingKey<Sha256>),
    /// Plain Ed25519.
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A key could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("no usable key: {0}")]
pub(super) struct KeyFault(&'static str);

impl PublicKey {
    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// [`KeyFault`] when it is neither an RSA nor an Ed25519 public key.
    pub(super) fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let rsa = || {
            RsaPublicKey::from_public_key_pem(pem).ok().or(RsaPublicKey::from_pkcs1_pem(pem).ok())
        };
        let ed25519 = || ed25519_dalek::VerifyingKey::from_public_key_pem(pem).ok();
        let rsa = rsa().map(|key| Self::Rsa(pss::VerifyingKey::new(key)));
        rsa.or_else(|| ed25519().map(Self::Ed25519))
            .ok_or(KeyFault("the PEM holds no RSA or Ed25519 public key"))
    }
}

impl Keys {
    pub(super) fn make(kind: &KeyKind) -> Result<Self, KeyFault> {
        let key_id = "00000000-0000-4000-8000-5a6d62780001".to_owned();
        match kind {
            KeyKind::Ed25519 => {
                let mut secret = [0; 32];
                OsRng.fill_bytes(&mut secret);
                let key = ed25519_dalek::SigningKey::from_bytes(&secret);
                let pem = key.to_pkcs8_pem(LineEnding::LF);
                let pem = pem.map_err(|_| KeyFault("an Ed25519 key could not be written"))?;
                let public = PublicKey::Ed25519(key.verifying_key());
                Ok(Self { key_id, public, private_pem: Some(pem.to_string()) })
            }
            KeyKind::Rsa => {
                let key = RsaPrivateKey::new(&mut OsRng, 2048);
                let key = key.map_err(|_| KeyFault("an RSA key could not be made"))?;
                let pem = key.to_pkcs1_pem(LineEnding::LF);
                let pem = pem.map_err(|_| KeyFault("an RSA key could not be written"))?;
                let public = PublicKey::Rsa(pss::VerifyingKey::new(key.to_public_key()));
                Ok(Self { key_id, public, private_pem: Some(pem.to_string()) })
            }
            KeyKind::Given { key_id, public_pem } => {
                let public = PublicKey::from_pem(public_pem)?;
                Ok(Self { key_id: key_id.clone(), public, private_pem: None })
            }
        }
    }
}
