//! Flags that every subcommand has.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};

/// Flags that every subcommand has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Folder of the recordings
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "KALSHI_LOG_DIR",
        default_value = "./logs"
    )]
    pub(crate) log_dir: PathBuf,
    /// Folder of the lake that analysis makes of the recordings [default: DIR/lake]
    #[arg(long, global = true, value_name = "DIR", env = "KALSHI_LAKE_DIR")]
    pub(crate) lake_dir: Option<PathBuf>,
    /// How answers are printed: `table` on a terminal, else `csv`
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Exit with 3 when an answer, or the recording, has holes
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// How progress and warnings are printed on standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

impl Common {
    /// The format asked for, else what suits where the output goes.
    pub(crate) fn answer_format(&self) -> Format {
        let fitting = if io::stdout().is_terminal() { Format::Table } else { Format::Csv };
        self.format.unwrap_or(fitting)
    }
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For reading
    Table,
    /// One JSON value
    Json,
    /// With a header line
    Csv,
}

/// How progress and warnings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For reading
    Text,
    /// One JSON object a line
    Json,
}

/// A text without what a terminal would obey: names and titles may come from anywhere.
pub(crate) fn tame(text: &str) -> String {
    let shown = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() && c != '\n' => '\u{fffd}',
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// Prints a warning on standard error.
pub(crate) fn warn(common: &Common, text: &str) {
    let line = match common.log_format {
        LogFormat::Text => format!("warning: {}", tame(text)),
        LogFormat::Json => serde_json::json!({ "level": "warn", "message": text }).to_string(),
    };
    // Nothing is left to be done where standard error itself is closed.
    drop(writeln!(io::stderr(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_to_do() {
        assert_eq!(tame("a\u{1b}[31m\tb\r\nc\u{7}"), "a\u{fffd}[31m b\nc\u{fffd}");
    }
}
