//! The part of a frame that the sequence rules need, read without looking into the message.

use std::borrow::Cow;

use super::{quick, scan};

/// The envelope of a frame: whatever of it is there and has the documented type.
///
/// Every JSON text has a header; one that is no object, or holds keys of odd types, has an emptier
/// one. So no frame is refused for its shape.
#[derive(Debug, Clone, Default)]
pub struct Header<'a> {
    /// The message type, such as `orderbook_delta`.
    pub kind: Option<Cow<'a, str>>,
    /// The subscription the frame belongs to.
    pub sid: Option<u64>,
    /// The frame's number within its subscription.
    pub seq: Option<u64>,
    /// The command that the frame answers.
    pub id: Option<u64>,
    /// When the exchange queued the frame, in ms since the epoch.
    pub sending_ts_ms: Option<i64>,
    /// The message: JSON, unread.
    pub msg: Option<&'a str>,
}

/// A text that is not JSON, or JSON nested too deep to stand in a line of the tape.
#[derive(Debug, thiserror::Error)]
#[error("not JSON")]
pub struct NotJson(#[source] serde_json::Error);

impl NotJson {
    /// Asks `serde_json` what is wrong.
    fn explain(frame: &str) -> Self {
        let line = format!(r#"{{"frame":{frame}}}"#);
        match serde_json::from_str::<serde_json::Value>(&line) {
            Err(error) => Self(error),
            Ok(_) => Self(serde::de::Error::custom("unreadable")),
        }
    }
}

impl<'a> Header<'a> {
    /// Reads the header of one frame and checks that the whole frame is JSON.
    ///
    /// # Errors
    /// [`NotJson`] where the text is not one JSON value.
    pub fn parse(frame: &'a str) -> Result<Self, NotJson> {
        quick::header(frame).map_or_else(|| Self::parse_any(frame), Ok)
    }

    /// [`Self::parse`] for a frame of any layout.
    pub(super) fn parse_any(frame: &'a str) -> Result<Self, NotJson> {
        let mut header = Self::default();
        scan::top_level(frame, |key, value| match key {
            "type" => header.kind = text(value),
            "sid" => header.sid = value.parse().ok(),
            "seq" => header.seq = value.parse().ok(),
            "id" => header.id = value.parse().ok(),
            "sending_ts_ms" => header.sending_ts_ms = value.parse().ok(),
            "msg" => header.msg = Some(value),
            _ => {}
        })
        .ok_or_else(|| NotJson::explain(frame))?;
        Ok(header)
    }

    /// The message type, or nothing where the frame names none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }
}

/// The text of a JSON string; borrowed where it holds no escape.
fn text(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_read_by_name_in_any_order() {
        let header =
            Header::parse(r#"{"id":102,"sid":2,"seq":7,"type":"unsubscribed","x":[{}]}"#).unwrap();
        assert_eq!(header.kind(), "unsubscribed");
        assert_eq!((header.id, header.sid, header.seq), (Some(102), Some(2), Some(7)));
        assert!(header.msg.is_none());

        let header = Header::parse(
            r#"{ "type" : "t\u0072ade" ,"msg":{"a":"}\"","sid":9},"seq":18446744073709551615,"sid":1,"sending_ts_ms":5}"#,
        )
        .unwrap();
        assert_eq!((header.kind(), header.seq), ("trade", Some(u64::MAX)));
        assert_eq!((header.msg, header.sid), (Some(r#"{"a":"}\"","sid":9}"#), Some(1)));
        assert_eq!(header.sending_ts_ms, Some(5));
    }

    #[test]
    fn odd_shapes_have_an_emptier_header() {
        for frame in ["[]", "[1,{\"sid\":1}]", "null", "true", "1.5", "-3", "7", "\"text\"", "{}"] {
            let header = Header::parse(frame).unwrap();
            assert_eq!((header.kind(), header.sid, header.seq), ("", None, None), "{frame}");
        }
        let odd = r#"{"type":7,"sid":"1","seq":-1,"id":null,"sending_ts_ms":1.5,"msg":[]}"#;
        let header = Header::parse(odd).unwrap();
        assert_eq!((header.kind(), header.sid, header.seq, header.id), ("", None, None, None));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = "[".repeat(100_000);
        for (frame, reason) in [
            ("", "expected value"),
            ("hello", "expected value"),
            ("{", "EOF while parsing"),
            (r#"{"type":"a"}x"#, "expected `,` or `}`"),
            ("{\"type\":\"a\n\"}", "control character"),
            (&deep, "recursion limit"),
        ] {
            let error = Header::parse(frame).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(reason), "{frame:.20}: {source}");
        }
    }
}
