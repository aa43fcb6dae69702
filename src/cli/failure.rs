//! How a failure is told: the chain of causes once, then what can be done about it.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use super::common::tame;

/// How a key in PEM begins. No text with it in it is printed.
pub(crate) const PEM_START: &str = "-----BEGIN";

/// The exit code of what a signal stopped.
pub(crate) const INTERRUPTED: u8 = 130;

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
        let code = code(&error);
        Self { error, hint, code }
    }
}

/// 2 where the library refuses what was typed.
fn code(error: &anyhow::Error) -> u8 {
    use kalshi_orderbook::ingestor::Error;
    #[cfg(feature = "duckdb")]
    match error.downcast_ref() {
        Some(kalshi_orderbook::analysis::Error::Interrupted) => return INTERRUPTED,
        Some(kalshi_orderbook::analysis::Error::Suffix(_)) => return 2,
        _ => {}
    }
    match error.downcast_ref() {
        Some(Error::NoTickers | Error::Setting { .. }) => 2,
        _ => 1,
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

/// Prints a failure. Standard output whose reader has gone away, as `head` does, is none; a closed
/// pipe that is the cause of something else is.
pub(crate) fn report(failure: &Failure, out: &mut impl Write) -> ExitCode {
    let outermost = failure.error.chain().next().and_then(|error| error.downcast_ref());
    if outermost.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    if failure.code == INTERRUPTED {
        tell_interrupted(out);
        return ExitCode::from(INTERRUPTED);
    }
    // DuckDB's errors have a number for a cause, which says nothing.
    let causes = failure.error.chain().map(ToString::to_string);
    let causes: Vec<_> = causes.filter(|cause| !cause.starts_with("Error code ")).collect();
    // Nothing is left to be done where standard error itself is closed.
    drop(writeln!(out, "error: {}", safe(causes.join(": "))));
    if let Some(hint) = &failure.hint {
        for line in hint.lines() {
            drop(writeln!(out, "hint: {}", tame(line)));
        }
    }
    ExitCode::from(failure.code)
}

/// Says, once, that a signal has ended the work.
pub(crate) fn tell_interrupted(out: &mut impl Write) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        drop(writeln!(out, "interrupted"));
    }
}

/// The text, unless it quotes a key that was put where something else belongs.
fn safe(text: String) -> String {
    if text.contains(PEM_START) {
        "a private key is where it does not belong; it is not shown".to_owned()
    } else {
        tame(&text)
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
