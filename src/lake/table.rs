//! The rows that digestion makes, column by column, in the order in which they are stored.
//!
//! Markets stand as numbers; their names are in the table `market`, and take the numbers' place
//! when rows are stored.

use std::sync::Arc;

use arrow::{
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};

use super::{
    Error,
    column::{
        Column, Contracts, Dollars, Flag, Form, Id, Kind, Market, Ns, Rising, Sided, Text, Whole,
    },
};

/// What is known of a column without looking at its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) form: Form,
    nullable: bool,
    gathered: fn() -> DataType,
}

impl Spec {
    const fn of<C: Column>(name: &'static str) -> Self {
        Self { name, form: C::FORM, nullable: C::NULLABLE, gathered: C::data_type }
    }

    /// The column as it is gathered.
    fn gathered(&self) -> Field {
        Field::new(self.name, (self.gathered)(), self.nullable)
    }

    /// The column as it is stored.
    pub(super) fn stored(&self) -> Field {
        let dictionary = |key| DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8));
        match self.form {
            Form::Plain | Form::Steps => self.gathered(),
            Form::Market => Field::new(self.name, dictionary(DataType::UInt32), false),
            Form::Word(_) => Field::new(self.name, dictionary(DataType::UInt8), true),
        }
    }
}

/// Rows of several tables, by name.
pub(super) type Batches = Vec<(&'static str, RecordBatch)>;

/// How many rows tables have.
pub(super) type Counts = Vec<(&'static str, usize)>;

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident $name:literal { $($column:ident: $kind:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Default)]
            pub(super) struct $table {
                rows: usize,
                $(pub(super) $column: $kind,)*
            }

            impl $table {
                const COLUMNS: &[Spec] = &[$(Spec::of::<$kind>(stringify!($column)),)*];

                /// Ends a row: each column has got its value.
                pub(super) fn end_row(&mut self) {
                    self.rows += 1;
                }

                fn take(&mut self) -> Result<RecordBatch, Error> {
                    self.rows = 0;
                    RecordBatch::try_new(gathered(Self::COLUMNS), vec![$(self.$column.take(),)*])
                        .map_err(|source| Error::Batch { table: $name, source })
                }
            }
        )*

        /// The rows made so far, table by table.
        #[derive(Default)]
        #[expect(non_snake_case, reason = "a field is named as its type")]
        pub(super) struct Rows {
            $(pub(super) $table: $table,)*
        }

        impl Rows {
            /// Rows in the longest table.
            pub(super) fn longest(&self) -> usize {
                [$(self.$table.rows,)*].into_iter().max().unwrap_or_default()
            }

            /// Rows in each table.
            pub(super) fn counts(&self) -> Counts {
                vec![$(($name, self.$table.rows),)*]
            }

            /// Takes all rows out, as a batch for each table that has any.
            pub(super) fn take(&mut self) -> Result<Batches, Error> {
                let mut batches = Vec::new();
                $(
                    if self.$table.rows > 0 {
                        batches.push(($name, self.$table.take()?));
                    }
                )*
                Ok(batches)
            }
        }

        /// The columns of a table; none where there is no such table.
        pub(super) fn columns(table: &str) -> &'static [Spec] {
            match table {
                $($name => $table::COLUMNS,)*
                _ => &[],
            }
        }
    };
}

/// The schema of gathered rows.
pub(super) fn gathered(columns: &[Spec]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Spec::gathered).collect::<Vec<_>>()))
}

/// The schema of stored rows.
pub(super) fn stored(columns: &[Spec]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Spec::stored).collect::<Vec<_>>()))
}

/// Writes when a frame came into the columns that tell it.
macro_rules! push_moment {
    ($table:expr, $now:expr) => {
        $table.at_ns.push($now.at);
        $table.recv_off_ns.push($now.recv_off());
        $table.event_us.push($now.event.map(|ns| ns.div_euclid(1_000)));
        $table.event_sub_ns.push($now.event.map(|ns| ns.rem_euclid(1_000)));
    };
}
pub(super) use push_moment;

