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
