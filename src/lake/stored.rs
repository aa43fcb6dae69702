//! The tables as they are stored: sorted by market and time, in Parquet.
//!
//! Times are whole nanoseconds since the epoch, UTC, and sides and kinds are words, so that any
//! engine that reads Parquet can use the files alone. Whose a row is says its `stream`, whose
//! session, connection and subscription are in the table of that name.

use super::{
    Error,
    table::{self, Spec},
};

/// A table of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its name, and its folder's.
    pub(super) name: &'static str,
    /// Whether rows that stay lie in folders by UTC day. Rows that tell of a session as a whole, or
    /// of what is open in it, lie beside these folders, until more of it is digested.
    pub(super) dated: bool,
    /// The column that rows are chosen by in time.
    pub(super) time: &'static str,
    /// The text that rows are sorted by first, if any: the market's name, or another.
    pub(super) first: Option<&'static str>,
    /// The whole numbers that they are sorted by then.
    pub(super) then: &'static [&'static str],
    /// Columns with numbers that are unique in this lake and hold the session's.
    pub(super) numbers: &'static [&'static str],
}

const FRAMES: Stored = Stored {
    name: "",
    dated: true,
    time: "at_ns",
    first: Some("ticker"),
    then: &["at_ns", "stream", "seq"],
    numbers: &["stream"],
};

/// Every table of the lake.
pub(super) static TABLES: [Stored; 15] = [
    Stored { name: "book_event", ..FRAMES },
    Stored { name: "checkpoint", numbers: &["stream", "span"], ..FRAMES },
    Stored { name: "quote", numbers: &["stream", "span"], ..FRAMES },
    Stored { name: "trade", ..FRAMES },
    Stored { name: "ticker", then: &["at_ns", "stream"], ..FRAMES },
    Stored { name: "lifecycle", ..FRAMES },
    Stored { name: "metadata", then: &["at_ns"], numbers: &[], ..FRAMES },
    // A span may reach over many days.
    Stored {
        name: "span",
        dated: false,
        time: "from_ns",
        then: &["from_ns", "span"],
        numbers: &["span", "stream"],
        ..FRAMES
    },
    Stored {
        name: "presence",
        dated: false,
        time: "first_ns",
        then: &["first_ns", "stream"],
        ..FRAMES
    },
    Stored {
        name: "stream",
        dated: false,
        time: "stream",
        first: None,
        then: &["stream"],
        ..FRAMES
    },
    Stored {
        name: "hole",
        dated: false,
        time: "from_ns",
        first: None,
        then: &["from_ns", "hole"],
        numbers: &["hole"],
    },
    Stored {
        name: "hole_market",
        dated: false,
        time: "hole",
        first: None,
        then: &["hole"],
        numbers: &["hole"],
    },
    Stored {
        name: "connection",
        dated: false,
        time: "first_ns",
        first: Some("session"),
        then: &["conn"],
        numbers: &[],
    },
    Stored {
        name: "session",
        dated: false,
        time: "first_ns",
        first: Some("session"),
        then: &[],
        numbers: &[],
    },
    Stored {
        name: "oddity",
        dated: false,
        time: "line",
        first: Some("session"),
        then: &[],
        numbers: &[],
    },
];

impl Stored {
    /// Its columns.
    pub(super) fn columns(&self) -> &'static [Spec] {
        table::columns(self.name)
    }
}

/// The table of a name.
pub(super) fn table(name: &str) -> Result<&'static Stored, Error> {
    let found = TABLES.iter().find(|table| table.name == name);
    found.ok_or_else(|| Error::UnknownTable(name.to_owned()))
}
