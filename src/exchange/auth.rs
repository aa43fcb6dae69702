//! Who may connect: the exchange's check of a signed request.

use base64::{Engine, prelude::BASE64_STANDARD};
use rsa::{pss, signature::Verifier};

use super::key::PublicKey;

/// A request's time may differ from the exchange's by this much.
pub(super) const CLOCK_WINDOW_MS: i64 = 5_000;

/// The three headers of a signed request, as they came.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signed<'a> {
    /// `KALSHI-ACCESS-KEY`.
    pub(super) key_id: Option<&'a str>,
    /// `KALSHI-ACCESS-TIMESTAMP`.
    pub(super) timestamp: Option<&'a str>,
    /// `KALSHI-ACCESS-SIGNATURE`.
    pub(super) signature: Option<&'a str>,
}

/// Why a request is refused with 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unauthorized {
    /// A header is missing.
    Unsigned,
    /// The time is outside the window, or no time at all.
    Expired,
    /// No such key id.
    UnknownKey,
    /// The signature is not that of this key over this text.
    WrongSignature,
}

impl Unauthorized {
    /// The body of the answer.
    #[must_use]
    pub(super) const fn body(self) -> &'static str {
        match self {
            Self::Unsigned => concat!(
                r#"{"error":{"code":"signature_is_missing_from_headers","#,
                r#""message":"signature is missing from headers"}}"#
            ),
            Self::Expired => concat!(
                r#"{"error":{"code":"header_timestamp_expired","#,
                r#""message":"header timestamp expired"}}"#
            ),
            Self::UnknownKey => concat!(
                r#"{"error":{"code":"authentication_error","#,
                r#""message":"authentication_error","details":"NOT_FOUND"}}"#
            ),
            Self::WrongSignature => concat!(
                r#"{"error":{"code":"authentication_error","message":"authentication_error","#,
                r#""details":"INCORRECT_API_KEY_SIGNATURE"}}"#
            ),
        }
    }
}

