//! Work that several threads do ahead, taken in its order.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
};

/// As many threads as the machine runs at once, or as were asked for.
pub(super) fn threads(asked: Option<NonZero<usize>>) -> usize {
    asked.map_or_else(|| thread::available_parallelism().map_or(1, NonZero::get), NonZero::get)
}

/// Makes the items `0..count` with several threads, and gives each to `take` in their order. A
/// thread that is done with one makes the next that nobody does, so that what is made ahead may be
/// all of them. Ends early where `take` fails.
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
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, receiver) = channel();
        for _ in 0..threads {
            let (sender, make, next) = (sender.clone(), &make, &next);
            scope.spawn(move || {
                loop {
                    let item = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody listens any more after a failure.
                    if item >= count || sender.send((item, make(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = 0;
        // Where a thread is gone, it has panicked, which the scope passes on.
        for (item, made) in receiver {
            early.insert(item, made);
            while let Some(made) = early.remove(&due) {
                take(made)?;
                due += 1;
            }
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
