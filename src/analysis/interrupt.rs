//! Stopping a question from another thread.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use duckdb::InterruptHandle;

use super::Error;

/// Stops what an analyzer is doing. It may be sent to another thread, and cloned.
#[derive(Clone, Default)]
pub struct Interrupter(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// How often everything was to stop.
    stops: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    databases: Vec<Arc<InterruptHandle>>,
    /// Files and folders that are only there until the work on them ends.
    unfinished: Vec<PathBuf>,
    scratch: Vec<PathBuf>,
}

impl Interrupter {
    /// Stops the question that is being answered, if any, within milliseconds: it ends with
    /// [`Error::Interrupted`]. A later one is not affected.
    pub fn interrupt(&self) {
        self.0.stops.fetch_add(1, Ordering::Relaxed);
        self.state().databases.iter().for_each(|database| database.interrupt());
    }

    /// Whether a file is being written.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        !self.state().unfinished.is_empty()
    }

    /// Removes what is half written, for a process that ends at once.
    pub fn discard(&self) {
        let mut state = self.state();
        let State { unfinished, scratch, .. } = &mut *state;
        unfinished.drain(..).chain(scratch.drain(..)).for_each(|path| remove(&path));
    }

    /// Also stops this database, which may write to a folder of its own.
    pub(super) fn watch(&self, database: Arc<InterruptHandle>, scratch: PathBuf) {
        let mut state = self.state();
        state.databases.push(database);
        state.scratch.push(scratch);
    }

    /// For a question that begins now.
    pub(super) fn begin(&self) -> Going {
        Going { stops: self.0.stops.load(Ordering::Relaxed), shared: Arc::clone(&self.0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that goes on until it is stopped.
#[derive(Clone)]
pub(super) struct Going {
    stops: u64,
    shared: Arc<Shared>,
}

impl Going {
    /// Fails where the question is to stop.
    pub(super) fn on(&self) -> Result<(), Error> {
        match self.shared.stops.load(Ordering::Relaxed) {
            stops if stops == self.stops => Ok(()),
            _ => Err(Error::Interrupted),
        }
    }
}

/// A file or folder under a temporary name, which goes where it is not finished.
pub(super) struct Unfinished<'i> {
    path: PathBuf,
    interrupter: &'i Interrupter,
}

impl<'i> Unfinished<'i> {
    pub(super) fn begin(path: PathBuf, interrupter: &'i Interrupter) -> Self {
        interrupter.state().unfinished.push(path.clone());
        Self { path, interrupter }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the name, in the place of what has it. An end of the process does not come between.
    pub(super) fn rename(self, name: &Path) -> std::io::Result<()> {
        let mut state = self.interrupter.state();
        if name.is_dir() {
            let old = self.path.with_extension("old");
            fs::rename(name, &old)?;
            if let Err(error) = fs::rename(&self.path, name) {
                drop(fs::rename(&old, name));
                return Err(error);
            }
            remove(&old);
        } else {
            fs::rename(&self.path, name)?;
        }
        state.unfinished.retain(|path| *path != self.path);
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut state = self.interrupter.state();
        if state.unfinished.contains(&self.path) {
            state.unfinished.retain(|path| *path != self.path);
            remove(&self.path);
        }
    }
}

/// Leaves nothing half-done behind; what cannot be removed is not worth a second error.
fn remove(path: &Path) {
    if path.is_dir() {
        drop(fs::remove_dir_all(path));
    } else {
        drop(fs::remove_file(path));
    }
}