/// Checks a GET of `path` (without query) that came at `now_ms`.
///
/// # Errors
/// The first fault found, in the order of [`Unauthorized`]'s variants.
pub(super) fn check(
    signed: Signed<'_>,
    path: &str,
    key_id: &str,
    key: &PublicKey,
    now_ms: i64,
) -> Result<(), Unauthorized> {
    let (Some(given_id), Some(timestamp), Some(signature)) =
        (signed.key_id, signed.timestamp, signed.signature)
    else {
        return Err(Unauthorized::Unsigned);
    };
    let sent_ms: i64 = timestamp.parse().map_err(|_| Unauthorized::Expired)?;
    if now_ms.abs_diff(sent_ms) > CLOCK_WINDOW_MS.unsigned_abs() {
        return Err(Unauthorized::Expired);
    }
    if given_id != key_id {
        return Err(Unauthorized::UnknownKey);
    }
    let text = format!("{timestamp}GET{path}");
    let signature = BASE64_STANDARD.decode(signature).ok();
    let good = signature.is_some_and(|signature| match key {
        PublicKey::Rsa(key) => pss::Signature::try_from(signature.as_slice())
            .is_ok_and(|signature| key.verify(text.as_bytes(), &signature).is_ok()),
        PublicKey::Ed25519(key) => ed25519_dalek::Signature::from_slice(&signature)
            .is_ok_and(|signature| key.verify_strict(text.as_bytes(), &signature).is_ok()),
    });
    if good { Ok(()) } else { Err(Unauthorized::WrongSignature) }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signer;
    use rsa::{
        RsaPrivateKey,
        pkcs1::DecodeRsaPrivateKey,
        pkcs8::{EncodePublicKey, LineEnding},
        rand_core::OsRng,
        sha2::Sha256,
        signature::{RandomizedSigner, SignatureEncoding},
    };

    use super::*;
    use crate::exchange::key::{KeyKind, Keys};

    const PATH: &str = "/trade-api/ws/v2";
    const NOW_MS: i64 = 1_703_123_456_789;

    fn check_at(
        signature: &[u8],
        id: &str,
        sent_ms: i64,
        key: &PublicKey,
    ) -> Result<(), Unauthorized> {
        let (timestamp, signature) = (sent_ms.to_string(), BASE64_STANDARD.encode(signature));
        let signed =
            Signed { key_id: Some(id), timestamp: Some(&timestamp), signature: Some(&signature) };
        check(signed, PATH, "key-1", key, NOW_MS)
    }

    #[test]
    fn only_this_key_over_this_text_at_this_time_is_let_in() {
        let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let key = PublicKey::Ed25519(secret.verifying_key());
        let sign = |text: &str| secret.sign(text.as_bytes()).to_bytes();
        let at = |ms: i64| sign(&format!("{ms}GET{PATH}"));
        let (expired, wrong) = (Err(Unauthorized::Expired), Err(Unauthorized::WrongSignature));
        for (signature, id, ms, expected) in [
            (at(NOW_MS), "key-1", NOW_MS, Ok(())),
            (at(NOW_MS - 5_000), "key-1", NOW_MS - 5_000, Ok(())),
            (at(NOW_MS + 5_000), "key-1", NOW_MS + 5_000, Ok(())),
            (at(NOW_MS - 5_001), "key-1", NOW_MS - 5_001, expired),
            (at(NOW_MS + 5_001), "key-1", NOW_MS + 5_001, expired),
            (at(NOW_MS / 1_000), "key-1", NOW_MS / 1_000, expired),
            (at(NOW_MS), "key-2", NOW_MS, Err(Unauthorized::UnknownKey)),
            (at(NOW_MS + 1), "key-1", NOW_MS, wrong),
            (sign(&format!("{NOW_MS}POST{PATH}")), "key-1", NOW_MS, wrong),
            (sign(&format!("{NOW_MS}GET{PATH}?x=1")), "key-1", NOW_MS, wrong),
            (sign(&format!("{NOW_MS}GETws://host{PATH}")), "key-1", NOW_MS, wrong),
            ([0; 64], "key-1", NOW_MS, wrong),
        ] {
            assert_eq!(check_at(&signature, id, ms, &key), expected, "{id} {ms}");
        }
        assert_eq!(check_at(b"short", "key-1", NOW_MS, &key), wrong);
        for missing in 0..3 {
            let field = |n, value| (n != missing).then_some(value);
            let signed = Signed {
                key_id: field(0, "k"),
                timestamp: field(1, "1"),
                signature: field(2, "A"),
            };
            let refused = check(signed, PATH, "key-1", &key, NOW_MS);
            assert_eq!(refused, Err(Unauthorized::Unsigned));
        }
    }

    #[test]
    fn rsa_signatures_need_a_salt_of_the_digests_length() {
        let keys = Keys::make(&KeyKind::Rsa).unwrap();
        let secret = RsaPrivateKey::from_pkcs1_pem(&keys.private_pem.unwrap()).unwrap();
        let public_pem = secret.to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
        let given = KeyKind::Given { key_id: "key-1".to_owned(), public_pem };
        let text = format!("{NOW_MS}GET{PATH}");
        let wrong = Err(Unauthorized::WrongSignature);
        for (salt, expected) in [(32, Ok(())), (20, wrong), (0, wrong), (222, wrong)] {
            let signer = pss::SigningKey::<Sha256>::new_with_salt_len(secret.clone(), salt);
            let signature = signer.sign_with_rng(&mut OsRng, text.as_bytes()).to_vec();
            for key in [&keys.public, &Keys::make(&given).unwrap().public] {
                assert_eq!(check_at(&signature, "key-1", NOW_MS, key), expected, "salt {salt}");
            }
        }
    }

    #[test]
    fn refusals_are_the_documented_bodies() {
        for (fault, code, details) in [
            (Unauthorized::Unsigned, "signature_is_missing_from_headers", None),
            (Unauthorized::Expired, "header_timestamp_expired", None),
            (Unauthorized::UnknownKey, "authentication_error", Some("NOT_FOUND")),
            (
                Unauthorized::WrongSignature,
                "authentication_error",
                Some("INCORRECT_API_KEY_SIGNATURE"),
            ),
        ] {
            let body: serde_json::Value = serde_json::from_str(fault.body()).unwrap();
            assert_eq!(body["error"]["code"], code);
            assert_eq!(body["error"]["details"].as_str(), details);
            assert!(body["error"]["message"].is_string());
        }
    }
}
