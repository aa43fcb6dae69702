//! Every fault of the sandbox exchange against the recorder: what the tape says afterwards, that no
//! market stays dark and that nothing is tried in a storm. The cases are the table of
//! `docs/faults.md`.

mod run;
mod table;

use futures_util::future::join_all;

use table::CASES;

/// Cases at a time.
const AT_ONCE: usize = 10;

struct Case {
    name: &'static str,
    faults: &'static [&'static str],
    wire: &'static str,
    recorder: &'static str,
    /// The tape's events besides those of every recording, in order.
    tape: &'static [&'static str],
    /// The holes that `kalshi analyze gaps` lists.
    gaps: &'static [&'static str],
}

impl Case {
    fn row(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(|spec| format!("`{spec}`")).collect();
        let list = |items: &[&str], none: &str| match items {
            [] => none.to_owned(),
            items => items.join("; "),
        };
        let tape = list(self.tape, "nothing").replace("..", " (one or more)");
        let gaps = list(self.gaps, "none");
        let [name, wire, recorder] = [self.name, self.wire, self.recorder];
        format!("| {name} | {} | {wire} | {recorder} | {tape} | {gaps} |\n", faults.join(" "))
    }
}

/// `KALSHI_FAULT_CASE=NAME` runs one.
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_told_and_got_over() {
    let only = std::env::var("KALSHI_FAULT_CASE").ok();
    let chosen = CASES.iter().filter(|case| only.as_ref().is_none_or(|name| name == case.name));
    let chosen: Vec<&Case> = chosen.collect();
    let mut failed = Vec::new();
    for cases in chosen.chunks(AT_ONCE) {
        // What is recorded should not wait for what is checked.
        let runs = join_all(cases.iter().map(|case| tokio::spawn(case.record()))).await;
        for (case, run) in cases.iter().zip(runs) {
            let run = run.unwrap_or_else(|panic| Err(panic.to_string()));
            let end = run.and_then(|recorded| case.check(&recorded));
            failed.extend(end.err().map(|what| format!("{}: {what}", case.name)));
        }
    }
    assert!(failed.is_empty(), "{} cases:\n{}", failed.len(), failed.join("\n"));
}

/// `KALSHI_WRITE_DOCS=1` brings the page up to date.
#[test]
fn the_page_on_faults_tells_every_case() {
    const START: &str = "|---|---|---|---|---|---|\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (head, rest) = page.split_once(START).unwrap();
    let (_, tail) = rest.split_once("\n\n").unwrap();
    let rows: String = CASES.iter().map(Case::row).collect();
    let right = format!("{head}{START}{rows}\n{tail}");
    if std::env::var_os("KALSHI_WRITE_DOCS").is_some() {
        std::fs::write(path, &right).unwrap();
        return;
    }
    assert!(page == right, "docs/faults.md is not up to date: KALSHI_WRITE_DOCS=1 writes it");
}
