//! What files say of the rows in them, without reading those.

use parquet::file::{metadata::RowGroupMetaData, statistics::Statistics};

use super::{
    stored::Stored,
    wanted::{ALWAYS, Frames},
};

/// How many rows of a row group may be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    None,
    Some,
    All,
}

/// What the statistics of a row group say of a market's name. Long names are cut in them, towards
/// the safe side.
pub(super) fn named(table: &Stored, group: &RowGroupMetaData, ticker: &str) -> Share {
    let statistics = table.first.and_then(|first| statistics(table, group, first));
    let Some(Statistics::ByteArray(texts)) = statistics else { return Share::Some };
    let (Some(min), Some(max)) = (texts.min_opt(), texts.max_opt()) else { return Share::Some };
    let (min, max) = (min.data(), max.data());
    if ticker.as_bytes() < min || max < ticker.as_bytes() {
        return Share::None;
    }
    let exact = texts.min_is_exact() && texts.max_is_exact() && texts.null_count_opt() == Some(0);
    if exact && min == max { Share::All } else { Share::Some }
}

impl Frames {
    /// What the statistics of a row group say of these frames.
    pub(super) fn share(self, table: &Stored, group: &RowGroupMetaData) -> Share {
        let stream = i64::try_from(self.stream).unwrap_or(i64::MAX);
        let columns = [("stream", (stream, stream)), ("seq", self.numbers)];
        let shares = columns.map(|(column, (from, to))| {
            let Some(Statistics::Int64(numbers)) = statistics(table, group, column) else {
                return Share::Some;
            };
            match (numbers.min_opt(), numbers.max_opt(), numbers.null_count_opt()) {
                (Some(min), Some(max), _) if *max < from || to < *min => Share::None,
                (Some(min), Some(max), Some(0)) if from <= *min && *max <= to => Share::All,
                _ => Share::Some,
            }
        });
        match shares {
            [Share::None, _] | [_, Share::None] => Share::None,
            [Share::All, Share::All] => Share::All,
            _ => Share::Some,
        }
    }
}

/// The first and last time of a row group; all of time where it does not say.
pub(super) fn first_and_last(table: &Stored, group: &RowGroupMetaData) -> (i64, i64) {
    let (mut first, mut last) = ALWAYS;
    if let Some(Statistics::Int64(times)) = statistics(table, group, table.time) {
        first = times.min_opt().copied().unwrap_or(first);
        last = times.max_opt().copied().unwrap_or(last);
    }
    (first, last)
}

fn statistics<'g>(
    table: &Stored,
    group: &'g RowGroupMetaData,
    column: &str,
) -> Option<&'g Statistics> {
    let place = table.columns().iter().position(|spec| spec.name == column)?;
    group.columns().get(place)?.statistics()
}
