//! A segment's lines, raw or compressed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    mem,
    path::{Path, PathBuf},
};

use memchr::memchr;

use super::Error;

const BUFFER_BYTES: usize = 1 << 20;

/// The longest line: a message of 64 MiB, each byte of which a `bad_frame` may write as six, and
/// what stands around it. Without a bound, a file without line breaks would fill the memory.
const LINE_BYTES_MAX: u64 = 6 * (64 << 20) + (1 << 20);

/// Reads a segment line by line in constant memory.
pub struct Reader {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    /// Bytes of the source that the line is, where it is whole in there.
    whole: usize,
    /// Else what there is of it so far.
    line: Vec<u8>,
    number: u64,
    offset: u64,
    line_bytes_max: u64,
    over: bool,
    salvaged: bool,
}

/// One line of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its number, from 1.
    pub number: u64,
    /// Where it starts in the uncompressed bytes.
    pub offset: u64,
    /// Its bytes, without the line break.
    pub bytes: &'a [u8],
    /// Whether it ended in a line break; a last line without one may be torn.
    pub ended: bool,
}

impl Reader {
    /// Opens a segment; `.zst` is decompressed on the way.
    ///
    /// # Errors
    /// [`Error::Segment`] when the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_at(path, 0)
    }

    /// Opens a segment at a byte offset of its uncompressed text, which must start a line.
    ///
    /// # Errors
    /// [`Error::Segment`] when the file cannot be opened or is shorter.
    pub fn open_at(path: &Path, offset: u64) -> Result<Self, Error> {
        let fail = |source| Error::segment("open", path, source);
        let source: Box<dyn BufRead + Send> = if is_compressed(path) {
            let decoder = decoder_at(path, offset).map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            let mut file = File::open(path).map_err(fail)?;
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            whole: 0,
            line: Vec::new(),
            number: 0,
            offset,
            line_bytes_max: LINE_BYTES_MAX,
            over: false,
            salvaged: false,
        })
    }

    /// The next line, or `None` at the end. A line without a line break is the last one, even
    /// where the file grows while it is read.
    ///
    /// # Errors
    /// [`Error::Segment`] when the file cannot be read on, as when its compression is cut short,
    /// or when a line is longer than any that is written.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        self.source.consume(mem::take(&mut self.whole));
        self.line.clear();
        if self.over {
            return Ok(None);
        }
        let mut result = self.read_line();
        if result.is_err() && self.salvage() {
            result = self.read_line();
        }
        let fail = |source| Error::segment("read", &self.path, source);
        result.map_err(fail)?;
        let bytes = match self.whole {
            0 => &*self.line,
            // It is there, so that nothing is read.
            whole => self.source.fill_buf().map_err(fail)?.get(..whole).unwrap_or_default(),
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let (offset, read) = (self.offset, bytes.len() as u64);
        self.offset += read;
        self.number += 1;
        let number = self.number;
        if let Some(bytes) = bytes.strip_suffix(b"\n") {
            return Ok(Some(Line { number, offset, bytes, ended: true }));
        }
        self.over = true;
        if read > self.line_bytes_max {
            let reason =
                format!("line {number} is longer than {} MB", self.line_bytes_max / 1_000_000);
            return Err(fail(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        Ok(Some(Line { number, offset, bytes, ended: false }))
    }

    /// Reads up to a line break, or to the end. A line that is whole in the source stays there.
    fn read_line(&mut self) -> io::Result<()> {
        loop {
            let room = (self.line_bytes_max + 1).saturating_sub(self.line.len() as u64);
            let bytes = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            let room = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
            let bytes = bytes.get(..room).unwrap_or_default();
            let found = memchr(b'\n', bytes).map(|at| at + 1);
            if let Some(length) = found.filter(|_| self.line.is_empty()) {
                self.whole = length;
                return Ok(());
            }
            let length = found.unwrap_or(bytes.len());
            self.line.extend_from_slice(bytes.get(..length).unwrap_or_default());
            self.source.consume(length);
            if found.is_some() || length == 0 {
                return Ok(());
            }
        }
    }

    /// A large step that meets damage loses the sound bytes before it. Goes back to the last that
    /// were seen, to go on in steps of one byte; `false` where that has been done.
    fn salvage(&mut self) -> bool {
        if self.salvaged || !is_compressed(&self.path) {
            return false;
        }
        self.salvaged = true;
        let seen = self.offset + self.line.len() as u64;
        let Ok(decoder) = decoder_at(&self.path, seen) else { return false };
        self.source = Box::new(BufReader::with_capacity(1, decoder));
        true
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The offset after the last line read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "zst")
}

fn decoder_at(path: &Path, offset: u64) -> io::Result<zstd::Decoder<'static, BufReader<File>>> {
    let mut decoder = zstd::Decoder::new(File::open(path)?)?;
    io::copy(&mut decoder.by_ref().take(offset), &mut io::sink())?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    #[test]
    fn a_line_that_never_ends_is_refused_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, format!("{}\n{}\n", "x".repeat(1_999_999), "y".repeat(2_000_001)))
            .unwrap();
        let mut reader = Reader::open(&path).unwrap();
        reader.line_bytes_max = 2_000_000;
        assert_eq!(reader.next_line().unwrap().unwrap().bytes.len(), 1_999_999);
        let error = reader.next_line().unwrap_err();
        let reason = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(reason, "line 2 is longer than 2 MB");
        assert!(reader.next_line().unwrap().is_none());
    }

    #[test]
    fn the_rest_of_a_line_that_was_still_being_written_is_not_taken_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{\"a\"").unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert!(!reader.next_line().unwrap().unwrap().ended);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b":1}\n{}\n").unwrap();
        assert!(reader.next_line().unwrap().is_none());
    }

    /// Where each block's header stands in a compressed text (RFC 8878, 3.1.1).
    fn blocks(compressed: &[u8]) -> Vec<usize> {
        assert_eq!(compressed[4] & !0b100, 0, "another frame header than the encoder's usual one");
        let mut blocks = vec![6];
        loop {
            let at = *blocks.last().unwrap();
            let header =
                u32::from_le_bytes([compressed[at], compressed[at + 1], compressed[at + 2], 0]);
            if header & 1 == 1 {
                return blocks;
            }
            let size = if header >> 1 & 3 == 1 { 1 } else { header >> 3 };
            blocks.push(at + 3 + usize::try_from(size).unwrap());
        }
    }

    #[test]
    fn every_line_before_a_damaged_block_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl.zst");
        let mut random = fastrand::Rng::with_seed(1);
        let line = |n| format!("{n} {:0100x}\n", random.u128(..));
        let text = (0..40_000).map(line).collect::<String>();
        let whole = zstd::encode_all(text.as_bytes(), 3).unwrap();
        let blocks = blocks(&whole);
        assert!(blocks.len() > 20);
        for at in blocks {
            // What the blocks before it hold.
            let mut sound = Vec::new();
            zstd::Decoder::new(&whole[..at]).unwrap().read_to_end(&mut sound).unwrap_err();
            let mut damaged = whole.clone();
            damaged[at] |= 0b110;
            fs::write(&path, &damaged).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            let mut read = Vec::new();
            while let Ok(line) = reader.next_line() {
                read.extend_from_slice(line.unwrap().bytes);
                read.push(b'\n');
            }
            let lines = sound.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            assert!(read == sound[..lines], "{} of {lines} bytes read", read.len());
            assert!(reader.next_line().is_err());
        }
    }
}
