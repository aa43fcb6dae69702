//! Ctrl-C while a question is answered: nothing is lost by stopping at once.

use std::{
    io,
    process::exit,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use kalshi_orderbook::analysis::Interrupter;

use super::{
    failure::{self, Failure},
    signals::Signals,
};

/// Between a signal and the end, where the work does not end by itself.
const PATIENCE: Duration = Duration::from_millis(40);
/// The same while a file is written, so that it can be taken back.
const PATIENCE_WRITING: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(2);

/// From now on a signal stops what the analyzer does and ends the process with 130; files that are
/// not finished go. The thread waits for as long as the process lives.
#[expect(
    clippy::disallowed_methods,
    reason = "main may be reading or printing, and would hear of it only much later"
)]
pub(crate) fn end_at_signal(interrupter: Interrupter) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("start listening to signals")?;
    let listening = {
        let _inside = runtime.enter();
        Signals::listen().context("listen to signals")
    };
    let mut signals = listening?;
    let wait = move || {
        runtime.block_on(signals.next());
        let since = Instant::now();
        // Again and again, as a query may begin between.
        while since.elapsed() < PATIENCE
            || interrupter.is_writing() && since.elapsed() < PATIENCE_WRITING
        {
            interrupter.interrupt();
            thread::sleep(AGAIN);
        }
        interrupter.discard();
        failure::tell_interrupted(&mut io::stderr());
        exit(failure::INTERRUPTED.into())
    };
    thread::Builder::new().name("signals".into()).spawn(wait).context("start a thread")?;
    Ok(())
}
