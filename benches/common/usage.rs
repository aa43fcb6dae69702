//! What processes use of the machine, where the system tells.

use std::fs;

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

/// Resident bytes of a process now and at the most.
pub(crate) fn resident(process: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let bytes = |name: &str| {
        let kilobytes = status.split_once(name)?.1.split_whitespace().next()?;
        Some(kilobytes.parse::<u64>().ok()? << 10)
    };
    Some((bytes("VmRSS:")?, bytes("VmHWM:")?))
}
