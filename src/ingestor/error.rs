//! Why a recording ended without being told to.

use std::io;

use crate::tape;

/// A failure that stops the whole recorder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to record.
    #[error("no tickers to record")]
    NoTickers,
    /// A setting that cannot work.
    #[error("{setting} {problem}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The exchange refuses this key (HTTP 401 or 403).
    #[error("the exchange refused us (HTTP {status}): {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The exchange's reason.
        reason: String,
        /// Exchange time minus our time, where the answer told it.
        clock_skew_ms: Option<i64>,
    },
    /// The exchange let us in and then refused the session (its error 9).
    #[error("the exchange refused the session: {reason}")]
    SessionRefused {
        /// The exchange's reason.
        reason: String,
    },
    /// The recording ended before any connection was made.
    #[error(
        "no connection was made{}",
        cause.as_ref().map(|c| format!(": {c}")).unwrap_or_default()
    )]
    NeverConnected {
        /// The last refusal.
        cause: Option<String>,
    },
    /// The tape cannot be written.
    #[error("write the tape")]
    Tape {
        /// The file and the reason.
        #[source]
        source: tape::Error,
        /// The file, whole up to this line.
        whole_lines: u64,
        /// Lines behind those that were written and perhaps did not reach the disk.
        unsynced_lines: u64,
        /// Messages that were received and could not be written.
        lost_messages: u64,
    },
    /// The next segment of the tape cannot be begun.
    #[error("begin the next segment of the tape")]
    NextSegment {
        /// The file and the reason.
        #[source]
        source: tape::Error,
        /// Messages that were received and could not be written.
        lost_messages: u64,
    },
    /// A thread that writes the tape cannot be started.
    #[error("start a thread that writes the tape")]
    Thread(#[source] io::Error),
    /// A thread that writes the tape panicked; its name.
    #[error("the {0} thread panicked")]
    Panicked(&'static str),
    /// The logger ended while workers still had messages.
    #[error("the logger thread ended early")]
    LoggerGone,
    /// The system gave no random numbers.
    #[error("make a session id: the system gave no random numbers")]
    Random,
    /// A worker task panicked.
    #[error("a worker task ended abnormally")]
    Worker(#[source] tokio::task::JoinError),
}

impl Error {
    /// The same, with what it cost.
    pub(super) fn with_lost(mut self, messages: u64) -> Self {
        if let Self::Tape { lost_messages, .. } | Self::NextSegment { lost_messages, .. } =
            &mut self
        {
            *lost_messages = messages;
        }
        self
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoTickers => Some(
                "give tickers as arguments, with --tickers-file FILE, or on standard input: \
                 `cat tickers.txt | kalshi ingest`"
                    .into(),
            ),
            Self::Refused { clock_skew_ms: Some(skew), .. } if skew.abs() > 4_000 => Some(format!(
                "this machine's clock is about {:.0} s {} the exchange's; requests must be within \
                 5 s: set the clock (NTP)",
                skew.unsigned_abs() as f64 / 1e3,
                if *skew > 0 { "behind" } else { "ahead of" },
            )),
            Self::Refused { reason, .. } if reason.contains("timestamp_expired") => {
                Some("this machine's clock is off by more than 5 s: set it (NTP)".into())
            }
            Self::Refused { reason, .. } if reason.contains("NOT_FOUND") => Some(
                "the exchange does not know this key id; keys of demo and prod are separate \
                 (--env demo)"
                    .into(),
            ),
            Self::Refused { reason, .. } if reason.contains("SIGNATURE") => {
                Some("the private key does not belong to KALSHI_KEY_ID".into())
            }
            Self::Refused { .. } => {
                Some("check KALSHI_KEY_ID, KALSHI_PRIVATE_KEY_PATH and --env".into())
            }
            Self::SessionRefused { .. } => {
                Some("this key may not read these channels: check its rights and --env".into())
            }
            Self::NeverConnected { .. } => Some("check the network and --ws-url".into()),
            Self::Tape { whole_lines: 0, unsynced_lines: 0, .. } => {
                Some("choose another folder with --log-dir".into())
            }
            Self::Tape { source, .. } if source.is_not_found() => Some(
                "the log folder was moved or removed while it was written; what the file held is \
                 where it went"
                    .into(),
            ),
            Self::Tape { whole_lines, unsynced_lines: 0, lost_messages, .. } => Some(format!(
                "the segment is whole up to line {whole_lines}; {lost_messages} messages that were \
                 received after it are lost"
            )),
            Self::Tape { whole_lines, unsynced_lines, lost_messages, .. } => Some(format!(
                "the segment is whole up to line {whole_lines}; {unsynced_lines} lines after it \
                 may not have reached the disk; {lost_messages} messages that were received after \
                 those are lost"
            )),
            Self::NextSegment { lost_messages, .. } => Some(format!(
                "what was written before is in the segments before it; {lost_messages} messages \
                 that were received after it are lost"
            )),
            Self::Setting { .. }
            | Self::Thread(_)
            | Self::Panicked(_)
            | Self::LoggerGone
            | Self::Random
            | Self::Worker(_) => None,
        }
    }
}
