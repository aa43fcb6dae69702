//! How a failure is told: the chain of causes once, then what can be done about it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// A failure with its hint.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// Adds what the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        #[cfg(feature = "duckdb")]
        let hint = error
            .downcast_ref::<kalshi_orderbook::analysis::Error>()
            .and_then(kalshi_orderbook::analysis::Error::hint);
        #[cfg(not(feature = "duckdb"))]
        let hint = None;
        Self { error, hint }
    }
}

/// Prints a failure. A reader that has gone away, as `head` does, is none.
pub(crate) fn report(failure: &Failure, out: &mut impl Write) -> ExitCode {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if failure.error.chain().any(gone) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to be done where standard error itself is closed.
    drop(writeln!(out, "error: {:#}", failure.error));
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            drop(writeln!(out, "hint: {line}"));
        }
    }
    ExitCode::from(1)
}

/// Prints a usage error, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
