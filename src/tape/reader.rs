//! A segment's lines, raw or compressed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::Error;

const BUFFER_BYTES: usize = 1 << 20;

/// The longest line: a message of 64 MiB, each byte of which a `bad_frame` may write as six, and
/// what stands around it. Without a bound, a file without line breaks would fill the memory.
const LINE_BYTES_MAX: u64 = 6 * (64 << 20) + (1 << 20);

/// Reads a segment line by line in constant memory.
pub struct Reader {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
    line_bytes_max: u64,
    over: bool,
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
        let mut file = File::open(path).map_err(fail)?;
        let source: Box<dyn BufRead + Send> = if path.extension().is_some_and(|e| e == "zst") {
            let mut decoder = zstd::Decoder::new(file).map_err(fail)?;
            io::copy(&mut decoder.by_ref().take(offset), &mut io::sink()).map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            line: Vec::new(),
            number: 0,
            offset,
            line_bytes_max: LINE_BYTES_MAX,
            over: false,
        })
    }

    /// The next line, or `None` at the end. A line without a line break is the last one, even
    /// where the file grows while it is read.
    ///
    /// # Errors
    /// [`Error::Segment`] when the file cannot be read on, as when its compression is cut short,
    /// or when a line is longer than any that is written.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        self.line.clear();
        if self.over {
            return Ok(None);
        }
        let read = self
            .source
            .by_ref()
            .take(self.line_bytes_max.saturating_add(1))
            .read_until(b'\n', &mut self.line)
            .map_err(|source| Error::segment("read", &self.path, source))?;
        if read == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += read as u64;
        self.number += 1;
        let ended = self.line.last() == Some(&b'\n');
        if ended {
            self.line.pop();
        } else {
            self.over = true;
            if read as u64 > self.line_bytes_max {
                let reason = format!(
                    "line {} is longer than {} MB",
                    self.number,
                    self.line_bytes_max / 1_000_000
                );
                let source = io::Error::new(io::ErrorKind::InvalidData, reason);
                return Err(Error::segment("read", &self.path, source));
            }
        }
        Ok(Some(Line { number: self.number, offset, bytes: &self.line, ended }))
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
}
