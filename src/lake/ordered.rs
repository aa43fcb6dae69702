//! Work that several threads do ahead, taken in its order.

use std::{num::NonZero, sync::mpsc::sync_channel, thread};

/// Results of one thread that may wait to be taken.
const AHEAD: usize = 2;

/// As many threads as the machine runs at once, or as were asked for.
pub(super) fn threads(asked: Option<NonZero<usize>>) -> usize {
    asked.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), NonZero::get)
}

/// Makes the items `0..count` with several threads, and gives each to `take` in their order. Ends
/// early where `take` fails.
pub(crate) fn each<Item: Send, Error>(
    count: usize,
    threads: usize,
    make: impl Fn(usize) -> Item + Sync,
    mut take: impl FnMut(Item) -> Result<(), Error>,
) -> Result<(), Error> {
    let threads = threads.min(count);
    if threads < 2 {
        return (0..count).try_for_each(|item| take(make(item)));
    }
    thread::scope(|scope| {
        // Each thread makes every so-manieth item, so that it is known whom to ask for the next.
        let receivers: Vec<_> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(AHEAD);
                let make = &make;
                scope.spawn(move || {
                    for item in (first..count).step_by(threads) {
                        // Nobody listens any more after a failure.
                        if sender.send(make(item)).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for receiver in receivers.iter().cycle().take(count) {
            // A thread that is gone has panicked, which the scope passes on.
            let Ok(item) = receiver.recv() else { break };
            take(item)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_in_their_order_whatever_each_takes() {
        for threads in [1, 2, 3, 8] {
            let mut taken = Vec::new();
            let make = |item: usize| {
                thread::sleep(std::time::Duration::from_micros(item as u64 * 7919 % 300));
                item
            };
            each(40, threads, make, |item| {
                taken.push(item);
                Ok::<(), ()>(())
            })
            .unwrap();
            assert_eq!(taken, (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failure_ends_it_and_nobody_waits() {
        let take = |item| if item < 5 { Ok(()) } else { Err(item) };
        assert_eq!(each(1_000_000, 3, |item| item, take), Err(5));
        assert_eq!(each(0, 3, |item| item, Err), Ok(()));
    }
}
