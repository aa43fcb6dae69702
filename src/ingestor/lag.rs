//! Whether frames come later and later.
//!
//! The exchange says when it queued a frame. Its clock and ours differ by an unknown amount, so a
//! frame's age means nothing by itself; but the smallest age that was seen lately is that of a frame
//! that came straight through, and what a frame is older than that, it has waited on its way.

use std::time::{Duration, Instant};

/// The smallest age counts for one to two of these, so that clocks may drift apart.
const WINDOW: Duration = Duration::from_secs(300);

/// The ages of one connection's frames, in ms and up to a constant.
#[derive(Debug)]
pub(super) struct Lag {
    limit_ms: i64,
    start: Instant,
    window: Instant,
    /// The smallest age of this window, and of this and the one before.
    least: i64,
    least_lately: i64,
    last_sending: i64,
    /// While frames come late: the most that one was behind.
    most_behind: Option<i64>,
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
            limit_ms: i64::try_from(limit.as_millis()).unwrap_or(i64::MAX),
            start: now,
            window: now,
            least: i64::MAX,
            least_lately: i64::MAX,
            last_sending: i64::MIN,
            most_behind: None,
        }
    }

    /// A frame came that was queued at `sending_ms` by the exchange's clock.
    pub(super) fn frame(&mut self, sending_ms: i64, now: Instant) -> Option<Turn> {
        let since_start = now.saturating_duration_since(self.start).as_millis();
        let age = i64::try_from(since_start).unwrap_or(i64::MAX).saturating_sub(sending_ms);
        let back = self.last_sending.saturating_sub(sending_ms);
        if back >= self.limit_ms / 2 && self.last_sending > i64::MIN {
            // Subscriptions overtake each other by a little. By so much, the exchange's clock went
            // back.
            self.least = self.least.saturating_add(back);
            self.least_lately = self.least_lately.saturating_add(back);
        }
        self.last_sending = sending_ms;
        self.least = self.least.min(age);
        self.least_lately = self.least_lately.min(age);
        let behind = age.saturating_sub(self.least_lately);
        match &mut self.most_behind {
            None if behind < self.limit_ms => {
                self.turn_window(now);
                None
            }
            None => {
                self.most_behind = Some(behind);
                Some(Turn::Behind(behind))
            }
            // Not at the limit itself, around which it would come and go.
            Some(most) if behind < self.limit_ms / 2 => {
                let most = *most;
                self.most_behind = None;
                Some(Turn::CaughtUp(most))
            }
            Some(most) => {
                *most = behind.max(*most);
                None
            }
        }
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
            self.lag.frame(queued_ms + 3_600_000, self.start + Duration::from_millis(came_ms))
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
        assert_eq!(scene.frame(8_950, 9_500), Some(Turn::CaughtUp(5_000)));
        assert_eq!(scene.frame(9_900, 10_000), None);
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
            turn = turn.or(scene.frame(tenth * 100, came));
            turn = turn.or(scene.frame(tenth * 100 - 9, came));
        }
        assert_eq!(turn, Some(Turn::Behind(2_000)));
    }
}
