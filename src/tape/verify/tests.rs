//! Archives that are sound, damaged, cut, moved and written meanwhile.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Proof, SegmentState, verify};
use crate::tape::{
    Archive, Event, FORMAT, SegmentWriter, SessionInfo, Stamp, compress, write_event, write_frame,
};

/// A session of two sealed segments: 2 x 50 frames of one subscription, without the numbers in
/// `lost`, which are declared if `declared`.
fn record(folder: &Path, lost: &[u64], declared: bool) -> Vec<PathBuf> {
    let mut last = 0;
    (0..2).map(|number| segment(folder, number, &mut last, lost, declared)).collect()
}

/// One segment of the session, after the frame `last`.
fn segment(folder: &Path, number: u32, last: &mut u64, lost: &[u64], declared: bool) -> PathBuf {
    let stamp = Stamp { start_ns: 0, session: "3f9a1c07be52".into(), number };
    let mut segment = SegmentWriter::create(folder, &stamp).unwrap();
    let mut lines = Vec::new();
    let config = serde_json::value::to_raw_value(&()).unwrap();
    let info = SessionInfo {
        format: FORMAT,
        session: "3f9a1c07be52".into(),
        segment: number,
        version: "0".into(),
        env: "sandbox".into(),
        host: "h".into(),
        config: std::borrow::Cow::Owned(config),
    };
    write_event(&mut lines, 0, None, &Event::Session(info));
    let mut count = (1, 0);
    if number == 0 {
        let connected = Event::Connected { url: "ws://localhost".into(), markets: 1 };
        write_event(&mut lines, 0, Some(1), &connected);
        count.0 += 1;
    }
    let first = u64::from(number) * 50 + 1;
    for seq in (first..first + 50).filter(|seq| !lost.contains(seq)) {
        if seq != *last + 1 && declared {
            let gap = Event::Gap { sid: 2, expected: *last + 1, got: seq };
            write_event(&mut lines, 0, Some(1), &gap);
            count.0 += 1;
        }
        *last = seq;
        let frame = format!(r#"{{"type":"orderbook_delta","sid":2,"seq":{seq}}}"#);
        write_frame(&mut lines, i64::try_from(seq).unwrap(), 1, &frame);
        count = (count.0 + 1, count.1 + 1);
    }
    segment.append(&lines, count.0, count.1).unwrap();
    if number == 1 { segment.seal_last(100) } else { segment.seal(100) }.unwrap().0
}

fn proof(folder: &Path) -> Proof {
    verify(&Archive::open(folder).unwrap(), |_| {})
}

#[test]
fn a_whole_archive_is_proven_raw_and_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[], true);
    assert!(!proof(folder.path()).is_damaged());
    for file in &files {
        compress(file).unwrap();
    }
    let proof = proof(folder.path());
    assert!(!proof.is_damaged(), "{proof:?}");
    assert!(proof.segments.iter().all(|s| s.state == SegmentState::Proven && s.frames == 50));
    assert!(proof.holes.is_empty());
}

#[test]
fn a_hole_is_damage_unless_it_was_declared() {
    for declared in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        // One inside a segment, one across the seam, one at the start of the connection.
        record(folder.path(), &[1, 20, 21, 50, 51], declared);
        let proof = proof(folder.path());
        let holes: Vec<_> = proof.holes.iter().map(|h| (h.expected, h.got)).collect();
        assert_eq!(holes, [(1, 2), (20, 22), (50, 52)]);
        assert!(proof.holes.iter().all(|hole| hole.found && hole.declared == declared));
        assert_eq!(proof.is_damaged(), !declared);
    }
}

#[test]
fn a_clock_that_was_set_back_puts_no_segment_out_of_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[50, 51], true);
    let later = files[0].with_file_name("19700101T010000Z-3f9a1c07be52-0000.sealed.jsonl");
    fs::rename(&files[0], &later).unwrap();
    let proof = proof(folder.path());
    assert!(!proof.is_damaged(), "{proof:?}");
    let paths: Vec<_> = proof.segments.into_iter().map(|s| s.path).collect();
    assert_eq!(paths, [&*later, &*files[1]]);
}

