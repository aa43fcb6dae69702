//! One Parquet file of the lake: written, and later found to be as it was written.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::Path,
};

use duckdb::Connection;
use xxhash_rust::xxh3::Xxh3;

use super::{
    Error,
    manifest::{Part, Stat},
    stored::{Stored, copy},
};

/// Writes the rows of a query, sorted, under a path within the lake.
pub(super) fn write(
    connection: &Connection,
    table: &Stored,
    rows: &str,
    lake: &Path,
    path: String,
) -> Result<Part, Error> {
    let file = lake.join(&path);
    let folder = file.parent().unwrap_or(lake);
    fs::create_dir_all(folder).map_err(|e| Error::file("create folder", folder, e))?;
    let sql = copy(rows, &file.to_string_lossy());
    let fail = |source| Error::Store { table: table.name, source };
    connection.execute(&sql, []).map_err(fail)?;
    let stat = Stat::of(&file).map_err(|e| Error::file("look at", &file, e))?;
    Ok(Part {
        table: table.name.to_owned(),
        xxh128: digest(&file)?,
        path,
        stat,
        sessions: BTreeSet::new(),
    })
}

impl Part {
    /// Whether the file is there and as it was written. Its content is looked at only where its
    /// date says that something has touched it.
    pub(super) fn is_sound(&self, lake: &Path) -> bool {
        let path = lake.join(&self.path);
        match Stat::of(&path) {
            Ok(stat) if stat == self.stat => true,
            Ok(stat) if stat.bytes == self.stat.bytes => {
                digest(&path).is_ok_and(|digest| digest == self.xxh128)
            }
            _ => false,
        }
    }
}

fn digest(path: &Path) -> Result<String, Error> {
    let fail = |source| Error::file("read", path, source);
    let mut file = File::open(path).map_err(fail)?;
    let (mut hash, mut buffer) = (Xxh3::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(fail)?;
        match buffer.get(..read) {
            Some(bytes) if read > 0 => hash.update(bytes),
            _ => return Ok(format!("{:032x}", hash.digest128())),
        }
    }
}
