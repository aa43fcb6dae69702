//! What connections were for that the exchange does not allow, on its way to the others.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::session::Plan;

/// Markets and channels that were given up and not yet taken on.
#[derive(Debug)]
pub(super) struct Handover(Mutex<Plan>);

impl Default for Handover {
    fn default() -> Self {
        Self(Mutex::new(Plan { markets: Vec::new(), channels: Vec::new() }))
    }
}

impl Handover {
    /// Leaves a plan to the others. They have its channels but for those without markets, which one
    /// connection has for all.
    pub(super) fn give(&self, plan: Plan) {
        let mut waiting = self.waiting();
        waiting.markets.extend(plan.markets);
        waiting.channels.extend(plan.channels.into_iter().filter(|c| !c.takes_markets()));
    }

    /// Up to `most` markets, and all channels, which are the taker's from now on.
    pub(super) fn take(&self, most: usize) -> Plan {
        let mut waiting = self.waiting();
        let most = most.min(waiting.markets.len());
        Plan {
            markets: waiting.markets.drain(..most).collect(),
            channels: std::mem::take(&mut waiting.channels),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
