//! The key, from the environment or `.env`. Nothing of it is ever printed.

use std::{env, fs, path::Path};

use anyhow::{Context, anyhow};
use kalshi_orderbook::protocol::{Credentials, KeyError};

use super::failure::{Failure, PEM_START};

const HOW_TO: &str = "put KALSHI_KEY_ID and KALSHI_PRIVATE_KEY_PATH into the environment or `.env` \
                      (see .env.example); a read-only key is enough\n\
                      without an account: --env sandbox";

/// Reads the key that the environment names.
pub(crate) fn load() -> Result<Credentials, Failure> {
    let Some(key_id) = variable("KALSHI_KEY_ID").or_else(|| variable("KALSHI_API_KEY_ID")) else {
        return Err(Failure::from(anyhow!("KALSHI_KEY_ID is not set")).with_hint(HOW_TO));
    };
    let (pem, source) = match (variable("KALSHI_PRIVATE_KEY_PATH"), variable("KALSHI_PRIVATE_KEY"))
    {
        // The key itself, where the path to it was asked for.
        (Some(pem), _) if pem.contains(PEM_START) => {
            (pem, "key in KALSHI_PRIVATE_KEY_PATH".to_owned())
        }
        (Some(path), _) => (read_file(Path::new(&path))?, format!("key file {}", shown(&path))),
        (None, Some(pem)) => (pem, "KALSHI_PRIVATE_KEY".to_owned()),
        (None, None) => {
            let error = anyhow!("neither KALSHI_PRIVATE_KEY_PATH nor KALSHI_PRIVATE_KEY is set");
            return Err(Failure::from(error).with_hint(HOW_TO));
        }
    };
    Credentials::new(&key_id, &pem).map_err(|error| {
        if error == KeyError::KeyId {
            let hint = "it is the id shown beside the key, such as \
                        00000000-0000-0000-0000-000000000000";
            return Failure::from(anyhow!(error).context("read KALSHI_KEY_ID")).with_hint(hint);
        }
        let hint = "it must be the private key as downloaded: a PEM file that starts with \
                    `-----BEGIN RSA PRIVATE KEY-----` or `-----BEGIN PRIVATE KEY-----`";
        Failure::from(anyhow!(error).context(format!("use the {source}"))).with_hint(hint)
    })
}

/// A path as it may be printed: not where it may be a key in the wrong place.
fn shown(path: &str) -> String {
    const PATH_MAX: usize = 300;
    // How base64 of an RSA and of an Ed25519 key begins.
    let encoded = ["MII", "MC4CAQ", "MFECAQ"].iter().any(|start| path.trim().starts_with(start));
    let secret = encoded
        || path.len() > PATH_MAX
        || path.contains("PRIVATE KEY")
        || path.trim().contains(['\n', '\r'])
        || path.contains("\\n");
    if secret { "named by KALSHI_PRIVATE_KEY_PATH".to_owned() } else { format!("`{path}`") }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let shown = shown(&path.to_string_lossy());
    let what = || format!("read the key file {shown}");
    let status = fs::metadata(path).with_context(what).map_err(|error| {
        Failure::from(error).with_hint("KALSHI_PRIVATE_KEY_PATH names it; is the path right?")
    })?;
    if status.is_dir() {
        let error = anyhow!("it is a folder").context(what());
        return Err(Failure::from(error).with_hint("KALSHI_PRIVATE_KEY_PATH names a file"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const READABLE_BY_ALL: u32 = 0o004;
        if status.permissions().mode() & READABLE_BY_ALL != 0 {
            let error = anyhow!("every user of this machine can read it").context(what());
            return Err(
                Failure::from(error).with_hint(format!("chmod 600 {}", shown.trim_matches('`')))
            );
        }
    }
    let bytes = fs::read(path).with_context(what)?;
    String::from_utf8(bytes).map_err(|_| {
        let error = anyhow!("it is binary, not PEM text").context(what());
        let hint = "convert a DER key: openssl pkey -inform DER -in KEY -out KEY.pem";
        Failure::from(error).with_hint(hint)
    })
}
