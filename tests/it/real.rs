//! Real recordings, which are not part of this repository: `KALSHI_REAL_DATA` names their folder.

use std::{io::Write, path::PathBuf};

use kalshi_orderbook::lake::Outcome;

use crate::tape::Loaded;

/// Loads a set of recordings, or says why not.
fn load(set: &str) -> Option<Loaded> {
    let folder = std::env::var_os("KALSHI_REAL_DATA").map(|folder| PathBuf::from(folder).join(set));
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        drop(writeln!(std::io::stderr(), "skipped: KALSHI_REAL_DATA names no folder with `{set}`"));
        return None;
    };
    let (analyzer, report) = Loaded::elsewhere(&folder);
    assert!(report.segments.iter().all(|segment| segment.counts.is_conserved()));
    assert!(report.segments.iter().all(|segment| segment.damage.is_none()));
    Some(analyzer)
}

#[test]
fn clean_recordings_have_no_hole_within_a_connection() {
    for set in ["frames-2026", "frames-2025-legacy", "other-recorder-format"] {
        let Some(analyzer) = load(set) else { continue };
        let gaps = analyzer.gaps().unwrap();
        assert!(gaps.iter().all(|gap| gap.kind == "disconnected"), "{set}");
        let total = analyzer.report().total();
        let unused = [Outcome::Other, Outcome::Repeat, Outcome::Unreadable].map(|o| total.of(o));
        assert_eq!((total.rubbish, total.torn, unused), (0, 0, [0; 3]), "{set}");
    }
}

#[test]
fn recordings_with_missing_hours_are_stale_there() {
    let Some(analyzer) = load("frames-2026-gappy") else { return };
    let gaps = analyzer.gaps().unwrap();
    let missing: Vec<_> = gaps.iter().filter(|gap| gap.kind == "sequence").collect();
    assert_eq!(missing.len(), 15);
    for gap in missing.iter().filter(|gap| gap.ts_found > gap.ts_from) {
        let ticker = gap.tickers.as_deref().unwrap();
        let inside =
            gap.ts_from.unwrap().0 + (gap.ts_found.unwrap().0 - gap.ts_from.unwrap().0) / 2;
        let found = analyzer.reconstruct_book_at(ticker, inside).unwrap();
        assert_eq!(found.status.as_str(), "stale", "{gap:?}");
    }
}

#[test]
fn small_recordings_of_each_shape_lose_no_line() {
    let Some(analyzer) = load("small") else { return };
    let report = analyzer.report();
    assert_eq!((report.total().rubbish, report.total().torn), (0, 0));
    assert_eq!(report.foreign.len(), 4, "{:?}", report.foreign);
    assert!(report.oddities()["other protocol"].count > 100);
}
