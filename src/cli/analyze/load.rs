//! Loading the log folder, and telling what was odd in it.

use indicatif::{ProgressBar, ProgressStyle};
use kalshi_orderbook::analysis::Analyzer;

use super::{Common, Failure, Limits, output};
use crate::cli::interrupt;

/// On a terminal, how far the digestion of new recordings has come.
fn progress() -> ProgressBar {
    let bar = ProgressBar::no_length();
    let template = "digesting {wide_bar} {bytes}/{total_bytes} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Brings the lake of the log folder up to date; oddities that may hide data are told on standard error.
pub(crate) fn load(common: &Common, limits: Limits) -> Result<Analyzer, Failure> {
    let analyzer = Analyzer::with(limits.options());
    interrupt::end_at_signal(analyzer.interrupter())?;
    digest(common, &analyzer)?;
    Ok(analyzer)
}

/// Digests what is new into the lake.
pub(super) fn digest(common: &Common, analyzer: &Analyzer) -> Result<(), Failure> {
    let lake = common.lake_dir.as_deref();
    let bar = progress();
    let report = analyzer.load(&common.log_dir, lake, &|read, total| {
        bar.set_length(total.max(read));
        bar.set_position(read);
    })?;
    bar.finish_and_clear();
    if !analyzer.has_recordings() {
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
    for (path, damage) in &report.damaged {
        output::warn(common, &format!("was read up to its damage: {}: {damage}", path.display()));
    }
    if let Some(reason) = &report.renewed {
        output::warn(common, &format!("the lake was built anew: {reason}"));
    }
    if let Some(first) = report.gone.first() {
        let text = format!(
            "{} recordings that the lake has are no longer there, the first is {}: deleting the lake forgets them",
            report.gone.len(),
            first.display()
        );
        output::warn(common, &text);
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
    Ok(())
}
