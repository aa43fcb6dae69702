//! Loading the log folder, and telling what was odd in it.

use kalshi_orderbook::analysis::Analyzer;

use super::{Common, Failure, output};

/// Loads the log folder; oddities that may hide data are told on standard error.
pub(crate) fn load(common: &Common) -> Result<Analyzer, Failure> {
    let analyzer = Analyzer::new()?;
    let report = analyzer.load_logs(&common.log_dir)?;
    if report.segments.is_empty() {
        let failure = Failure::from(anyhow::anyhow!(
            "there is no recording in `{}`",
            common.log_dir.display()
        ));
        return Err(
            failure.with_hint("record with `kalshi ingest`, or give another folder with --log-dir")
        );
    }
    for (kind, first) in report.oddities() {
        let place = format!("{} line {}", first.path.display(), first.line);
        let reason =
            if first.reason.is_empty() { String::new() } else { format!(" ({})", first.reason) };
        output::warn(common, &format!("{kind}: {} times, first in {place}{reason}", first.count));
    }
    for segment in &report.segments {
        if let Some(damage) = &segment.damage {
            output::warn(common, &format!("read up to its damage: {damage}"));
        }
    }
    for path in &report.foreign {
        output::warn(common, &format!("not read, unreadable or no recording: {}", path.display()));
    }
    for path in &report.known {
        output::warn(
            common,
            &format!("the same recording as another file, left out: {}", path.display()),
        );
    }
    Ok(analyzer)
}
