//! No key is printed or taped, whatever is asked for; and nothing but SIGINT and SIGTERM stops a
//! recorder, a dead standard error included.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use kalshi_orderbook::exchange::{Exchange, ExchangeConfig};

use crate::stage::Tape;

const KEY: &str = "KALSHI_PRIVATE_KEY=-----BEGIN RSA PRIVATE KEY-----\\nMIISECRET\\n-----END";

fn kalshi(folder: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kalshi"));
    for name in ["KEY_ID", "API_KEY_ID", "PRIVATE_KEY", "PRIVATE_KEY_PATH", "ENV", "WS_URL"] {
        program.env_remove(format!("KALSHI_{name}"));
    }
    program.env_remove("RUST_LOG").current_dir(folder).stdin(Stdio::null());
    program
}

fn recording(program: &mut Command, exchange: &Exchange, seconds: &str) {
    program
        .args(["ingest", "--env", "sandbox", "KXIT-1", "--debug", "--duration", seconds])
        .args(["--ws-url", &exchange.ws_url(), "--log-dir", "logs", "--compress", "none"])
        .env("KALSHI_KEY_ID", exchange.key_id())
        .env("KALSHI_PRIVATE_KEY_PATH", exchange.private_key_pem().unwrap());
}

fn printed(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn a_key_in_the_wrong_place_is_not_printed() {
    let folder = tempfile::tempdir().unwrap();
    let key = KEY.split_once('=').unwrap().1;
    let long = format!("MII{}", "x".repeat(400));
    for value in [key, "MIISECRET", "SECRET\nSECRET", &long] {
        let mut program = kalshi(folder.path());
        program.args(["ingest", "KXA-1"]).env("KALSHI_PRIVATE_KEY_PATH", value);
        let id = "00000000-0000-0000-0000-000000000000";
        let output = program.env("KALSHI_KEY_ID", id).output().unwrap();
        let text = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(!text.contains("SECRET") && !text.contains("xxxx"), "{text}");
    }
    let url = "wss://me:SECRET@localhost/?token=SECRET";
    for args in [
        ["ingest", key],
        ["ingest", "--tickers-file=.env"],
        ["--ws-url", key],
        ["--ws-url", url],
        ["--ws-url", "MIISECRET"],
    ] {
        std::fs::write(folder.path().join(".env"), format!("# {KEY}\n")).unwrap();
        let output = kalshi(folder.path()).args(args).output().unwrap();
        let text = printed(&output);
        assert!(!text.contains("SECRET"), "{args:?} {text}");
        assert!(output.status.code() == Some(2) || args[1].ends_with(".env"), "{args:?} {text}");
    }
    std::fs::write(folder.path().join(".env"), format!("# mine\nA=b\n{KEY}\n")).unwrap();
    let output = kalshi(folder.path()).args(["verify"]).output().unwrap();
    assert_eq!(
        printed(&output),
        "error: read `.env`: line 3 (KALSHI_PRIVATE_KEY) is not NAME=\"value\"\n\
         hint: put the value into double quotes\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_key_nor_signature_is_logged_or_taped() {
    let exchange = Exchange::start(ExchangeConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (chosen, format) in [("trace", "text"), ("trace,tungstenite::client=trace", "json")] {
        let mut program = kalshi(folder.path());
        recording(&mut program, &exchange, "1s");
        program.args(["--log-format", format]).env("RUST_LOG", chosen);
        let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
        let mut text = printed(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("orderbook_snapshot"), "--debug shows each frame: {text}");
        let tapes = kalshi_orderbook::tape::Archive::open(folder.path().join("logs")).unwrap();
        for segment in &tapes.segments {
            text.push_str(&std::fs::read_to_string(&segment.path).unwrap());
        }
        let pem = exchange.private_key_pem().unwrap();
        let body = pem.lines().nth(1).unwrap();
        for secret in [exchange.key_id(), body, "-----BEGIN", "ACCESS-SIGNATURE"] {
            let found = text.to_uppercase().find(&secret.to_uppercase());
            assert!(found.is_none(), "{chosen}: {secret} was told");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_standard_error_stops_no_recording() {
    let exchange = Exchange::start(ExchangeConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut program = kalshi(folder.path());
    recording(&mut program, &exchange, "2s");
    let mut child = program.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!Tape::read(&folder.path().join("logs")).frames.is_empty());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn what_ignores_a_hangup_goes_on() {
    let exchange = Exchange::start(ExchangeConfig::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut program = kalshi(folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"trap "" HUP; "$0" "$@" & sleep 1; kill -HUP $!; sleep 0.5; kill -0 $!"#]);
    shell.arg(program.get_program()).current_dir(folder.path());
    recording(&mut shell, &exchange, "4s");
    program = shell;
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::task::spawn_blocking(move || program.status().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0), "it runs after the signal");
}
