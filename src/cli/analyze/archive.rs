//! `kalshi analyze markets`, `coverage` and `gaps`: what the archive holds, and what it does not.

use std::process::ExitCode;

use kalshi_orderbook::analysis::Analyzer;

use super::{Common, Failure, output};

pub(crate) fn markets(common: &Common, analyzer: &Analyzer) -> Result<ExitCode, Failure> {
    let markets = analyzer.markets()?;
    output::rows(common, &markets)?;
    let holes = markets.iter().any(|market| market.holes > 0);
    Ok(ExitCode::from(if holes && common.strict { 3 } else { 0 }))
}

pub(crate) fn coverage(common: &Common, analyzer: &Analyzer) -> Result<ExitCode, Failure> {
    let coverage = analyzer.coverage()?;
    output::rows(common, &coverage)?;
    let holes = coverage.iter().any(|hour| hour.holes > 0);
    Ok(ExitCode::from(if holes && common.strict { 3 } else { 0 }))
}

pub(crate) fn gaps(common: &Common, analyzer: &Analyzer) -> Result<ExitCode, Failure> {
    let gaps = analyzer.gaps()?;
    output::rows(common, &gaps)?;
    Ok(ExitCode::from(if !gaps.is_empty() && common.strict { 3 } else { 0 }))
}
