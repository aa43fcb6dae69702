//! The shape of the source tree, kept by a test.

use std::{fs, path::Path};

/// Each room and the only rooms of ours it may name. The order is the order to read them in.
const MAY_USE: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("book", &["protocol"]),
    ("tape", &["protocol"]),
    ("lake", &["protocol", "book", "tape"]),
    ("analysis", &["protocol", "book", "tape", "lake"]),
    ("ingestor", &["protocol", "tape"]),
    ("exchange", &["protocol", "book", "tape"]),
];

/// What a room may not touch at all, and why it would want to.
const NEVER: &[(&str, &[&str])] = &[
    ("protocol", &["std::fs", "std::net", "tokio", "duckdb::", "Instant::now", "Timestamp::now"]),
    ("book", &["std::fs", "std::net", "tokio", "duckdb::", "f64"]),
    ("tape", &["tokio", "duckdb::", "f64"]),
    ("lake", &["tokio", "f64", "f32"]),
    ("analysis", &["tokio"]),
    ("ingestor", &["duckdb::"]),
];

#[test]
fn dependencies_point_one_way() {
    for (room, allowed) in MAY_USE {
        for (place, code) in lines_of(room) {
            assert!(!code.contains("crate::{"), "{place}: one `use crate::` a line");
            for used in code.split("crate::").skip(1) {
                let name: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let is_room = MAY_USE.iter().any(|(room, _)| *room == name);
                assert!(
                    !is_room || name == *room || allowed.contains(&name.as_str()),
                    "{place}: `{room}` must not use `{name}`"
                );
            }
        }
    }
}

#[test]
fn each_room_keeps_off_what_is_not_its_business() {
    for (room, never) in NEVER {
        for (place, code) in lines_of(room) {
            for word in *never {
                assert!(!code.contains(word), "{place}: `{room}` must not use `{word}`");
            }
        }
    }
}

/// The command line may call the public interface only, which the compiler keeps: its modules are
/// the binary's. It must not grow modules of the library by `#[path]`.
#[test]
fn the_binary_includes_no_library_source() {
    for (place, code) in lines_of("cli").into_iter().chain(lines_of("main")) {
        assert!(!code.contains("#[path"), "{place}");
    }
}

/// The lines of a room's files without comments, each with its place. Rooms to come have none.
fn lines_of(room: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut pending = vec![root.join(room), root.join(format!("{room}.rs"))];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") && path.exists() {
            for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default().to_owned();
                found.push((format!("{}:{}", path.display(), number + 1), code));
            }
        }
    }
    found
}
