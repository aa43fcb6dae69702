//! Any bytes as a segment: reading and verifying take them, and account for each of them.

use std::{fs, path::Path};

use kalshi_orderbook::tape::{Archive, Proof, Reader, SegmentState, verify};

use super::folder::with_folder;

/// The names that a file may have, and so what it promises.
const NAMES: [&str; 5] = [
    "20261122T144343Z-3f9a1c07be52-0000.jsonl",
    "20261122T144343Z-3f9a1c07be52-0000.sealed.jsonl",
    "20261122T144343Z-3f9a1c07be52-0000.jsonl.zst",
    "KXA-26NOV22-T1.jsonl",
    "KXA-26NOV22-T1.jsonl.zst",
];

/// The first byte is the file's name, the others are its bytes.
pub fn holds(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let Some(name) = NAMES.get(usize::from(*choice) % NAMES.len()) else { return };
    // Half of the compressed ones hold the bytes, half are the bytes.
    let compressed = name.ends_with(".zst") && *choice >= 128;
    with_folder(|folder| {
        let path = folder.join(name);
        let packed = if compressed { zstd::encode_all(bytes, 1).ok() } else { None };
        if fs::write(&path, packed.as_deref().unwrap_or(bytes)).is_err() {
            return;
        }
        let whole = (compressed || !name.ends_with(".zst")).then_some(bytes);
        read(&path, whole);
        verified(folder, whole);
    });
}

/// The lines, put together again, are the file.
fn read(path: &Path, whole: Option<&[u8]>) {
    let Ok(mut reader) = Reader::open(path) else { return };
    let (mut together, mut number) = (Vec::new(), 0);
    while let Ok(Some(line)) = reader.next_line() {
        number += 1;
        assert_eq!((line.number, line.offset), (number, together.len() as u64));
        together.extend_from_slice(line.bytes);
        together.extend_from_slice(if line.ended { b"\n" } else { b"" });
    }
    assert_eq!(reader.offset(), together.len() as u64);
    assert!(whole.is_none_or(|whole| whole == together), "the lines are not the file");
}

/// Every line is of a kind that is counted, or damage.
fn verified(folder: &Path, whole: Option<&[u8]>) {
    let Ok(proof) = Archive::open(folder).map(|archive| verify(&archive, |_| {})) else {
        panic!("cannot be verified")
    };
    let Proof { segments, holes, .. } = &proof;
    let [segment] = &**segments else { panic!("not one segment: {proof:?}") };
    let known = segment.frames + segment.events + segment.blank + segment.torn;
    assert!(known <= segment.lines && (known == segment.lines || !segment.damage.is_empty()));
    assert!(segment.torn <= 1 && segment.repeats <= segment.frames);
    assert!(whole.is_none_or(|whole| segment.bytes == whole.len() as u64));
    assert!(holes.iter().all(|hole| hole.found || hole.declared));
    let damaged = segment.state == SegmentState::Damaged;
    assert_eq!(damaged, !segment.damage.is_empty());
    assert!(!damaged || proof.is_damaged());
}
