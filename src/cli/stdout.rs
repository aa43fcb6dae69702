//! Standard output. A reader that goes away, as `head` does, changes no exit code.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// Standard output until its reader has gone away; what is written after that goes nowhere.
pub(crate) struct Stdout {
    inner: StdoutLock<'static>,
    gone: bool,
}

impl Stdout {
    pub(crate) fn lock() -> Self {
        Self { inner: io::stdout().lock(), gone: false }
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gone {
            return Ok(bytes.len());
        }
        match self.inner.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.inner.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            flushed => flushed,
        }
    }
}