tables! {
    /// A level of a snapshot or a change of a level. An empty snapshot is one row without a side.
    BookEvents "book_event" {
        ticker: Market, at_ns: Ns, recv_off_ns: Whole, event_us: Rising, event_sub_ns: Whole,
        stream: Id, seq: Rising, kind: Kind, side: Sided, price: Dollars, size: Contracts,
    }
    /// A level of a whole book, so that none has to be rebuilt from far away; an empty book is one
    /// row without a side.
    Checkpoints "checkpoint" {
        ticker: Market, at_ns: Ns, recv_off_ns: Whole, event_us: Rising, event_sub_ns: Whole,
        stream: Id, span: Id, seq: Rising, side: Sided, price: Dollars, size: Contracts,
    }
    /// A best bid and ask in YES terms, and for how long they stood.
    Quotes "quote" {
        ticker: Market, at_ns: Ns, stood_ns: Ns, recv_off_ns: Whole, event_us: Rising,
        event_sub_ns: Whole, stream: Id, span: Id, seq: Rising, bid: Dollars,
        bid_size: Contracts, ask: Dollars, ask_size: Contracts,
    }
    /// A public trade.
    Trades "trade" {
        ticker: Market, at_ns: Ns, recv_off_ns: Whole, event_us: Rising, event_sub_ns: Whole,
        stream: Id, seq: Rising, trade_id: Text, price: Dollars, no_price: Dollars,
        size: Contracts, taker_side: Sided, is_block: Flag,
    }
    /// A ticker message.
    Tickers "ticker" {
        ticker: Market, at_ns: Ns, recv_off_ns: Whole, event_us: Rising, event_sub_ns: Whole,
        stream: Id, price: Dollars, yes_bid: Dollars, yes_ask: Dollars, yes_bid_size: Contracts,
        yes_ask_size: Contracts, last_trade_size: Contracts, volume: Contracts,
        open_interest: Contracts, dollar_volume: Whole, dollar_open_interest: Whole,
    }
    /// A lifecycle message of a market or of an event.
    Lifecycle "lifecycle" {
        ticker: Text, at_ns: Ns, recv_off_ns: Whole, stream: Id, seq: Rising, event_type: Text,
        event_ticker: Text, open_ns: Whole, close_ns: Whole, determination_ns: Whole,
        settled_ns: Whole, is_deactivated: Flag, result: Text, settlement_value: Text,
        price_level_structure: Text, title: Text, metadata: Text,
    }
    /// Metadata of a market, as the exchange's REST interface gave it.
    Metadata "metadata" { ticker: Text, at_ns: Ns, session: Text, json: Text }
    /// A time in which the book of a market, rebuilt from a stream, is known to be right:
    /// `[from_ns, to_ns)`, frames `from_seq` to `to_seq`.
    Spans "span" {
        ticker: Market, span: Id, stream: Id, from_ns: Ns, from_seq: Rising, to_ns: Ns,
        to_seq: Rising, ended_by: Text,
    }
    /// What a stream has of a market.
    Presence "presence" {
        ticker: Market, stream: Id, first_ns: Ns, last_ns: Ns, snapshots: Whole, deltas: Whole,
        trades: Whole, tickers: Whole, unknown: Flag,
    }
    /// The streams: `(session, conn, sid)`, more than one where numbers started anew.
    Streams "stream" { stream: Id, session: Text, conn: Whole, sid: Whole, channel: Text }
    /// A hole in a session's record.
    Holes "hole" {
        hole: Id, kind: Text, session: Text, conn: Whole, sid: Whole, channel: Text,
        expected: Whole, got: Whole, from_ns: Ns, found_ns: Ns, repaired_ns: Whole,
        declared: Flag, found: Flag, cause: Text,
    }
    /// A market whose book a hole made unsure.
    HoleMarkets "hole_market" { hole: Id, ticker: Market }
    /// A connection of a session; known to be up in `[first_ns, end_ns)`.
    Connections "connection" {
        session: Text, conn: Whole, first_ns: Ns, end_ns: Ns, ended_by: Text, frames: Whole,
    }
    /// A recording session, or a file of another recorder.
    Sessions "session" {
        session: Text, version: Text, env: Text, host: Text, first_ns: Whole, last_ns: Whole,
        segments: Whole, lines: Whole, frames: Whole, events: Whole, closed: Flag, own: Flag,
    }
    /// What was odd in a session, how often, and where first.
    Oddities "oddity" {
        session: Text, kind: Text, times: Whole, segment: Text, line: Whole, example: Text,
    }
    /// The names of markets; not stored, as they stand in the rows.
    Markets "market" { market: Id, ticker: Text }
}
