//! The clients' processes: how they are stopped.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks for an orderly end, as Ctrl-C would.
pub(crate) fn stop(child: &Child) {
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success(), "{status}");
}

/// Waits for a good end.
pub(crate) fn wait(child: &mut Child) {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("a client does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
