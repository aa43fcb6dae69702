//! The inputs that the fuzz targets found of interest, on every build.

use std::{fs, panic::catch_unwind, path::Path};

#[expect(unreachable_pub, reason = "the fuzz targets, of another package, are public")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn replay(target: &str, holds: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() > 10, "{inputs:?}");
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        assert!(catch_unwind(|| holds(&bytes)).is_ok(), "{}", input.display());
    }
}

#[test]
fn frames() {
    replay("frame", targets::frame::holds);
}

#[test]
fn records() {
    replay("record", targets::record::holds);
}

#[test]
fn tapes() {
    replay("tape", targets::tape::holds);
}

#[test]
fn recoveries() {
    replay("recovery", targets::recovery::holds);
}

#[test]
fn texts() {
    replay("text", targets::text::holds);
}
