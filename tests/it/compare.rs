//! Asks the library for books and lays them beside the naive ones.

use std::{
    fmt::{Display, Write},
    time::{Duration, Instant},
};

use fastrand::Rng;
use kalshi_orderbook::{
    analysis::{Analyzer, Error, MarketBook, Status},
    protocol::Side,
};

use crate::naive::{Known, Ladder, Ladders, Recording, State, Stream};

/// The most differences that are told one by one.
const TOLD: usize = 12;

/// What was compared, and what was not the same.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) markets: usize,
    /// Books by what the naive side says of them.
    pub(crate) known: usize,
    pub(crate) perhaps: usize,
    pub(crate) unknown: usize,
    pub(crate) refused: usize,
    pub(crate) differences: Vec<String>,
    pub(crate) asking: Duration,
}

impl Tally {
    pub(crate) fn books(&self) -> usize {
        self.known + self.perhaps + self.unknown
    }

    pub(crate) fn differ(&mut self, what: impl Into<String>) {
        self.differences.push(what.into());
    }

    /// Prints the figures, and fails where anything differs.
    pub(crate) fn conclude(&self, of: impl Display) {
        let each = self.asking.as_secs_f64() * 1e3 / self.books().max(1) as f64;
        eprintln!(
            "{of}: {} markets, {} books ({} known, {} perhaps, {} unknown of which {} refused), {} differ; {each:.2} ms a book",
            self.markets,
            self.books(),
            self.known,
            self.perhaps,
            self.unknown,
            self.refused,
            self.differences.len(),
        );
        let told: String =
            self.differences.iter().take(TOLD).fold(String::new(), |mut all, one| {
                writeln!(all, "  {one}").unwrap();
                all
            });
        assert!(self.differences.is_empty(), "{of}: {} differ:\n{told}", self.differences.len());
        assert!(self.known > 0, "{of}: nothing was compared");
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.markets += other.markets;
        self.known += other.known;
        self.perhaps += other.perhaps;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.differences.extend(other.differences);
        self.asking += other.asking;
    }
}

/// The library's book in the naive side's terms.
pub(crate) fn ladders(book: &MarketBook) -> Ladders {
    let side = |side| {
        book.book
            .levels(side)
            .map(|(price, size)| (i64::from(price.units()), size.units()))
            .collect()
    };
    Ladders { yes: side(Side::Yes), no: side(Side::No) }
}

/// The first levels that are not the same.
pub(crate) fn difference(found: &Ladders, right: &Ladders) -> Option<String> {
    let side = |name: &str, found: &Ladder, right: &Ladder| {
        let prices = found.keys().chain(right.keys());
        let mut differ: Vec<_> = prices.filter(|p| found.get(p) != right.get(p)).collect();
        differ.sort();
        differ.dedup();
        let first = differ.first()?;
        let (f, r) = (found.get(first), right.get(first));
        Some(format!("{} {name} levels differ, first {first}: {f:?} should be {r:?}", differ.len()))
    };
    side("yes", &found.yes, &right.yes).or_else(|| side("no", &found.no, &right.no))
}

/// What one stream says of a market's book.
pub(crate) struct Witness<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) known: Known,
    pub(crate) state: State,
}

