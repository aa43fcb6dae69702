//! Loading the log folder, and telling what was odd in it.

use std::{path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kalshi_orderbook::analysis::Analyzer;

use super::{Common, Failure, Limits, output};
use crate::cli::interrupt;

/// What is done before this needs no progress, and how long the rest takes is not known yet.
const QUICK: Duration = Duration::from_millis(700);

/// What there are more of, where some are named.
const DAMAGED: &str = "more damaged recordings; `kalshi verify` names all";

/// On a terminal, how far the digestion of new recordings has come. How much text compressed ones
/// hold is a guess.
fn progress() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let template = "digesting {wide_bar} {decimal_bytes} of about {decimal_total_bytes}, {eta}";
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
        if bar.is_hidden() && bar.elapsed() > QUICK {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
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
    let damage = report.segments.iter().filter_map(|segment| segment.damage.as_ref());
    let damage: Vec<_> = damage.map(|text| format!("read up to its damage: {text}")).collect();
    output::warn_of(common, &damage, DAMAGED);
    // What was wrong names the file as it was called then.
    let damage = report.damaged.iter().map(|(path, text)| {
        let path = path.display().to_string();
        let place = if text.contains(&path) { String::new() } else { format!("{path}: ") };
        format!("was read up to its damage: {place}{text}")
    });
    output::warn_of(common, &damage.collect::<Vec<_>>(), DAMAGED);
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
    let files = |paths: &[PathBuf], what: &str| {
        let text = |path: &PathBuf| format!("{what}: {}", path.display());
        let texts: Vec<_> = paths.iter().map(text).collect();
        output::warn_of(common, &texts, "more such files");
    };
    files(&report.foreign, "not read, unreadable or no recording");
    files(&report.known, "the same recording as another file, left out");
    Ok(())
}
