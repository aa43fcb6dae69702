//! What asks the program to stop.

/// Completes at the next SIGINT (Ctrl-C) or, on Unix, SIGTERM. Not at SIGHUP: listening to it would
/// undo `nohup`, which ignores it.
///
/// Made before the work starts, so that no signal is missed between.
pub(crate) struct Signals {
    #[cfg(unix)]
    unix: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    /// Starts listening. Needs a running tokio.
    #[cfg(unix)]
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let [interrupt, terminate] = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
        Ok(Self { unix: [interrupt?, terminate?] })
    }

    /// Starts listening. Needs a running tokio.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// The next signal.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.unix;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    /// The next signal.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
