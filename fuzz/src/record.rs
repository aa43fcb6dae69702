//! A line of the tape: whatever it is, it is told apart; what is written comes back.

use kalshi_orderbook::{
    protocol::Header,
    tape::{Body, Event, Record, write_event, write_frame},
};

/// Reading the bytes as a line does no harm, an event comes back as it was read, and a frame that
/// is written as a line comes back byte for byte.
pub fn holds(bytes: &[u8]) {
    let record = Record::parse(bytes);
    if let Ok(Record { recv_ns, conn, body: Body::Event(event) }) = &record {
        again(recv_ns.unwrap_or_default(), *conn, event);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(frame) = Header::parse(text) {
        let kind = frame.kind().len();
        let recv_ns = i64::try_from(bytes.len()).unwrap_or_default() - 64;
        written(recv_ns, u32::try_from(kind).unwrap_or_default(), text);
    }
}

/// An event that was read is written and read as the same.
fn again(recv_ns: i64, conn: Option<u32>, event: &Event<'_>) {
    // A later version's event is read as one that is not known, and never written.
    if let Event::Unknown = event {
        return;
    }
    let mut line = Vec::new();
    write_event(&mut line, recv_ns, conn, event);
    assert_eq!(line.pop(), Some(b'\n'), "a line ends in a line break");
    assert!(!line.contains(&b'\n'), "and has no other");
    let Ok(read) = Record::parse(&line) else { panic!("not read again") };
    assert_eq!((read.recv_ns, read.conn), (Some(recv_ns), conn));
    let Body::Event(read) = read.body else { panic!("another kind of line") };
    assert_eq!(format!("{event:?}"), format!("{read:?}"));
}

/// A frame's line holds the frame, whose line breaks are spaces.
fn written(recv_ns: i64, conn: u32, frame: &str) {
    let mut line = Vec::new();
    write_frame(&mut line, recv_ns, conn, frame);
    assert_eq!(line.pop(), Some(b'\n'), "a line ends in a line break");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "and has no other");
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok(), "the line is JSON");
    let Ok(read) = Record::parse(&line) else { panic!("not read again") };
    assert_eq!((read.recv_ns, read.conn), (Some(recv_ns), Some(conn)));
    let Body::Frame(read) = read.body else { panic!("another kind of line") };
    assert_eq!(read, frame.trim_ascii().replace(['\n', '\r'], " "));
}
