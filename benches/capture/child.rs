//! The clients' processes: what they use of the machine, and how they are stopped.

use std::{
    fs,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(300);

/// User and system seconds of all children that were waited for, in steps of 10 ms; not a number
/// where the system does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything: state first, then as in proc(5).
    let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(13);
    let mut ticks = || fields.next().and_then(|ticks| ticks.parse::<f64>().ok());
    match (ticks(), ticks()) {
        (Some(user), Some(system)) => (user + system) / TICKS_PER_SECOND,
        _ => f64::NAN,
    }
}

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

/// Resident bytes now and at the most; nothing where the system does not tell.
pub(crate) fn resident(child: &Child) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let bytes = |name: &str| {
        let kilobytes = status.split_once(name)?.1.split_whitespace().next()?;
        Some(kilobytes.parse::<u64>().ok()? << 10)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}
