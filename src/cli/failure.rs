//! How a failure is told: the chain of causes once, then what can be done about it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// How a key in PEM begins. No text with it in it is printed.
pub(crate) const PEM_START: &str = "-----BEGIN";

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
        let code = if is_usage(&error) { 2 } else { 1 };
        Self { error, hint, code }
    }
}

/// Whether the library refuses what was typed.
fn is_usage(error: &anyhow::Error) -> bool {
    use kalshi_orderbook::ingestor::Error;
    matches!(error.downcast_ref(), Some(Error::NoTickers | Error::Setting { .. }))
}

/// What the library knows about a remedy.
fn hint(error: &anyhow::Error) -> Option<String> {
    #[cfg(feature = "duckdb")]
    if let Some(error) = error.downcast_ref::<kalshi_orderbook::analysis::Error>() {
        return error.hint();
    }
    error.downcast_ref::<kalshi_orderbook::ingestor::Error>()?.hint()
}

/// Prints a failure. Standard output whose reader has gone away, as `head` does, is none; a closed
/// pipe that is the cause of something else is.
pub(crate) fn report(failure: &Failure, out: &mut impl Write) -> ExitCode {
    let outermost = failure.error.chain().next().and_then(|error| error.downcast_ref());
    if outermost.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to be done where standard error itself is closed.
    drop(writeln!(out, "error: {}", safe(format!("{:#}", failure.error))));
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            drop(writeln!(out, "hint: {line}"));
        }
    }
    ExitCode::from(failure.code)
}

/// The text, unless it quotes a key that was put where something else belongs.
fn safe(text: String) -> String {
    if text.contains(PEM_START) {
        "a private key is where it does not belong; it is not shown".to_owned()
    } else {
        text
    }
}

/// Prints a usage error, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if error.to_string().contains(PEM_START) && error.use_stderr() {
        drop(writeln!(io::stderr(), "error: {}", safe(error.to_string())));
    } else {
        drop(error.print());
    }
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
