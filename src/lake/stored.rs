//! The tables as they are stored: sorted by market and time, in Parquet.
//!
//! Times are whole nanoseconds since the epoch, UTC, and sides and kinds are words, so that any
//! engine that reads Parquet can use the files alone. Whose a row is says its `stream`, whose
//! session, connection and subscription are in the table of that name.

use super::{Error, manifest::Session};

/// A table of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its name, and its folder's.
    pub(super) name: &'static str,
    /// Whether its rows tell of frames and stay, in folders by UTC day. The others tell of a
    /// session as a whole, until more of it is digested; so do some rows of what is still open.
    pub(super) stays: bool,
    /// The column that rows are chosen by in time.
    pub(super) time: &'static str,
    /// Columns with numbers that are unique in this lake and hold the session's.
    pub(super) numbers: &'static [&'static str],
    /// From the rows `r` of a digestion to the rows stored. Markets `m` are ranked by name.
    columns: &'static str,
    order: &'static str,
    order_stored: &'static str,
}

/// Every table of the lake.
pub(super) static TABLES: [Stored; 14] = [
    Stored {
        name: "book_event",
        stays: true,
        time: "at_ns",
        numbers: &["stream"],
        columns: "m.ticker, r.at_ns, r.recv_ns - r.at_ns AS recv_off_ns, r.event_ns, r.stream, r.seq,
                  CASE r.kind WHEN 0 THEN 'snapshot'::kind_word ELSE 'delta'::kind_word END AS kind,
                  CASE r.side WHEN 1 THEN 'yes'::side_word WHEN 2 THEN 'no'::side_word END AS side,
                  r.price, r.size",
        order: "m.rank, r.at_ns, r.stream, r.seq, r.side, r.price",
        order_stored: "ticker, at_ns, stream, seq, side, price",
    },
    Stored {
        name: "checkpoint",
        stays: true,
        time: "at_ns",
        numbers: &["stream", "span"],
        columns: "m.ticker, r.at_ns, r.recv_ns - r.at_ns AS recv_off_ns, r.event_ns, r.stream, r.span,
                  r.seq, CASE r.side WHEN 1 THEN 'yes'::side_word WHEN 2 THEN 'no'::side_word END AS side,
                  r.price, r.size",
        order: "m.rank, r.at_ns, r.stream, r.seq, r.side, r.price",
        order_stored: "ticker, at_ns, stream, seq, side, price",
    },
    Stored {
        name: "quote",
        stays: true,
        time: "at_ns",
        numbers: &["stream", "span"],
        columns: "m.ticker, r.at_ns, r.until_ns - r.at_ns AS stood_ns,
                  r.recv_ns - r.at_ns AS recv_off_ns, r.event_ns, r.stream, r.span, r.seq, r.bid,
                  r.bid_size, r.ask, r.ask_size",
        order: "m.rank, r.at_ns, r.stream, r.seq",
        order_stored: "ticker, at_ns, stream, seq",
    },
    Stored {
        name: "trade",
        stays: true,
        time: "at_ns",
        numbers: &["stream"],
        columns: "m.ticker, r.at_ns, r.recv_ns - r.at_ns AS recv_off_ns, r.event_ns, r.stream, r.seq,
                  r.trade_id, r.price, r.no_price, r.size,
                  CASE r.taker_side WHEN 1 THEN 'yes'::side_word WHEN 2 THEN 'no'::side_word END
                      AS taker_side, r.is_block",
        order: "m.rank, r.at_ns, r.stream, r.seq, r.trade_id",
        order_stored: "ticker, at_ns, stream, seq, trade_id",
    },
    Stored {
        name: "ticker",
        stays: true,
        time: "at_ns",
        numbers: &["stream"],
        columns: "m.ticker, r.at_ns, r.recv_ns - r.at_ns AS recv_off_ns, r.event_ns, r.stream, r.price,
                  r.yes_bid, r.yes_ask, r.yes_bid_size, r.yes_ask_size, r.last_trade_size, r.volume,
                  r.open_interest, r.dollar_volume, r.dollar_open_interest",
        order: "m.rank, r.at_ns, r.stream, r.event_ns, r.volume",
        order_stored: "ticker, at_ns, stream, event_ns, volume",
    },
    Stored {
        name: "lifecycle",
        stays: true,
        time: "at_ns",
        numbers: &["stream"],
        columns: "r.ticker, r.at_ns, r.recv_ns - r.at_ns AS recv_off_ns, r.stream, r.seq, r.event_type,
                  r.event_ticker, r.open_ns, r.close_ns, r.determination_ns, r.settled_ns,
                  r.is_deactivated, r.result, r.settlement_value, r.price_level_structure, r.title,
                  r.metadata",
        order: "r.ticker, r.at_ns, r.stream, r.seq, r.event_type",
        order_stored: "ticker, at_ns, stream, seq, event_type",
    },
    Stored {
        name: "metadata",
        stays: true,
        time: "at_ns",
        numbers: &[],
        columns: "r.ticker, r.at_ns, r.session, r.json",
        order: "r.ticker, r.at_ns, r.session",
        order_stored: "ticker, at_ns, session",
    },
    Stored {
        name: "span",
        stays: true,
        time: "from_ns",
        numbers: &["span", "stream"],
        columns: "m.ticker, r.span, r.stream, r.from_ns, r.from_seq, r.to_ns, r.to_seq, r.ended_by",
        order: "m.rank, r.from_ns, r.span",
        order_stored: "ticker, from_ns, span",
    },
    Stored {
        name: "presence",
        stays: false,
        time: "first_ns",
        numbers: &["stream"],
        columns: "m.ticker, r.stream, r.first_ns, r.last_ns, r.snapshots, r.deltas, r.trades, r.tickers,
                  r.unknown",
        order: "m.rank, r.first_ns, r.stream",
        order_stored: "ticker, first_ns, stream",
    },
    Stored {
        name: "stream",
        stays: false,
        time: "stream",
        numbers: &["stream"],
        columns: "r.stream, r.session, r.conn, r.sid, r.channel",
        order: "r.stream",
        order_stored: "stream",
    },
    Stored {
        name: "hole",
        stays: false,
        time: "from_ns",
        numbers: &["hole"],
        columns: "r.hole, r.kind, r.session, r.conn, r.sid, r.channel, r.expected, r.got, r.from_ns,
                  r.found_ns, r.repaired_ns, r.declared, r.found, r.cause",
        order: "r.from_ns, r.hole",
        order_stored: "from_ns, hole",
    },
    Stored {
        name: "hole_market",
        stays: false,
        time: "hole",
        numbers: &["hole"],
        columns: "r.hole, m.ticker",
        order: "r.hole, m.rank",
        order_stored: "hole, ticker",
    },
    Stored {
        name: "connection",
        stays: false,
        time: "first_ns",
        numbers: &[],
        columns: "r.session, r.conn, r.first_ns, r.end_ns, r.ended_by, r.frames",
        order: "r.session, r.conn",
        order_stored: "session, conn",
    },
    Stored {
        name: "session",
        stays: false,
        time: "first_ns",
        numbers: &[],
        columns: "r.session, r.version, r.env, r.host, r.first_ns, r.last_ns, r.segments, r.lines,
                  r.frames, r.events, r.closed, r.own",
        order: "r.first_ns, r.session",
        order_stored: "first_ns, session",
    },
];

