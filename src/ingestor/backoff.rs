//! How long to wait before the next attempt: full jitter, capped.

use std::time::Duration;

/// The waits of one worker.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    cap: Duration,
    attempt: u32,
    random: fastrand::Rng,
}

impl Backoff {
    /// Waits of up to `first`, twice that, and so on, never above `cap`.
    pub(super) fn new(first: Duration, cap: Duration, random: fastrand::Rng) -> Self {
        Self { first, cap, attempt: 0, random }
    }

    /// The next wait: uniform between a tenth of the ceiling and the ceiling, so that thousands of
    /// clients cut off at once do not come back at once, and none comes back at once alone.
    pub(super) fn next(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        ceiling.mul_f64(0.1 + 0.9 * self.random.f64())
    }

    /// Starts over, after a connection that proved healthy.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_differ() {
        let (first, cap) = (Duration::from_millis(500), Duration::from_secs(30));
        for seed in 0..200 {
            let mut backoff = Backoff::new(first, cap, fastrand::Rng::with_seed(seed));
            let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
            for (attempt, wait) in waits.iter().enumerate() {
                let ceiling = cap.min(first * (1 << attempt.min(20)));
                assert!(*wait >= ceiling / 10 && *wait <= ceiling, "{seed} {attempt} {wait:?}");
            }
            backoff.reset();
            assert!(backoff.next() <= first);
        }
    }
}
