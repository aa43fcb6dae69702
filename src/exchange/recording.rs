//! Recorded frames, kept as the bytes that go to the socket.

/// About this much is written before the client is listened to again.
const CHUNK_BYTES: usize = 256 * 1024;

/// One connection's frames as unmasked WebSocket text frames, one behind the other.
///
/// Made ahead of time, so that serving them costs no more than the copy into the socket.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<usize>,
}

impl Encoded {
    pub(super) fn new(frames: Vec<String>) -> Self {
        let mut encoded = Self::default();
        encoded.bytes.reserve(frames.iter().map(|frame| frame.len() + 11).sum());
        encoded.ends.reserve(frames.len());
        for frame in frames {
            encoded.push(frame.strip_suffix('\n').unwrap_or(&frame));
        }
        encoded
    }

    /// Whole frames in pieces of about [`CHUNK_BYTES`], at most `limit` frames in all.
    pub(super) fn chunks(&self, limit: Option<u64>) -> impl Iterator<Item = &[u8]> {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let ends = self.ends.get(..limit.min(self.ends.len())).unwrap_or_default();
        let (mut start, mut next) = (0, 0);
        std::iter::from_fn(move || {
            let rest = ends.get(next..).filter(|rest| !rest.is_empty())?;
            let count = rest.partition_point(|end| end - start <= CHUNK_BYTES).max(1);
            let end = *rest.get(count - 1)?;
            let chunk = self.bytes.get(start..end)?;
            (start, next) = (end, next + count);
            Some(chunk)
        })
    }

    /// Adds a frame; the exchange ends each text with a newline.
    fn push(&mut self, text: &str) {
        const FIN_TEXT: u8 = 0x81;
        let length = text.len() + 1;
        self.bytes.push(FIN_TEXT);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => self.bytes.push(short),
            (_, Ok(medium)) => {
                self.bytes.push(126);
                self.bytes.extend(medium.to_be_bytes());
            }
            _ => {
                self.bytes.push(127);
                self.bytes.extend((length as u64).to_be_bytes());
            }
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(b'\n');
        self.ends.push(self.bytes.len());
    }
}
