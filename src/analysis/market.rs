//! What the lakes have of one market: its streams, and the times in which its book is known.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use arrow::array::AsArray;

use super::{Error, rows, source::Source};
use crate::lake::{ALWAYS, above};

/// A market, as all lakes together have it.
pub(super) struct Market<'l> {
    pub(super) source: Source<'l>,
    pub(super) streams: HashMap<u64, Stream>,
    /// Oldest first.
    pub(super) spans: Vec<Span>,
}

/// A stream that has something of the market.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) session: String,
    pub(super) conn: i64,
    pub(super) sid: Option<i64>,
    pub(super) trades: i64,
    pub(super) first_ns: i64,
    pub(super) last_ns: i64,
    /// The last record of the whole session.
    pub(super) session_last_ns: i64,
    /// Our own recorder wrote it.
    pub(super) own: bool,
}

/// A span of the market: which rows make a right book, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) span: u64,
    pub(super) stream: u64,
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    pub(super) from_seq: i64,
    pub(super) to_seq: i64,
    pub(super) ended_by: String,
}

/// A time in which the book of the market is known, and the span to take it from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'m> {
    pub(super) from_ns: i64,
    pub(super) to_ns: i64,
    pub(super) span: &'m Span,
}

impl<'l> Market<'l> {
    /// Looks a market up; `None` where nothing of it is recorded.
    pub(super) fn find(source: Source<'l>) -> Result<Option<Self>, Error> {
        let mut market = Self { source, streams: HashMap::new(), spans: Vec::new() };
        market.find_streams()?;
        if market.streams.is_empty() {
            return Ok(None);
        }
        market.find_spans()?;
        Ok(Some(market))
    }

    fn find_streams(&mut self) -> Result<(), Error> {
        let columns = &["stream", "first_ns", "last_ns", "trades"];
        let mut seen = HashMap::new();
        self.source.scan("presence", columns, ALWAYS, |place, batch| {
            let (first, last) = (rows::times(batch, "first_ns")?, rows::times(batch, "last_ns")?);
            let trades = rows::whole(batch, "trades")?;
            let times = first.iter().zip(last);
            for (row, (stream, times)) in rows::ids(batch, "stream")?.iter().zip(times).enumerate()
            {
                let trades = rows::get(trades, row).unwrap_or_default();
                seen.insert(above(place, *stream), (*times.0, *times.1, trades));
            }
            Ok(())
        })?;
        if seen.is_empty() {
            return Ok(());
        }
        let mut sessions = HashMap::new();
        self.source.scan_all("session", &["session", "last_ns", "own"], |place, batch| {
            let names = rows::texts(batch, "session")?;
            let last = rows::whole(batch, "last_ns")?;
            let own = batch.column_by_name("own").and_then(|own| own.as_boolean_opt());
            for row in 0..batch.num_rows() {
                let Some(name) = rows::text(names, row) else { continue };
                let own = own.is_some_and(|own| own.value(row));
                sessions.insert((place, name.to_owned()), (rows::get(last, row), own));
            }
            Ok(())
        })?;
        let mut streams = HashMap::new();
        self.source.scan_all("stream", &["stream", "session", "conn", "sid"], |place, batch| {
            let names = rows::texts(batch, "session")?;
            let (conns, sids) = (rows::whole(batch, "conn")?, rows::whole(batch, "sid")?);
            for (row, stream) in rows::ids(batch, "stream")?.iter().enumerate() {
                let number = above(place, *stream);
                let Some(&(first_ns, last_ns, trades)) = seen.get(&number) else { continue };
                let session = rows::text(names, row).unwrap_or_default();
                if !self.source.counts(place, session) {
                    continue;
                }
                let (session_last_ns, own) =
                    sessions.get(&(place, session.to_owned())).copied().unwrap_or_default();
                streams.insert(
                    number,
                    Stream {
                        session: session.to_owned(),
                        conn: rows::get(conns, row).unwrap_or_default(),
                        sid: rows::get(sids, row),
                        trades,
                        first_ns,
                        last_ns,
                        session_last_ns: session_last_ns.unwrap_or(last_ns),
                        own,
                    },
                );
            }
            Ok(())
        })?;
        self.streams = streams;
        Ok(())
    }

