//! The exchange's error codes and what a client can do about each.

/// An error code of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub i64);

/// What an error asks of a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The subscription is dead or unknown: subscribe anew, more slowly.
    Resubscribe,
    /// Too much at once: slower commands, and ask what is subscribed.
    SlowDown,
    /// More markets than the exchange allows: those that fit in.
    TooMany,
    /// No access; the same request will fail again.
    GiveUp,
    /// The exchange has no such channel; the others are not concerned.
    GiveUpChannel,
    /// Our request was wrong or the code is not known: write it down and go on.
    Record,
}

impl ErrorCode {
    /// The exchange's short text, where the code is documented.
    #[must_use]
    pub const fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "Unable to process message",
            2 => "Params required",
            3 => "Channels required",
            4 => "Subscription IDs required",
            5 => "Unknown command",
            6 => "Already subscribed",
            7 => "Unknown subscription ID",
            8 => "Unknown channel name",
            9 => "Authentication required",
            10 => "Channel error",
            11 => "Invalid parameter",
            12 => "Exactly one subscription ID is required",
            13 => "Unsupported action",
            14 => "Market Ticker required",
            15 => "Action required",
            16 => "Market not found",
            17 => "Internal error",
            18 => "Command timeout",
            23 => "Match IDs required",
            24 => "Index IDs required",
            25 => "Subscription buffer overflow",
            26 => "Subscription market limit exceeded",
            27 => "Too many requests",
            28 => "Underlying tickers required",
            _ => return None,
        })
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> Remedy {
        match self.0 {
            7 | 10 | 17 | 25 => Remedy::Resubscribe,
            18 | 27 => Remedy::SlowDown,
            26 => Remedy::TooMany,
            8 => Remedy::GiveUpChannel,
            9 => Remedy::GiveUp,
            _ => Remedy::Record,
        }
    }
}