/// Lays one answer beside what the streams of the market say.
pub(crate) fn judge(
    tally: &mut Tally,
    place: &str,
    answer: Result<MarketBook, Error>,
    witnesses: &[Witness<'_>],
) {
    let best = witnesses.iter().map(|w| w.known).max().unwrap_or(Known::No);
    *match best {
        Known::Yes => &mut tally.known,
        Known::Perhaps => &mut tally.perhaps,
        Known::No => &mut tally.unknown,
    } += 1;
    let book = match answer {
        Ok(book) => book,
        Err(error) if best == Known::No => {
            tally.refused += 1;
            // A market whose last right book is known is stale, and no error.
            if witnesses.iter().any(|w| w.state.book.is_some()) {
                tally.differ(format!("{place}: an error instead of the last right book: {error}"));
            }
            return;
        }
        Err(error) => return tally.differ(format!("{place}: {error}")),
    };
    let found = ladders(&book);
    let empty = found.yes.is_empty() && found.no.is_empty();
    match (&book.status, best) {
        (Status::Ok, Known::Yes | Known::Perhaps) if !empty => {}
        (Status::Empty, Known::Yes | Known::Perhaps) if empty => {}
        (Status::Stale { .. }, Known::No | Known::Perhaps) => {}
        (status, _) => tally.differ(format!(
            "{place}: {status:?} of {} levels, but known: {best:?}",
            found.yes.len() + found.no.len()
        )),
    }
    // Of several streams that know, any will do; where none does, the last right book.
    let mut problem = None;
    for witness in witnesses.iter().filter(|w| w.known == best) {
        let Some(right) = &witness.state.book else { continue };
        let marks = witness.state.mark.map(|(seq, ns)| (i64::try_from(seq).unwrap(), ns));
        let (seq, ns) = marks.unwrap();
        let other = difference(&found, right)
            .or_else(|| {
                (book.seq != seq).then(|| format!("last frame {} should be {seq}", book.seq))
            })
            .or_else(|| {
                let told = book.recv_ns.filter(|told| *told != ns)?;
                Some(format!("frame {seq} came at {told}, should be {ns}"))
            });
        match other {
            None => return,
            Some(other) => problem = Some((other, witness)),
        }
    }
    match problem {
        Some((other, witness)) => tally.differ(format!(
            "{place}: {other} (conn {} sid {}; the answer is {} conn {} seq {}, {})",
            witness.stream.conn,
            witness.stream.sid,
            book.session,
            book.conn,
            book.seq,
            book.status.as_str(),
        )),
        None => tally.differ(format!("{place}: a {} book where none is", book.status.as_str())),
    }
}

/// Compares every market at so many instants and numbers.
pub(crate) fn all_markets(
    analyzer: &Analyzer,
    recording: &Recording,
    instants: usize,
    numbers: usize,
    rng: &mut Rng,
) -> Tally {
    let mut tally = Tally::default();
    for ticker in recording.markets() {
        let streams = recording.streams_of(&ticker);
        tally.markets += 1;
        at_instants(
            &mut tally,
            analyzer,
            &ticker,
            &streams,
            choose(&ticker, &streams, instants, rng),
        );
        at_numbers(&mut tally, analyzer, &ticker, &streams, numbers, rng);
    }
    tally
}

/// Instants between the first and last frame: of frames, one ns before a frame, and any.
fn choose(ticker: &str, streams: &[&Stream], count: usize, rng: &mut Rng) -> Vec<i64> {
    let steps: Vec<_> = streams.iter().flat_map(|stream| &stream.steps).collect();
    let own: Vec<_> = steps.iter().filter(|s| s.is_book() && s.ticker == ticker).collect();
    let times = || steps.iter().map(|step| step.ns).filter(|ns| *ns > i64::MIN);
    // A recording without receive times may hold nothing but a snapshot.
    let (Some(first), Some(last)) = (times().min(), times().max()) else { return Vec::new() };
    let mut instants = vec![first, last, last + 1, last + 3_600_000_000_000];
    for n in 0..count.saturating_sub(instants.len()) {
        instants.push(match n % 4 {
            0 => steps[rng.usize(..steps.len())].ns,
            1 => own[rng.usize(..own.len())].ns,
            2 => own[rng.usize(..own.len())].ns.saturating_sub(1),
            _ => rng.i64(first..=last),
        });
    }
    instants.retain(|ns| *ns > first - 2);
    instants.sort_unstable();
    instants
}

/// A stream, and how far it had come and what it said at each instant.
type Told<'a> = (&'a Stream, Vec<(usize, Known)>, Vec<State>);

/// Compares a market at instants, which must rise.
pub(crate) fn at_instants(
    tally: &mut Tally,
    analyzer: &Analyzer,
    ticker: &str,
    streams: &[&Stream],
    instants: Vec<i64>,
) {
    let told: Vec<Told<'_>> = streams
        .iter()
        .map(|stream| {
            let places: Vec<_> = instants.iter().map(|ns| stream.at(*ns)).collect();
            let after: Vec<_> = places.iter().map(|(come, _)| *come).collect();
            (*stream, places, stream.states(ticker, &after))
        })
        .collect();
    for (n, at) in instants.iter().enumerate() {
        let mut witnesses = Vec::new();
        for (stream, places, states) in &told {
            let state = states[n].clone();
            let known = if state.known { places[n].1 } else { Known::No };
            witnesses.push(Witness { stream, known, state });
        }
        keep_newest(&mut witnesses);
        let start = Instant::now();
        let answer = analyzer.reconstruct_book_at(ticker, *at);
        tally.asking += start.elapsed();
        judge(tally, &format!("{ticker} at {at}"), answer, &witnesses);
    }
}

/// Of the streams that know nothing any more, only the newest is asked for its last right book.
fn keep_newest(witnesses: &mut Vec<Witness<'_>>) {
    if witnesses.iter().any(|w| w.known != Known::No) {
        return;
    }
    let newest = witnesses.iter().filter_map(|w| w.state.mark).map(|(_, ns)| ns).max();
    witnesses.retain(|w| w.state.mark.map(|(_, ns)| ns) == newest);
}

fn at_numbers(
    tally: &mut Tally,
    analyzer: &Analyzer,
    ticker: &str,
    streams: &[&Stream],
    count: usize,
    rng: &mut Rng,
) {
    let mut numbers: Vec<u64> = (0..count)
        .map(|_| {
            let steps = &streams[rng.usize(..streams.len())].steps;
            steps[rng.usize(..steps.len())].seq
        })
        .collect();
    numbers.sort_unstable();
    for seq in numbers {
        // The newest stream that has one of this number.
        let newest =
            streams.iter().filter(|s| s.at_seq(seq).is_some()).max_by_key(|s| s.steps[0].ns);
        let Some(stream) = newest else { continue };
        let state = stream.states(ticker, &[stream.at_seq(seq).unwrap()]).remove(0);
        let known = if state.known { Known::Yes } else { Known::No };
        let start = Instant::now();
        let answer = analyzer.reconstruct_book_at_seq(ticker, i64::try_from(seq).unwrap());
        tally.asking += start.elapsed();
        let place = format!("{ticker} seq {seq}");
        judge(tally, &place, answer, &[Witness { stream, known, state }]);
    }
}
