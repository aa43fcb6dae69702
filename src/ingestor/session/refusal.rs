//! What the exchange refuses, and what is done about it.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use super::{Action, Session};
use crate::protocol::{ExchangeError, Header, Message, Remedy};
use crate::tape::Event;

/// The slowest that refusals make us.
const PACE_MAX: Duration = Duration::from_secs(5);

impl Session {
    /// An error came in, to a command or of a subscription.
    pub(super) fn error(&mut self, header: &Header<'_>, now: Instant, actions: &mut Vec<Action>) {
        let Ok(Message::Error(error)) = Message::parse(header) else { return };
        let text = format!("error {} of the exchange: {}", error.code.0, error.text);
        tracing::warn!(error = text, "the exchange refused a command or ended a subscription");
        match error.code.remedy() {
            Remedy::GiveUp => actions.push(Action::Refused(text)),
            Remedy::GiveUpChannel => {
                let id = header.id;
                self.feeds.retain_mut(|f| id.and_then(|id| f.answered(id)).is_none());
            }
            Remedy::Resubscribe => {
                if let Some(id) = header.id {
                    for feed in &mut self.feeds {
                        let Some(markets) = feed.answered(id) else { continue };
                        if feed.is_books() {
                            self.books.refused(&markets);
                        }
                        feed.again(markets);
                    }
                }
                self.resubscribe(header.sid, now);
            }
            Remedy::SlowDown => {
                self.slow_down(now);
                self.unsure = true;
                self.try_in_halves(header, &error, actions);
            }
            Remedy::TooMany | Remedy::Record => self.try_in_halves(header, &error, actions),
        }
    }

    /// A subscription is dead: everything it was for is asked for again under a new one.
    fn resubscribe(&mut self, sid: Option<u64>, now: Instant) {
        self.slow_down(now);
        match sid.and_then(|sid| self.channels.remove(&sid)) {
            Some(channel) => self.restart(&channel),
            None => self.unsure = true,
        }
    }

    /// A subscription of many markets was refused: perhaps for one of them, perhaps for their
    /// number. Halves of it will tell.
    fn try_in_halves(
        &mut self,
        header: &Header<'_>,
        error: &ExchangeError<'_>,
        actions: &mut Vec<Action>,
    ) {
        let Some(id) = header.id else { return };
        for feed in &mut self.feeds {
            let Some(markets) = feed.answered(id) else { continue };
            if feed.is_books() {
                self.books.refused(&markets);
            }
            let channel = Cow::Owned(feed.channel().as_str().to_owned());
            if let Some(market) = feed.halve(markets, error.code.remedy()) {
                let reason = Cow::Owned(format!("error {}: {}", error.code.0, error.text));
                let ticker = Cow::Owned(market);
                let refused = Event::RefusedMarket { ticker, channel, reason };
                actions.push(Action::Record(refused));
            }
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.pace = (self.pace * 2).min(PACE_MAX);
        self.next_command = now + self.pace;
    }
}
