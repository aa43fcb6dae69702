//! What must hold of any bytes: the bodies of the fuzz targets.
//!
//! `cargo +nightly fuzz run NAME` looks for bytes of which it does not. The inputs that taught it
//! something are in `corpus/NAME`, and the integration tests run them on every build
//! (`tests/it/corpus.rs` includes this file). The recorder's own rooms are not public; the body of
//! `session` is `src/ingestor/fuzz.rs`.

mod folder;
pub mod frame;
pub mod record;
pub mod tape;
pub mod recovery;
pub mod text;
