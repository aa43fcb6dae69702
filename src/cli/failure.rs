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
    code: u8,
}

impl Failure {
    /// A failure in what was typed: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { error: anyhow::Error::msg(message.into()), hint: None, code: 2 }
    }

    /// Adds what the user can do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let hint = hint(&error);
        Self { error, hint, code: 1 }
    }
}

/// What the library knows about a remedy.
fn hint(error: &anyhow::Error) -> Option<String> {
    #[cfg(feature = "duckdb")]
    if let Some(error) = error.downcast_ref::<kalshi_orderbook::analysis::Error>() {
        return error.hint();
    }
    error.downcast_ref::<kalshi_orderbook::ingestor::Error>()?.hint()
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
    ExitCode::from(failure.code)
}

/// Prints a usage error, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    drop(error.print());
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
