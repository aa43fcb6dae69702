//! The list of markets: from arguments, a file, or standard input.

use std::{
    collections::HashSet,
    fs,
    io::{self, IsTerminal, Read},
    path::Path,
};

use anyhow::Context;
use kalshi_orderbook::protocol::Ticker;

use super::failure::{Failure, PEM_START};

const HINT: &str = "give tickers as arguments, with --tickers-file FILE, or on standard input: \
                    `cat tickers.txt | kalshi ingest`";
/// Of a wrong file, this many lines are enough to see it.
const SHOWN_MAX: usize = 5;

/// The markets asked for, each once, in the order given; there may be none.
pub(crate) fn gather(arguments: &[String], file: Option<&Path>) -> Result<Vec<Ticker>, Failure> {
    let mut texts = vec![("argument", arguments.join("\n"))];
    if let Some(path) = file {
        let read = if path == Path::new("-") {
            io::read_to_string(io::stdin()).context("read tickers from standard input")
        } else {
            fs::read_to_string(path)
                .with_context(|| format!("read tickers file `{}`", path.display()))
        };
        texts.push(("line", read?));
    } else if arguments.is_empty() && !io::stdin().is_terminal() {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("read tickers from standard input")?;
        texts.push(("line", text));
    }
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for (unit, text) in &texts {
        if text.contains(PEM_START) {
            return Err(Failure::usage("the tickers are a private key").with_hint(HINT));
        }
        parse(unit, text, &mut found, &mut wrong);
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(SHOWN_MAX);
        wrong.truncate(SHOWN_MAX);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return Err(Failure::usage(format!("{}{more}", wrong.join("; "))).with_hint(HINT));
    }
    let mut seen = HashSet::new();
    found.retain(|ticker: &Ticker| seen.insert(ticker.clone()));
    Ok(found)
}

/// One ticker a line; `#` starts a comment.
fn parse(unit: &str, text: &str, found: &mut Vec<Ticker>, wrong: &mut Vec<String>) {
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let ticker = line.split('#').next().unwrap_or_default().trim();
        if ticker.is_empty() {
            continue;
        }
        match ticker.parse() {
            Ok(ticker) => found.push(ticker),
            Err(error) => wrong.push(format!("{unit} {}: {error}", number + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_people_keep_them_are_read() {
        let text = "\u{feff}# my list\r\nKXA-1\r\n\r\n  kxb-2.5  # lower case\nKXC-3";
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        parse("line", text, &mut found, &mut wrong);
        let found: Vec<_> = found.iter().map(Ticker::as_str).collect();
        assert_eq!((found, wrong), (vec!["KXA-1", "KXB-2.5", "KXC-3"], Vec::new()));
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        let (mut found, mut wrong) = (Vec::new(), Vec::new());
        parse("line", "KXA-1\nKX A\n{\"json\":1}\n", &mut found, &mut wrong);
        assert_eq!((found.len(), wrong.len()), (1, 2));
        assert!(wrong.iter().all(|text| text.contains("is not a ticker")), "{wrong:?}");
        assert!(wrong.first().is_some_and(|text| text.starts_with("line 2: `KX A`")), "{wrong:?}");
    }

    #[test]
    fn duplicates_are_recorded_once() {
        let arguments = ["KXA-1", "kxa-1", "KXB-1"].map(str::to_owned);
        assert_eq!(gather(&arguments, None).unwrap().len(), 2);
    }
}
