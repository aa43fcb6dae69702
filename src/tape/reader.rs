//! A segment's lines, raw or compressed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::Error;

const BUFFER_BYTES: usize = 1 << 20;

/// Reads a segment line by line in constant memory.
pub struct Reader {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
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
            std::io::copy(&mut decoder.by_ref().take(offset), &mut std::io::sink())
                .map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            file.seek(SeekFrom::Start(offset)).map_err(fail)?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file))
        };
        Ok(Self { path: path.to_owned(), source, line: Vec::new(), number: 0, offset })
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Segment`] when the file cannot be read on, as when its compression is cut short.
    pub fn next_line(&mut self) -> Result<Option<Line<'_>>, Error> {
        self.line.clear();
        let read = self
            .source
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
        }
        Ok(Some(Line { number: self.number, offset, bytes: &self.line, ended }))
    }

    /// The offset after the last line read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }
}
