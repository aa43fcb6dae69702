//! One folder for each thread, emptied between uses: making one anew would cost more than the rest.

use std::{cell::OnceCell, fs, path::Path};

thread_local! {
    static FOLDER: OnceCell<Option<tempfile::TempDir>> = const { OnceCell::new() };
}

/// Calls `body` with an empty folder.
pub(super) fn with_folder(body: impl FnOnce(&Path)) {
    FOLDER.with(|cell| {
        let Some(folder) = cell.get_or_init(|| tempfile::tempdir().ok()) else { return };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            assert!(removed.is_ok(), "{}", path.display());
        }
        body(folder.path());
    });
}
