//! `.env`, read so that nothing of it is ever printed: a key may stand in it.

use std::{env, fs};

use anyhow::anyhow;

use super::failure::Failure;

/// Sets the variables of `.env` that the environment does not have.
pub(crate) fn load() -> Result<(), Failure> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // The error's own text would be the line, which may be the key.
        Err(dotenvy::Error::LineParse(text, _)) => {
            let (number, line) = place(&text).unwrap_or_default();
            let name = name(&line).map_or_else(String::new, |name| format!(" ({name})"));
            let number = if number > 0 { format!(" line {number}") } else { String::new() };
            let error = anyhow!("read `.env`:{number}{name} is not NAME=\"value\"");
            Err(Failure::from(error).with_hint("put the value into double quotes"))
        }
        Err(error) => Err(anyhow::Error::new(error).context("read `.env`").into()),
    }
}

/// The number, from 1, and the whole of the line with this text, which may be its value only. The
/// file is looked for as it was: here, then in each folder above.
fn place(text: &str) -> Option<(usize, String)> {
    let here = env::current_dir().ok()?;
    let path = here.ancestors().map(|folder| folder.join(".env")).find(|path| path.is_file())?;
    let file = fs::read_to_string(path).ok()?;
    let before = file.get(..file.find(text)?)?;
    let number = before.matches('\n').count() + 1;
    Some((number, file.lines().nth(number - 1)?.to_owned()))
}

/// The variable's name. A part of a key is none: base64 has no underscore.
fn name(line: &str) -> Option<&str> {
    let name = line.split_once('=')?.0.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let plain = name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    (plain && name.contains('_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn only_what_cannot_be_a_key_is_a_name() {
        assert_eq!(name("KALSHI_PRIVATE_KEY=-----BEGIN"), Some("KALSHI_PRIVATE_KEY"));
        assert_eq!(name("export KALSHI_KEY_ID = a b"), Some("KALSHI_KEY_ID"));
        for line in ["MIIEowIBAAKCAQEA", "QUJD+/==", "QUJDRA==", "abc_=", "-----BEGIN X-----"] {
            assert_eq!(name(line), None, "{line}");
        }
    }
}
