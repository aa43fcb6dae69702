//! A message of the exchange: what is taken for JSON, its envelope, and the message in it.

use std::collections::HashMap;

use kalshi_orderbook::{
    book::Book,
    protocol::{Header, Message},
};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

/// The header agrees with `serde_json`, the quick way of reading with the careful one, and no
/// message upsets a book.
pub fn holds(bytes: &[u8]) {
    let Ok(frame) = std::str::from_utf8(bytes) else { return };
    // A frame stands in a line of the tape; alone, `1,"a":2` would not do.
    let line = format!(r#"{{"frame":{frame}}}"#);
    let json = [frame, &line].iter().all(|text| serde_json::from_str::<IgnoredAny>(text).is_ok());
    let Ok(header) = Header::parse(frame) else {
        assert!(!json, "JSON is refused");
        return;
    };
    assert!(json, "what is no JSON is accepted");
    envelope(&header, frame);

    let careful = Message::parse(&header);
    let Ok((quick_header, quick)) = Message::read(frame) else { panic!("read in one way only") };
    assert_eq!(format!("{header:?} {careful:?}"), format!("{quick_header:?} {quick:?}"));
    apply(careful.ok());
}

/// Each key of the envelope is what `serde_json` finds under it.
fn envelope(header: &Header<'_>, frame: &str) {
    // Keys are compared as they are written: one spelt with escapes is another key.
    if frame.contains('\\') {
        return;
    }
    let keys: HashMap<&str, &RawValue> = serde_json::from_str(frame).unwrap_or_default();
    assert_eq!(header.kind(), value::<String>(&keys, "type").unwrap_or_default());
    assert_eq!(header.sid, value(&keys, "sid"));
    assert_eq!(header.seq, value(&keys, "seq"));
    assert_eq!(header.id, value(&keys, "id"));
    assert_eq!(header.sending_ts_ms.filter(|ms| *ms != 0), {
        // `-0` is a float to serde_json.
        value(&keys, "sending_ts_ms").filter(|ms: &i64| *ms != 0)
    });
    assert_eq!(header.msg, keys.get("msg").map(|msg| msg.get()));
}

fn value<T: DeserializeOwned>(keys: &HashMap<&str, &RawValue>, key: &str) -> Option<T> {
    keys.get(key).and_then(|value| serde_json::from_str(value.get()).ok())
}

/// A book takes a message whole or not at all.
fn apply(message: Option<Message<'_>>) {
    let mut book = Book::new();
    if let Some(Message::Snapshot(snapshot)) = &message {
        let replaced = book.replace(&snapshot.yes, &snapshot.no);
        assert!(replaced.is_ok() || book == Book::new(), "half a snapshot");
    } else if let Some(Message::Delta(delta)) = &message {
        for _ in 0..3 {
            let before = book.clone();
            let applied = book.apply(delta.side, delta.price, delta.change);
            assert!(applied.is_ok() || book == before, "half a delta");
        }
    }
}
