//! A sound segment that is then damaged: what stands before the damage is read, and a damage to
//! what was sealed is noticed.

use std::{fs, path::Path};

use kalshi_orderbook::tape::{
    Archive, Event, FORMAT, Reader, SegmentWriter, SessionInfo, Stamp, compress, verify,
    write_event, write_frame,
};

use super::folder::with_folder;

/// The first three bytes say what the segment is: how many frames, in which form it lies on disk,
/// and what is lost of it. Each four that follow are a damage.
pub fn holds(bytes: &[u8]) {
    let [frames, form, lost, damages @ ..] = bytes else { return };
    with_folder(|folder| {
        let Some(path) = record(folder, u64::from(*frames % 32), *form, u64::from(*lost)) else {
            panic!("not recorded")
        };
        let Some(whole) = lines(&path) else { panic!("not read") };
        assert!(is_sound(folder), "damaged before it was");
        let Ok(mut file) = fs::read(&path) else { panic!("not read") };
        let before = file.clone();
        for damage in damages.chunks_exact(4).take(4) {
            if let &[how, high, low, byte] = damage {
                harm(&mut file, how, usize::from(high) << 8 | usize::from(low), byte);
            }
        }
        if fs::write(&path, &file).is_err() {
            return;
        }
        let same = file.iter().zip(&before).take_while(|(now, was)| now == was).count();
        let sealed = *form % 3 > 0;
        if path.extension().is_some_and(|ending| ending == "zst") {
            // Where it can still be unpacked to the same lines, nothing is damaged.
            let unharmed =
                lines(&path).is_some_and(|now| until_closed(&now) == until_closed(&whole));
            assert!(unharmed || !is_sound(folder), "a damaged file passes");
            return;
        }
        let now = lines(&path).unwrap_or_default();
        let spared = whole_lines(before.get(..same).unwrap_or_default());
        assert_eq!(now.get(..spared), whole.get(..spared), "lines before the damage are lost");
        assert!(
            !sealed || until_closed(&now) == until_closed(&whole) || !is_sound(folder),
            "a damaged file passes"
        );
    });
}

/// A session of one segment, with the frame `lost` declared as missing.
fn record(folder: &Path, frames: u64, form: u8, lost: u64) -> Option<std::path::PathBuf> {
    let session = "3f9a1c07be52";
    let stamp = Stamp { start_ns: 0, session: session.to_owned(), number: 0 };
    let mut segment = SegmentWriter::create(folder, &stamp).ok()?;
    let mut text = Vec::new();
    let info = SessionInfo {
        format: FORMAT,
        session: session.into(),
        segment: 0,
        version: "0".into(),
        env: "sandbox".into(),
        host: "h".into(),
        config: std::borrow::Cow::Owned(serde_json::value::to_raw_value(&()).ok()?),
    };
    write_event(&mut text, 0, None, &Event::Session(info));
    write_event(
        &mut text,
        0,
        Some(1),
        &Event::Connected { url: "ws://localhost".into(), markets: 1 },
    );
    let (mut line_count, mut frame_count) = (2, 0);
    for seq in 1..=frames {
        if seq == lost {
            continue;
        }
        if seq == lost.saturating_add(1) && lost > 0 {
            let gap = Event::Gap { sid: 2, expected: lost, got: seq };
            write_event(&mut text, 1, Some(1), &gap);
            line_count += 1;
        }
        let frame = format!(r#"{{"type":"orderbook_delta","sid":2,"seq":{seq}}}"#);
        write_frame(&mut text, 1, 1, &frame);
        line_count += 1;
        frame_count += 1;
    }
    segment.append(&text, line_count, frame_count).ok()?;
    if form.is_multiple_of(3) {
        return Some(segment.path().to_owned());
    }
    let (path, _) = segment.seal_last(2).ok()?;
    if form % 3 == 1 { Some(path) } else { compress(&path).ok() }
}

/// Cuts, flips, puts in or takes out.
fn harm(file: &mut Vec<u8>, how: u8, at: usize, byte: u8) {
    let at = at % file.len().max(1);
    match how % 4 {
        0 => file.truncate(at),
        1 => {
            if let Some(found) = file.get_mut(at) {
                *found ^= byte;
            }
        }
        2 => file.insert(at.min(file.len()), byte),
        _ => drop(file.drain(at..(at + usize::from(byte)).min(file.len()))),
    }
}

/// The file's lines as far as they can be read; nothing where it cannot be opened or read.
fn lines(path: &Path) -> Option<Vec<Vec<u8>>> {
    let mut reader = Reader::open(path).ok()?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line().ok()? {
        lines.push(line.bytes.to_vec());
    }
    Some(lines)
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// What the closing line speaks of: everything before it.
fn until_closed(lines: &[Vec<u8>]) -> &[Vec<u8>] {
    lines.split_last().map_or(&[], |(_, before)| before)
}

fn is_sound(folder: &Path) -> bool {
    let proof = Archive::open(folder).map(|archive| verify(&archive, |_| {}));
    proof.is_ok_and(|proof| !proof.is_damaged())
}
