//! The rows that digestion makes, column by column.
//!
//! Markets stand as numbers; their names are in the table `market`, and take the numbers' place
//! when rows are stored (see `stored`).

use std::sync::Arc;

use duckdb::arrow::{
    datatypes::{Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};

use super::{
    Error,
    column::{Code, Column, Contracts, Dollars, Flag, Id, Ns, Text, Whole},
};

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
                /// Ends a row: each column has got its value.
                pub(super) fn end_row(&mut self) {
                    self.rows += 1;
                }

                fn schema() -> SchemaRef {
                    Arc::new(Schema::new(vec![
                        $(Field::new(stringify!($column), $kind::data_type(), true),)*
                    ]))
                }

                fn take(&mut self) -> Result<RecordBatch, Error> {
                    self.rows = 0;
                    RecordBatch::try_new(Self::schema(), vec![$(self.$column.take(),)*])
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

            /// Takes all rows out, as a batch for each table that has any.
            pub(super) fn take(&mut self) -> Result<Vec<(&'static str, RecordBatch)>, Error> {
                let mut batches = Vec::new();
                $(
                    if self.$table.rows > 0 {
                        batches.push(($name, self.$table.take()?));
                    }
                )*
                Ok(batches)
            }
        }

        /// The statements that create the tables in a schema, in DuckDB's SQL.
        pub(super) fn create_statements(schema: &str) -> String {
            let statements = [$({
                let columns: &[(&str, &str)] = &[$((stringify!($column), $kind::SQL),)*];
                let columns: Vec<_> = columns.iter().map(|(n, t)| format!("{n} {t}")).collect();
                format!("CREATE TABLE {schema}.{} ({});", $name, columns.join(", "))
            },)*];
            statements.concat()
        }
    };
}

tables! {
    /// A level of a snapshot (`kind` 0) or a change of a level (`kind` 1). An empty snapshot is
    /// one row without a side.
    BookEvents "book_event" {
        at_ns: Ns, recv_ns: Whole, event_ns: Whole, market: Id, stream: Id, seq: Whole,
        kind: Code, side: Code, price: Dollars, size: Contracts,
    }
    /// A level of a whole book, so that none has to be rebuilt from far away; an empty book is one
    /// row without a side.
    Checkpoints "checkpoint" {
        at_ns: Ns, recv_ns: Whole, event_ns: Whole, market: Id, stream: Id, span: Id, seq: Whole,
        side: Code, price: Dollars, size: Contracts,
    }
    /// A best bid and ask in YES terms, and until when they stood.
    Quotes "quote" {
        at_ns: Ns, until_ns: Ns, recv_ns: Whole, event_ns: Whole, market: Id, stream: Id, span: Id,
        seq: Whole, bid: Dollars, bid_size: Contracts, ask: Dollars, ask_size: Contracts,
    }
    /// A public trade.
    Trades "trade" {
        at_ns: Ns, recv_ns: Whole, event_ns: Whole, market: Id, stream: Id, seq: Whole,
        trade_id: Text, price: Dollars, no_price: Dollars, size: Contracts, taker_side: Code,
        is_block: Flag,
    }
    /// A ticker message.
    Tickers "ticker" {
        at_ns: Ns, recv_ns: Whole, event_ns: Whole, market: Id, stream: Id,
        price: Dollars, yes_bid: Dollars, yes_ask: Dollars, yes_bid_size: Contracts,
        yes_ask_size: Contracts, last_trade_size: Contracts, volume: Contracts,
        open_interest: Contracts, dollar_volume: Whole, dollar_open_interest: Whole,
    }
    /// A lifecycle message of a market or of an event.
    Lifecycle "lifecycle" {
        at_ns: Ns, recv_ns: Whole, stream: Id, seq: Whole, event_type: Text, ticker: Text,
        event_ticker: Text, open_ns: Whole, close_ns: Whole, determination_ns: Whole,
        settled_ns: Whole, is_deactivated: Flag, result: Text, settlement_value: Text,
        price_level_structure: Text, title: Text, metadata: Text,
    }
    /// A time in which the book of a market, rebuilt from a stream, is known to be right:
    /// `[from_ns, to_ns)`, frames `from_seq` to `to_seq`.
    Spans "span" {
        span: Id, market: Id, stream: Id, from_ns: Ns, from_seq: Whole, to_ns: Ns, to_seq: Whole,
        ended_by: Text,
    }
    /// Metadata of a market, as the exchange's REST interface gave it.
    Metadata "metadata" { at_ns: Ns, session: Text, ticker: Text, json: Text }
    /// A hole in a session's record.
    Holes "hole" {
        hole: Id, kind: Text, session: Text, conn: Whole, sid: Whole, channel: Text,
        expected: Whole, got: Whole, from_ns: Ns, found_ns: Ns, repaired_ns: Whole,
        declared: Flag, found: Flag, cause: Text,
    }
    /// A market whose book a hole made unsure.
    HoleMarkets "hole_market" { hole: Id, market: Id }
    /// What a stream has of a market.
    Presence "presence" {
        market: Id, stream: Id, first_ns: Ns, last_ns: Ns, snapshots: Whole, deltas: Whole,
        trades: Whole, tickers: Whole, unknown: Flag,
    }
    /// A connection of a session; known to be up in `[first_ns, end_ns)`.
    Connections "connection" {
        session: Text, conn: Whole, first_ns: Ns, end_ns: Ns, ended_by: Text, frames: Whole,
    }
    /// A recording session, or a file of another recorder.
    Sessions "session" {
        session: Text, version: Text, env: Text, host: Text, first_ns: Whole, last_ns: Whole,
        segments: Whole, lines: Whole, frames: Whole, events: Whole, closed: Flag, own: Flag,
    }
    /// The names of markets.
    Markets "market" { market: Id, ticker: Text }
    /// The streams: `(session, conn, sid)`, more than one where numbers started anew.
    Streams "stream" { stream: Id, session: Text, conn: Whole, sid: Whole, channel: Text }
}