impl Stored {
    /// Digested rows of a schema as they are to be stored; those of a day, or all.
    pub(super) fn digested(&self, schema: &str, day: Option<std::ops::Range<i64>>) -> String {
        let Self { name, time, columns, order, .. } = self;
        let market =
            if columns.contains("m.ticker") { "JOIN names.ranked m USING (market)" } else { "" };
        let days = day.map_or_else(String::new, |day| {
            format!("WHERE r.{time} >= {} AND r.{time} < {}", day.start, day.end)
        });
        format!("SELECT {columns} FROM {schema}.{name} r {market} {days} ORDER BY {order}")
    }

    /// Stored rows of some files, in their order.
    pub(super) fn stored(&self, files: &[String], condition: &str) -> String {
        let files = files.join(", ");
        let order = self.order_stored;
        format!("FROM read_parquet([{files}]) {condition} ORDER BY {order}")
    }

    /// The condition that a row is of none of these sessions, which are given by name and number.
    pub(super) fn not_of<'s>(
        &self,
        sessions: impl Iterator<Item = (&'s String, &'s Session)>,
    ) -> String {
        let (of, sessions): (String, Vec<String>) = match self.numbers.first() {
            Some(number) => {
                (format!("{number} >> 32"), sessions.map(|(_, s)| s.number.to_string()).collect())
            }
            None => ("session".to_owned(), sessions.map(|(name, _)| quoted(name)).collect()),
        };
        if sessions.is_empty() {
            return String::new();
        }
        format!("WHERE {of} NOT IN ({})", sessions.join(", "))
    }
}

/// The table of a name.
pub(super) fn table(name: &str) -> Result<&'static Stored, Error> {
    let found = TABLES.iter().find(|table| table.name == name);
    found.ok_or_else(|| Error::UnknownTable(name.to_owned()))
}

/// The statement that writes rows to a file.
pub(super) fn copy(rows: &str, path: &str) -> String {
    format!(
        "COPY ({rows}) TO {} (FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd,
         ROW_GROUP_SIZE 61440)",
        quoted(path),
    )
}

/// A text as an SQL literal, where a statement takes no parameters.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
