//! Markets whose own connection the exchange does not allow, on their way to the others.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::protocol::Ticker;

/// Markets that were given up and not yet taken on.
#[derive(Debug, Default)]
pub(super) struct Handover(Mutex<VecDeque<Ticker>>);

impl Handover {
    pub(super) fn give(&self, markets: impl IntoIterator<Item = Ticker>) {
        self.waiting().extend(markets);
    }

    /// Up to `most` of them, which are the taker's from now on.
    pub(super) fn take(&self, most: usize) -> Vec<Ticker> {
        let mut waiting = self.waiting();
        let most = most.min(waiting.len());
        waiting.drain(..most).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Ticker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
