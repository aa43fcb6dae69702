//! The part of a frame that the sequence rules need, read without looking into the message.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

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
    /// The message, unread.
    pub msg: Option<&'a RawValue>,
}

/// A text that is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("not JSON")]
pub struct NotJson(#[source] serde_json::Error);

impl<'a> Header<'a> {
    /// Reads the header of one frame and checks that the whole frame is JSON.
    ///
    /// # Errors
    /// [`NotJson`] where the text is not one JSON value.
    pub fn parse(frame: &'a str) -> Result<Self, NotJson> {
        serde_json::from_str(frame).map_err(NotJson)
    }

    /// The message type, or nothing where the frame names none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Header<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header<'de>, A::Error> {
        let mut header = Header::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "type" => header.kind = map.next_value::<Maybe<'de>>()?.text(),
                "sid" => header.sid = map.next_value::<Maybe<'de>>()?.unsigned(),
                "seq" => header.seq = map.next_value::<Maybe<'de>>()?.unsigned(),
                "id" => header.id = map.next_value::<Maybe<'de>>()?.unsigned(),
                "sending_ts_ms" => header.sending_ts_ms = map.next_value::<Maybe<'de>>()?.signed(),
                "msg" => header.msg = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(header)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Header<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Header::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }

    fn visit_unit<E>(self) -> Result<Header<'de>, E> {
        Ok(Header::default())
    }
}

/// A string that borrows from the input where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value that may have an unexpected type, which makes it absent and not an error.
#[derive(Deserialize)]
#[serde(transparent)]
struct Maybe<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Maybe<'a> {
    fn text(self) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Text<'a>>(self.0.get()).ok().map(|text| text.0)
    }

    fn unsigned(self) -> Option<u64> {
        self.0.get().parse().ok()
    }

    fn signed(self) -> Option<i64> {
        self.0.get().parse().ok()
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
            r#"{"type":"t\u0072ade","msg":{"a":"}\""},"seq":18446744073709551615,"sid":1,"sending_ts_ms":5}"#,
        )
        .unwrap();
        assert_eq!((header.kind(), header.seq), ("trade", Some(u64::MAX)));
        assert_eq!(header.msg.unwrap().get(), r#"{"a":"}\""}"#);
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
        for frame in ["", "hello", "{", r#"{"type":"a"}x"#, "{\"type\":\"a\n\"}", &deep] {
            assert!(Header::parse(frame).is_err(), "{frame:.20}");
        }
    }
}
