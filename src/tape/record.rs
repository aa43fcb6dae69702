//! One line of the tape.

use std::borrow::Cow;

use memchr::{memchr, memchr2};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use simdutf8::basic::from_utf8;

use super::Event;

/// One line: a frame of the exchange or an event of the recorder.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// When it was received, ns since the epoch; other recorders may not have kept it.
    pub recv_ns: Option<i64>,
    /// The connection within the session; other recorders may not have kept it.
    pub conn: Option<u32>,
    /// What the line holds.
    pub body: Body<'a>,
}

/// The content of a line.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// The exchange's own text. In a line of format 1 it has not been looked into yet and may,
    /// after damage, not be JSON.
    Frame(Cow<'a, str>),
    /// An event.
    Event(Box<Event<'a>>),
}

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but neither a record nor a frame.
    #[error("JSON of another kind")]
    Foreign,
}

/// Appends a frame's line to `out`.
///
/// `frame` must be one JSON text. White space around it is dropped and line breaks inside, which
/// JSON allows only between its tokens, become spaces; nothing else is touched.
pub fn write_frame(out: &mut Vec<u8>, recv_ns: i64, conn: u32, frame: &str) {
    let frame = frame.trim_ascii();
    out.extend_from_slice(br#"{"recv_ns":"#);
    out.extend_from_slice(itoa::Buffer::new().format(recv_ns).as_bytes());
    out.extend_from_slice(br#","conn":"#);
    out.extend_from_slice(itoa::Buffer::new().format(conn).as_bytes());
    out.extend_from_slice(br#","frame":"#);
    let start = out.len();
    out.extend_from_slice(frame.as_bytes());
    if memchr2(b'\n', b'\r', frame.as_bytes()).is_some() {
        for byte in out.iter_mut().skip(start).filter(|byte| matches!(**byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
    out.extend_from_slice(b"}\n");
}

/// Appends an event's line to `out`. `conn` is `None` for events of the whole session.
pub fn write_event(out: &mut Vec<u8>, recv_ns: i64, conn: Option<u32>, event: &Event<'_>) {
    #[derive(Serialize)]
    struct EventLine<'a> {
        recv_ns: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        conn: Option<u32>,
        #[serde(flatten)]
        event: &'a Event<'a>,
    }
    let start = out.len();
    if serde_json::to_writer(&mut *out, &EventLine { recv_ns, conn, event }).is_err() {
        // INVARIANT: an event holds texts, numbers and JSON only, which always serialise.
        out.truncate(start);
        return;
    }
    out.push(b'\n');
}

impl<'a> Record<'a> {
    /// Reads one line, without its line break.
    ///
    /// Understands format 1, bare frames, and wrappers that hold the frame as JSON or as a text
    /// under `frame` or `raw` with a time under `recv_ns`, `recv_ts_ns` or `received_ms`.
    ///
    /// # Errors
    /// [`RecordError`] where the line is neither.
    pub fn parse(line: &'a [u8]) -> Result<Self, RecordError> {
        let line = from_utf8(line).map_err(|_| RecordError::NotUtf8)?;
        match Self::parse_own_frame(line) {
            Some(record) => Ok(record),
            None => Self::parse_any(line),
        }
    }

    /// The one shape nearly every line has, split without parsing the frame.
    fn parse_own_frame(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix(r#"{"recv_ns":"#)?;
        let (recv_ns, rest) = rest.split_at_checked(memchr(b',', rest.as_bytes())?)?;
        let rest = rest.strip_prefix(r#","conn":"#)?;
        let (conn, rest) = rest.split_at_checked(memchr(b',', rest.as_bytes())?)?;
        let frame = rest.strip_prefix(r#","frame":"#)?.strip_suffix('}')?;
        Some(Self {
            recv_ns: Some(recv_ns.parse().ok()?),
            conn: Some(conn.parse().ok()?),
            body: Body::Frame(Cow::Borrowed(frame)),
        })
    }

    fn parse_any(line: &'a str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Wrapper<'a> {
            recv_ns: Option<i64>,
            recv_ts_ns: Option<i64>,
            received_ms: Option<i64>,
            conn: Option<u32>,
            #[serde(borrow)]
            frame: Option<&'a RawValue>,
            #[serde(borrow)]
            raw: Option<&'a RawValue>,
            #[serde(borrow)]
            event: Option<&'a RawValue>,
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
        }
        let wrapper: Wrapper<'a> = serde_json::from_str(line).map_err(|error| {
            if error.is_data() { RecordError::Foreign } else { RecordError::NotJson(error) }
        })?;
        let body = if let Some(frame) = wrapper.frame.or(wrapper.raw) {
            Body::Frame(unwrap_text(frame.get())?)
        } else if wrapper.event.is_some() {
            Body::Event(Box::new(Event::parse(line).map_err(|_| RecordError::Foreign)?))
        } else if wrapper.kind.is_some() {
            Body::Frame(Cow::Borrowed(line.trim_ascii()))
        } else {
            return Err(RecordError::Foreign);
        };
        let millis = wrapper.received_ms.and_then(|ms| ms.checked_mul(1_000_000));
        Ok(Self {
            recv_ns: wrapper.recv_ns.or(wrapper.recv_ts_ns).or(millis),
            conn: wrapper.conn,
            body,
        })
    }
}

/// A frame that another recorder stored as a text is taken out of it.
fn unwrap_text(frame: &str) -> Result<Cow<'_, str>, RecordError> {
    if !frame.starts_with('"') {
        return Ok(Cow::Borrowed(frame));
    }
    let text: String = serde_json::from_str(frame).map_err(RecordError::NotJson)?;
    Ok(Cow::Owned(text.trim_ascii().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(line: &[u8]) -> (Option<i64>, Option<u32>, String) {
        let record = Record::parse(line).unwrap();
        match record.body {
            Body::Frame(frame) => (record.recv_ns, record.conn, frame.into_owned()),
            Body::Event(event) => panic!("{event:?}"),
        }
    }

    #[test]
    fn a_frame_comes_back_byte_for_byte() {
        for frame in [
            "{}",
            r#"{"type":"a","msg":{"b":"}, \"frame\":"}}"#,
            "[1,2]",
            "7",
            "{ \"a\" :\t1 }",
            "{\"é\":1}",
        ] {
            let mut line = Vec::new();
            write_frame(&mut line, 1_778_477_473_699_256_832, 3, &format!("{frame}\n"));
            assert_eq!(line.pop(), Some(b'\n'));
            assert!(!line.contains(&b'\n'));
            assert_eq!(
                frame_of(&line),
                (Some(1_778_477_473_699_256_832), Some(3), frame.to_owned())
            );
        }
    }

    #[test]
    fn line_breaks_inside_a_frame_become_spaces() {
        let mut line = Vec::new();
        write_frame(&mut line, 1, 1, "\n{\"a\":\r\n1}\r\n");
        assert_eq!(line, b"{\"recv_ns\":1,\"conn\":1,\"frame\":{\"a\":  1}}\n");
    }

    #[test]
    fn events_come_back_and_later_ones_are_survived() {
        let mut line = Vec::new();
        write_event(&mut line, 5, Some(2), &Event::Gap { sid: 1, expected: 3, got: 9 });
        assert_eq!(
            line,
            b"{\"recv_ns\":5,\"conn\":2,\"event\":\"gap\",\"sid\":1,\"expected\":3,\"got\":9}\n"
        );
        for (line, expected) in [
            (line.as_slice(), "Gap { sid: 1, expected: 3, got: 9 }"),
            (br#"{"recv_ns":1,"event":"of_the_future","x":1}"#, "Unknown"),
            (br#"{"recv_ns":1,"conn":1,"event":"sent","command":{"id":1}}"#, "Sent"),
        ] {
            let Body::Event(event) = Record::parse(line).unwrap().body else { panic!() };
            assert!(format!("{event:?}").starts_with(expected), "{event:?}");
        }
    }

    #[test]
    fn the_layouts_of_other_recorders_are_read() {
        let bare = br#"{"msg":{"market_ticker":"KXA"},"seq":2,"sid":2,"type":"orderbook_delta"}"#;
        assert_eq!(frame_of(bare), (None, None, String::from_utf8_lossy(bare).into()));
        let text = br#"{"recv_ts_ns": 17, "raw": "{\"type\":\"ok\"}\n"}"#;
        assert_eq!(frame_of(text), (Some(17), None, r#"{"type":"ok"}"#.into()));
        let millis = br#"{"received_ms": 17, "frame": {"type":"ok"}}"#;
        assert_eq!(frame_of(millis), (Some(17_000_000), None, r#"{"type":"ok"}"#.into()));
    }

    #[test]
    fn rubbish_is_told_apart() {
        assert!(matches!(Record::parse(b"\xff\xfe"), Err(RecordError::NotUtf8)));
        assert!(matches!(Record::parse(b"rubbish"), Err(RecordError::NotJson(_))));
        assert!(matches!(
            Record::parse(br#"{"recv_ns":1,"conn":1,"fra"#),
            Err(RecordError::NotJson(_))
        ));
        assert!(matches!(Record::parse(br#"{"a":1}"#), Err(RecordError::Foreign)));
        assert!(matches!(Record::parse(b"[1]"), Err(RecordError::Foreign)));
    }
}
