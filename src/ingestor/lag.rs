//! Whether frames come later and later.
//!
//! The exchange says when it queued a frame. Its clock and ours differ by an unknown amount, so a
//! frame's age means nothing by itself; but the smallest age that was seen lately is that of a frame
//! that came straight through, and what a frame is older than that, it has waited on its way.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The smallest age counts for one to two of these, so that clocks may drift apart.
const WINDOW: Duration = Duration::from_secs(300);

/// The ages of one connection's frames, in ms and up to a constant.
#[derive(Debug)]
pub(super) struct Lag {
    limit: Duration,
    limit_ms: i64,
    start: Instant,
    window: Instant,
    /// The smallest age of this window, and of this and the one before.
    least: i64,
    least_lately: i64,
    /// By subscription, as some may be late where others are in time.
    last_sending: HashMap<Option<u64>, i64>,
    late: Option<Late>,
}

/// Frames come late.
#[derive(Debug)]
struct Late {
    /// The most that one was behind, in ms.
    most: i64,
    /// When the last one came.
    last: Instant,
}

/// A change worth writing down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// A frame is this many ms behind, for the first time.
    Behind(i64),
    /// Frames come in time again; they were at most this many ms behind.
    CaughtUp(i64),
}

impl Lag {
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        Self {
            limit,
            limit_ms: i64::try_from(limit.as_millis()).unwrap_or(i64::MAX),
            start: now,
            window: now,
            least: i64::MAX,
            least_lately: i64::MAX,
            last_sending: HashMap::new(),
            late: None,
        }
    }

    /// A frame of the subscription `sid` came that was queued at `sending_ms` by the exchange's
    /// clock.
    pub(super) fn frame(
        &mut self,
        sid: Option<u64>,
        sending_ms: i64,
        now: Instant,
    ) -> Option<Turn> {
        let since_start = now.saturating_duration_since(self.start).as_millis();
        let age = i64::try_from(since_start).unwrap_or(i64::MAX).saturating_sub(sending_ms);
        let last = self.last_sending.insert(sid, sending_ms).unwrap_or(sending_ms);
        let back = last.saturating_sub(sending_ms);
        if back >= self.limit_ms / 2 {
            // Within a subscription frames keep their order but for a little: the exchange's clock
            // went back.
            self.least = self.least.saturating_add(back);
            self.least_lately = self.least_lately.saturating_add(back);
        }
        self.least = self.least.min(age);
        self.least_lately = self.least_lately.min(age);
        let behind = age.saturating_sub(self.least_lately);
        let Some(late) = &mut self.late else {
            if behind >= self.limit_ms {
                self.late = Some(Late { most: behind, last: now });
                return Some(Turn::Behind(behind));
            }
            self.turn_window(now);
            return None;
        };
        // Not at the limit itself, around which it would come and go.
        if behind >= self.limit_ms / 2 {
            *late = Late { most: behind.max(late.most), last: now };
            return None;
        }
        // Other subscriptions may still be late.
        if now.saturating_duration_since(late.last) < self.limit {
            return None;
        }
        let most = late.most;
        self.late = None;
        Some(Turn::CaughtUp(most))
    }

    fn turn_window(&mut self, now: Instant) {
        if now.saturating_duration_since(self.window) >= WINDOW {
            self.window = now;
            self.least_lately = self.least;
            self.least = i64::MAX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scene {
        lag: Lag,
        start: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let start = Instant::now();
            Self { lag: Lag::new(Duration::from_secs(2), start), start }
        }

        /// A frame that was queued and came at these times, in ms; the clocks differ by an hour.
        fn frame(&mut self, queued_ms: i64, came_ms: u64) -> Option<Turn> {
            self.of(1, queued_ms, came_ms)
        }

        /// The same on one of several subscriptions.
        fn of(&mut self, sid: u64, queued_ms: i64, came_ms: u64) -> Option<Turn> {
            let came = self.start + Duration::from_millis(came_ms);
            self.lag.frame(Some(sid), queued_ms + 3_600_000, came)
        }
    }

    #[test]
    fn frames_that_come_late_are_told_once_and_so_is_their_end() {
        let mut scene = Scene::new();
        assert_eq!(scene.frame(0, 50), None);
        assert_eq!(scene.frame(1_000, 2_000), None);
        assert_eq!(scene.frame(2_000, 4_060), Some(Turn::Behind(2_010)));
        assert_eq!(scene.frame(3_000, 8_050), None);
        assert_eq!(scene.frame(7_000, 9_000), None);
        assert_eq!(scene.frame(8_950, 9_500), None);
        assert_eq!(scene.frame(10_500, 11_000), Some(Turn::CaughtUp(5_000)));
        assert_eq!(scene.frame(10_900, 11_050), None);
    }

    #[test]
    fn a_clock_that_is_set_is_no_lag() {
        for step in [-30_000, 30_000] {
            let mut scene = Scene::new();
            for second in 0..10 {
                let came = u64::try_from(second * 1_000).unwrap();
                assert_eq!(scene.frame(second * 1_000, came + 40), None);
            }
            for second in 10..20 {
                let came = u64::try_from(second * 1_000).unwrap();
                assert_eq!(scene.frame(second * 1_000 + step, came + 60), None, "{step}");
            }
            // And lag is still seen.
            assert!(scene.frame(20_000 + step, 23_000).is_some(), "{step}");
        }
    }

    #[test]
    fn clocks_that_drift_apart_are_no_lag() {
        let mut scene = Scene::new();
        for second in 0..200_000_i64 {
            // 50 ms an hour, in one direction: 2.7 s in the end.
            let drift = second * 50 / 3_600;
            let came = u64::try_from(second * 1_000 + drift).unwrap();
            assert_eq!(scene.frame(second * 1_000, came), None);
        }
    }

    #[test]
    fn frames_of_two_subscriptions_that_overtake_each_other_hide_no_lag() {
        let mut scene = Scene::new();
        let mut turn = None;
        for tenth in 0..1_000_i64 {
            let came = u64::try_from(tenth * 110).unwrap();
            turn = turn.or(scene.of(1, tenth * 100, came));
            turn = turn.or(scene.of(2, tenth * 100 - 9, came));
        }
        assert_eq!(turn, Some(Turn::Behind(2_000)));
    }

    #[test]
    fn one_late_subscription_is_told_once_though_the_others_are_in_time() {
        let mut scene = Scene::new();
        let mut turns = Vec::new();
        for tenth in 0..600_i64 {
            let came = u64::try_from(tenth * 100).unwrap();
            // The books are 5 s late for 20 s, the tickers never.
            let late = if (200..400).contains(&tenth) { 5_000 } else { 0 };
            turns.extend(scene.of(1, (tenth * 100 - late).max(0), came));
            turns.extend(scene.of(2, tenth * 100, came));
        }
        assert_eq!(turns, [Turn::Behind(5_000), Turn::CaughtUp(5_000)]);
    }
}