#[test]
fn a_subscription_that_begins_again_counts_from_1_again() {
    let folder = tempfile::tempdir().unwrap();
    let subscribed = r#"{"type":"subscribed","id":1,"msg":{"channel":"ticker","sid":2}}"#;
    let ticker = |seq: u64| format!(r#"{{"type":"ticker","sid":2,"seq":{seq},"msg":{{}}}}"#);
    let lines = [subscribed, &ticker(1), &ticker(2), subscribed, &ticker(1), &ticker(4)];
    fs::write(folder.path().join("KXA.jsonl"), lines.join("\n") + "\n").unwrap();
    let proof = proof(folder.path());
    assert_eq!(proof.segments[0].repeats, 0);
    let holes: Vec<_> = proof.holes.iter().map(|hole| (hole.expected, hole.got)).collect();
    assert_eq!(holes, [(2, 4)]);
}

#[test]
fn one_changed_byte_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = record(folder.path(), &[], true).remove(0);
    let whole = fs::read(&file).unwrap();
    // The closing line speaks of what stands before it.
    let closing = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap();
    for at in (0..closing).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(proof(folder.path()).is_damaged(), "byte {at} of {}", whole.len());
    }
}

#[test]
fn a_missing_segment_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[], true);
    fs::remove_file(&files[0]).unwrap();
    let proof = proof(folder.path());
    assert_eq!(proof.missing, ["segment 0 of session 3f9a1c07be52"]);
    assert!(proof.is_damaged());
}

#[test]
fn a_torn_tail_of_an_open_segment_is_no_damage_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = record(folder.path(), &[], true).remove(1);
    let whole = fs::read(&file).unwrap();
    let open = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
    fs::remove_file(&file).unwrap();
    let closing = whole[..whole.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
    for cut in 0..closing {
        fs::write(&open, &whole[..cut]).unwrap();
        let proof = proof(folder.path());
        assert!(!proof.is_damaged(), "cut at {cut}: {proof:?}");
        assert!(proof.segments.iter().map(|s| s.torn).sum::<u64>() <= 1);
    }
}

#[test]
fn a_sealed_file_that_is_cut_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = record(folder.path(), &[], true).remove(1);
    let whole = fs::read(&file).unwrap();
    for cut in [whole.len() - 1, whole.len() - 2, whole.len() - 40, whole.len() / 2, 300] {
        fs::write(&file, &whole[..cut]).unwrap();
        let damaged = proof(folder.path()).is_damaged();
        // Only the last line break can go without anything being lost.
        assert_eq!(damaged, cut != whole.len() - 1, "cut at {cut} of {}", whole.len());
    }
}

#[test]
fn a_sealed_segment_that_was_overwritten_is_damaged_by_its_name() {
    for rubbish in [vec![], vec![0; 4096], b"\n\n\n".to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(1);
        fs::write(&file, &rubbish).unwrap();
        let found = proof(folder.path());
        assert_eq!(found.segments[1].state, SegmentState::Damaged, "{found:?}");
        assert_eq!(found.segments[1].session.as_deref(), Some("3f9a1c07be52"));
        fs::remove_file(&file).unwrap();
        let compressed = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl.zst");
        for bytes in [zstd::encode_all(&*rubbish, 3).unwrap(), rubbish] {
            fs::write(&compressed, bytes).unwrap();
            assert!(proof(folder.path()).is_damaged());
        }
        // Nobody promised that another recorder's file ends in a closing line.
        fs::rename(&compressed, compressed.with_file_name("KXA-0001.jsonl.zst")).unwrap();
        fs::write(folder.path().join("KXA-0002.sealed.jsonl"), "").unwrap();
        let foreign = compressed.with_file_name("KXA-0001.jsonl.zst");
        fs::write(foreign, zstd::encode_all(&b"\n"[..], 3).unwrap()).unwrap();
        assert!(!proof(folder.path()).is_damaged());
    }
}

#[test]
fn a_segment_under_another_name_is_damaged() {
    for name in ["3f9a1c07be52-0002", "3f9a1c07be53-0001"] {
        let folder = tempfile::tempdir().unwrap();
        let file = record(folder.path(), &[], true).remove(1);
        let other = file.with_file_name(format!("19700101T000000Z-{name}.sealed.jsonl"));
        fs::rename(&file, other).unwrap();
        let proof = proof(folder.path());
        assert!(proof.segments.iter().any(|s| !s.damage.is_empty()), "{proof:?}");
    }
}

