//! How much of the machine a question may use.

use std::num::NonZero;

use clap::Args;
use kalshi_orderbook::analysis::Options;

/// Less than this is no help: nothing of any size could be sorted.
const MEMORY_BYTES_MIN: u64 = 64_000_000;
const UNITS: [(&str, u64); 9] = [
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("B", 1),
];

/// How much of the machine a question may use.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Memory for queries, such as 4GB or 512MiB; beyond it they use temporary files [default: 80% of the machine's]
    #[arg(long, global = true, value_name = "SIZE", env = "KALSHI_MEMORY", value_parser = bytes)]
    memory: Option<u64>,
    /// Threads [default: one a core]
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "KALSHI_THREADS",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: Option<u16>,
}

impl Limits {
    pub(crate) fn options(self) -> Options {
        Options {
            memory_bytes: self.memory,
            threads: self.threads.and_then(|threads| NonZero::new(usize::from(threads))),
        }
    }
}

/// Reads `4GB`, `1.5 GiB` or `512m` as bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "a size is a number and a unit, such as 512MB, 4GB or 1.5GiB".to_owned();
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut unit = unit.trim().to_ascii_uppercase();
    if unit.len() == 1 && unit != "B" {
        unit += "B";
    }
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
    let whole: u64 = whole.parse().map_err(|_| expected())?;
    let tenths: u64 = match fraction {
        "" => 0,
        digits => digits.get(..1).and_then(|digit| digit.parse().ok()).ok_or_else(expected)?,
    };
    let bytes = whole.checked_mul(*scale).and_then(|bytes| bytes.checked_add(scale * tenths / 10));
    match bytes {
        Some(bytes) if bytes < MEMORY_BYTES_MIN => Err("less than 64MB is too little".into()),
        Some(bytes) => Ok(bytes),
        None => Err(format!("`{text}` is too much")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let sizes = [
            ("4GB", 4_000_000_000),
            ("1.5 GiB", 1_610_612_736),
            ("512m", 512_000_000),
            ("64000000b", 64_000_000),
        ];
        for (text, expected) in sizes {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "4", "GB", "-4GB", "4XB", "1.GB.", "1MB", "0GB", "99999999999TB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
