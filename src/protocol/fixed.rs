//! Decimal text to integer and back, exactly.

use std::fmt;

/// Why a decimal text is not a number of the wanted scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FixedError {
    /// Not `[-]digits[.digits]`.
    #[error("not a decimal number")]
    Malformed,
    /// More non-zero decimals than the scale holds; rounding would lose them.
    #[error("finer than the scale allows")]
    TooFine,
    /// Outside the range of the type.
    #[error("out of range")]
    OutOfRange,
}

/// Parses `text` as an integer of `10^-places`.
pub(super) fn parse(text: &str, places: u32) -> Result<i64, FixedError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value = 0_i64;
    let mut digits = digits.bytes();
    let mut before = 0;
    let mut point = false;
    for byte in digits.by_ref() {
        if byte == b'.' {
            point = true;
            break;
        }
        value = push_digit(value, byte)?;
        before += 1;
    }
    if before == 0 || (point && digits.len() == 0) {
        return Err(FixedError::Malformed);
    }
    let mut left = places;
    for digit in digits {
        if left > 0 {
            value = push_digit(value, digit)?;
            left -= 1;
        } else if digit != b'0' {
            return Err(if digit.is_ascii_digit() {
                FixedError::TooFine
            } else {
                FixedError::Malformed
            });
        }
    }
    for _ in 0..left {
        value = push_digit(value, b'0')?;
    }
    Ok(if negative { -value } else { value })
}

fn push_digit(value: i64, digit: u8) -> Result<i64, FixedError> {
    if !digit.is_ascii_digit() {
        return Err(FixedError::Malformed);
    }
    value
        .checked_mul(10)
        .and_then(|v| v.checked_add(i64::from(digit - b'0')))
        .ok_or(FixedError::OutOfRange)
}

/// Writes `value` as an integer of `10^-places`, always with `places` decimals.
pub(super) fn write(f: &mut fmt::Formatter<'_>, value: i64, places: u32) -> fmt::Result {
    let scale = 10_u64.pow(places);
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    let width = usize::try_from(places).map_err(|_| fmt::Error)?;
    f.pad(&format!("{sign}{}.{:0width$}", magnitude / scale, magnitude % scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, places, expected) in [
            ("0.4700", 4, Ok(4_700)),
            ("0.47", 4, Ok(4_700)),
            ("0.080", 4, Ok(800)),
            ("0.470000", 4, Ok(4_700)),
            ("1", 4, Ok(10_000)),
            ("-54.00", 2, Ok(-5_400)),
            ("90121.34", 2, Ok(9_012_134)),
            ("0.29", 2, Ok(29)),
            ("92233720368547758.07", 2, Ok(i64::MAX)),
            ("92233720368547758.08", 2, Err(FixedError::OutOfRange)),
            ("0.47001", 4, Err(FixedError::TooFine)),
            ("0.4700x", 4, Err(FixedError::Malformed)),
            ("", 4, Err(FixedError::Malformed)),
            (".5", 4, Err(FixedError::Malformed)),
            ("5.", 4, Err(FixedError::Malformed)),
            ("-", 4, Err(FixedError::Malformed)),
            ("1e3", 2, Err(FixedError::Malformed)),
            ("+1", 2, Err(FixedError::Malformed)),
            (" 1", 2, Err(FixedError::Malformed)),
            ("١", 2, Err(FixedError::Malformed)),
        ] {
            assert_eq!(parse(text, places), expected, "{text:?}");
        }
    }
}