#[test]
fn a_gap_whose_frame_was_cut_off_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = record(folder.path(), &[80, 81], true).remove(1);
    let whole = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let open = file.with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
    let gap = whole.find(r#""event":"gap""#).unwrap();
    let after = gap + whole[gap..].find('\n').unwrap() + 1;
    let frame = after + whole[after..].find('\n').unwrap();
    for cut in after - 1..frame {
        fs::write(&open, &whole[..cut]).unwrap();
        let proof = proof(folder.path());
        assert!(!proof.is_damaged(), "cut at {cut}: {proof:?}");
    }
    // The walk goes past it, and what was declared is not there.
    let lie = whole[after..].replacen(r#""seq":82"#, r#""seq":79"#, 1);
    fs::write(&open, format!("{}{lie}", &whole[..after])).unwrap();
    assert!(proof(folder.path()).is_damaged());
}

#[test]
fn a_session_whose_newest_segments_are_gone_has_no_end() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[], true);
    assert!(proof(folder.path()).unended.is_empty());
    fs::remove_file(&files[1]).unwrap();
    let proof = proof(folder.path());
    assert!(!proof.is_damaged());
    assert_eq!(
        proof.unended,
        ["session 3f9a1c07be52 has no end: its last segment 0 was rotated, later ones are \
          missing or still being written"]
    );
}

#[test]
fn a_segment_that_is_there_twice_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let file = record(folder.path(), &[], true).remove(0);
    let copies = folder.path().join("copies");
    fs::create_dir(&copies).unwrap();
    fs::copy(&file, copies.join(file.file_name().unwrap())).unwrap();
    let proof = proof(folder.path());
    assert!(proof.is_damaged());
    let damage: Vec<_> = proof.segments.iter().flat_map(|s| &s.damage).collect();
    assert_eq!(damage, ["segment 0 of session 3f9a1c07be52 twice"]);
}

#[cfg(unix)]
#[test]
fn a_segment_that_cannot_be_opened_is_damaged_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[], true);
    let archive = Archive::open(folder.path()).unwrap();
    fs::remove_file(&files[0]).unwrap();
    let proof = verify(&archive, |_| {});
    let states: Vec<_> = proof.segments.iter().map(|s| s.state).collect();
    assert_eq!(states, [SegmentState::Damaged, SegmentState::Proven]);
}

#[test]
fn a_segment_may_move_on_between_listing_and_reading() {
    let folder = tempfile::tempdir().unwrap();
    let files = record(folder.path(), &[], true);
    let open = files[1].with_file_name("19700101T000000Z-3f9a1c07be52-0001.jsonl");
    fs::rename(&files[1], &open).unwrap();
    let archive = Archive::open(folder.path()).unwrap();
    fs::rename(&open, &files[1]).unwrap();
    let bytes = fs::read(&files[0]).unwrap();
    let compressed = files[0].with_file_name("19700101T000000Z-3f9a1c07be52-0000.jsonl.zst");
    fs::write(&compressed, zstd::encode_all(&*bytes, 3).unwrap()).unwrap();
    fs::remove_file(&files[0]).unwrap();
    let proof = verify(&archive, |_| {});
    assert!(!proof.is_damaged(), "{proof:?}");
    let paths: Vec<_> = proof.segments.iter().map(|s| s.path.clone()).collect();
    assert_eq!(paths, [compressed, files[1].clone()]);
}

#[test]
fn an_archive_is_verified_while_it_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let over = || stop.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..9_000 {
                let file = segment(folder.path(), number, &mut u64::from(number * 50), &[], true);
                if number % 3 > 0 {
                    compress(&file).unwrap();
                }
                if over() {
                    break;
                }
            }
        });
        let start = std::time::Instant::now();
        let mut rounds = 0;
        while start.elapsed() < std::time::Duration::from_millis(1_500) {
            let proof = Archive::open(folder.path()).map(|a| verify(&a, |_| {}));
            let wrong = match &proof {
                Ok(proof) if !proof.is_damaged() => None,
                Ok(proof) => {
                    let damage: Vec<_> = proof.segments.iter().flat_map(|s| &s.damage).collect();
                    Some(format!("{damage:?} {:?} {:?}", proof.missing, proof.holes))
                }
                Err(error) => Some(format!("{error:?}")),
            };
            if let Some(wrong) = wrong {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
                panic!("round {rounds}: {wrong}");
            }
            rounds += 1;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(rounds > 1);
    });
}
