//! The README's examples are run as they stand.

use std::{fs, path::Path, process::Command};

/// Every `$ kalshi ...` line of the README's `console` blocks.
fn examples() -> Vec<String> {
    let readme =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut examples = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            examples.push(line.strip_prefix("$ kalshi ").unwrap().to_owned());
        }
    }
    examples
}

/// Splits as a shell does, as far as the README goes: words and double quotes.
fn words(line: &str) -> Vec<String> {
    line.split('"')
        .enumerate()
        .flat_map(|(n, part)| match n % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn the_console_examples_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let tickers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tickers.txt");
    fs::copy(tickers, folder.path().join("tickers.txt")).unwrap();
    let examples = examples();
    assert!(examples.len() >= 9, "{examples:?}");
    for example in examples {
        let output = Command::new(env!("CARGO_BIN_EXE_kalshi"))
            .args(words(&example))
            .current_dir(folder.path())
            .env_remove("KALSHI_LOG_DIR")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kalshi {example}\n{error}");
        assert!(!error.contains("warning:"), "kalshi {example}\n{error}");
        // A sound recording has no gaps to list.
        let silent =
            ["export-parquet", "analyze gaps"].iter().any(|name| example.starts_with(name));
        assert!(silent || !output.stdout.is_empty(), "kalshi {example} says nothing");
    }
    assert!(folder.path().join("book.parquet").exists());
}
