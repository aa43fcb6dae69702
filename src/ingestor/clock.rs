//! Receive times: wall clock, anchored to the monotonic clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Error;

/// A wall clock that is set by more than this is reported as a step, not followed.
const STEP_NS: i64 = 100_000_000;
/// How far a check may bend the clock towards the wall clock: 500 ppm of a check each second,
/// the rate NTP itself uses.
const SLEW_NS: i64 = 500_000;

/// The clock of one connection. Its times never fall.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    anchor: Instant,
    anchor_ns: i64,
    stepped_ns: i64,
    last: Instant,
    last_ns: i64,
}

impl Clock {
    /// Starts from the system's clocks.
    pub(super) fn start() -> Self {
        Self::at(Instant::now(), wall_ns())
    }

    fn at(anchor: Instant, anchor_ns: i64) -> Self {
        Self { anchor, anchor_ns, stepped_ns: 0, last: anchor, last_ns: anchor_ns }
    }

    /// The time at `now`, ns since the epoch.
    pub(super) fn ns(&mut self, now: Instant) -> i64 {
        // One time is asked for again and again, by all frames of one read.
        if now != self.last {
            self.last = now;
            self.last_ns = self.last_ns.max(self.anchored(now));
        }
        self.last_ns
    }

    /// Compares with the wall clock, once a second: follows its drift, and returns a step.
    pub(super) fn check(&mut self) -> Option<i64> {
        // Read side by side: what passes between them would look like a step.
        self.compare(Instant::now(), wall_ns())
    }

    fn compare(&mut self, now: Instant, wall_ns: i64) -> Option<i64> {
        let ours = self.anchored(now);
        let error = wall_ns.saturating_sub(ours).saturating_sub(self.stepped_ns);
        let step = error.abs() > STEP_NS;
        if step {
            self.stepped_ns = self.stepped_ns.saturating_add(error);
        }
        self.anchor = now;
        self.anchor_ns = if step { ours } else { ours + error.clamp(-SLEW_NS, SLEW_NS) };
        step.then_some(error)
    }

    fn anchored(&self, now: Instant) -> i64 {
        // What arrived before the anchor may be looked at after it.
        let ns = |later: Instant, earlier| {
            i64::try_from(later.saturating_duration_since(earlier).as_nanos()).unwrap_or(i64::MAX)
        };
        self.anchor_ns.saturating_add(ns(now, self.anchor)).saturating_sub(ns(self.anchor, now))
    }
}

/// The wall clock, ns since the epoch.
#[expect(clippy::disallowed_methods, reason = "this is the edge at which the clock is read")]
pub(super) fn wall_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}

/// A new session's id: 48 random bits in hex.
pub(super) fn session_id() -> Result<String, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn drift_is_followed_and_time_never_falls() {
        let start = Instant::now();
        let mut clock = Clock::at(start, 0);
        let mut last = 0;
        // The wall clock runs 100 ppm slow.
        for second in 1..1_000 {
            let now = start + Duration::from_secs(second);
            let wall = i64::try_from(second).unwrap() * (SECOND - 100_000);
            assert_eq!(clock.compare(now, wall), None);
            let ns = clock.ns(now);
            assert!(ns >= last && (ns - wall).abs() < 1_000_000, "{ns} {wall}");
            last = ns;
        }
    }

    #[test]
    fn what_arrived_before_a_check_keeps_its_time() {
        let start = Instant::now();
        let mut clock = Clock::at(start, 1_000 * SECOND);
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(clock.compare(at(2), 1_002 * SECOND), None);
        assert_eq!(clock.ns(at(1)), 1_001 * SECOND);
    }

    #[test]
    fn a_step_is_reported_once_and_not_followed() {
        let start = Instant::now();
        let mut clock = Clock::at(start, 1_000 * SECOND);
        let at = |second| start + Duration::from_secs(second);
        assert_eq!(clock.compare(at(1), 1_001 * SECOND), None);
        assert_eq!(clock.compare(at(2), 997 * SECOND), Some(-5 * SECOND));
        assert_eq!(clock.compare(at(3), 998 * SECOND), None);
        assert_eq!(clock.ns(at(4)), 1_004 * SECOND);
        assert_eq!(clock.compare(at(5), 1_005 * SECOND), Some(5 * SECOND));
        assert_eq!(clock.ns(at(5)), 1_005 * SECOND);
    }
}