    fn find_spans(&mut self) -> Result<(), Error> {
        let columns = &["span", "stream", "from_ns", "to_ns", "from_seq", "to_seq", "ended_by"];
        let mut spans = Vec::new();
        self.source.scan("span", columns, ALWAYS, |place, batch| {
            let (streams, ends) = (rows::ids(batch, "stream")?, rows::texts(batch, "ended_by")?);
            let (from, to) = (rows::times(batch, "from_ns")?, rows::times(batch, "to_ns")?);
            let (first, last) = (rows::whole(batch, "from_seq")?, rows::whole(batch, "to_seq")?);
            let times = from.iter().zip(to);
            let numbers = rows::ids(batch, "span")?.iter().zip(streams);
            for (row, ((span, stream), (from, to))) in numbers.zip(times).enumerate() {
                let stream = above(place, *stream);
                if self.streams.contains_key(&stream) {
                    spans.push(Span {
                        span: above(place, *span),
                        stream,
                        from_ns: *from,
                        to_ns: *to,
                        from_seq: rows::get(first, row).unwrap_or_default(),
                        to_seq: rows::get(last, row).unwrap_or_default(),
                        ended_by: rows::text(ends, row).unwrap_or_default().to_owned(),
                    });
                }
            }
            Ok(())
        })?;
        spans.sort_by_key(|span| (span.from_ns, span.span));
        self.spans = spans;
        Ok(())
    }

    /// Its name.
    pub(super) fn ticker(&self) -> &str {
        &self.source.ticker
    }

    /// The first and last time at which anything of it was recorded.
    pub(super) fn recorded(&self) -> (i64, i64) {
        let first = self.streams.values().map(|stream| stream.first_ns).min();
        let last = self.streams.values().map(|stream| stream.last_ns).max();
        (first.unwrap_or_default(), last.unwrap_or_default())
    }

    /// The stream of a span.
    pub(super) fn stream(&self, span: &Span) -> Option<&Stream> {
        self.streams.get(&span.stream)
    }

    /// The times in which the book is known, oldest first and without overlap: where two recorders
    /// have it at once, the span that started last counts.
    pub(super) fn live(&self) -> Vec<Piece<'_>> {
        live(&self.spans)
    }
}

/// `spans` in the order of their start.
fn live(spans: &[Span]) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut edges: Vec<i64> = spans.iter().flat_map(|span| [span.from_ns, span.to_ns]).collect();
    edges.sort_unstable();
    edges.dedup();
    // The one that started last is on top.
    let mut open: BinaryHeap<(i64, u64, Reverse<usize>)> = BinaryHeap::new();
    let mut next = spans.iter().enumerate().peekable();
    for (from_ns, to_ns) in edges.iter().copied().zip(edges.iter().copied().skip(1)) {
        while let Some((place, span)) = next.next_if(|(_, span)| span.from_ns <= from_ns) {
            open.push((span.from_ns, span.span, Reverse(place)));
        }
        let span = loop {
            let Some((_, _, Reverse(place))) = open.peek() else { break None };
            match spans.get(*place).filter(|span| span.to_ns > from_ns) {
                Some(span) => break Some(span),
                None => drop(open.pop()),
            }
        };
        let Some(span) = span else { continue };
        match pieces.last_mut().filter(|last| last.span == span && last.to_ns == from_ns) {
            Some(last) => last.to_ns = to_ns,
            None => pieces.push(Piece { from_ns, to_ns, span }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(number: u64, from_ns: i64, to_ns: i64) -> Span {
        let (from_seq, to_seq) = (1, 2);
        Span { span: number, stream: 1, from_ns, to_ns, from_seq, to_seq, ended_by: String::new() }
    }

    #[test]
    fn at_each_moment_the_span_that_started_last_counts() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let mut spans: Vec<Span> = (0..random.u64(0..8))
                .map(|number| {
                    let from = random.i64(0..30);
                    span(number, from, from + random.i64(0..12))
                })
                .collect();
            spans.sort_by_key(|span| (span.from_ns, span.span));
            let pieces = live(&spans);
            for moment in -1..45 {
                let covers = |span: &&Span| span.from_ns <= moment && moment < span.to_ns;
                let expected = spans.iter().filter(covers).max_by_key(|s| (s.from_ns, s.span));
                let found: Vec<_> =
                    pieces.iter().filter(|p| p.from_ns <= moment && moment < p.to_ns).collect();
                assert!(found.len() < 2);
                assert_eq!(found.first().map(|piece| piece.span), expected, "{spans:?} {moment}");
            }
            assert!(pieces.is_sorted_by(
                |a, b| a.to_ns <= b.from_ns && (a.to_ns < b.from_ns || a.span != b.span)
            ));
        }
    }
}
