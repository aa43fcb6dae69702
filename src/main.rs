//! The `kalshi` command: parse, run, print the error once, exit.

mod cli;

use std::{io, process::ExitCode};

fn main() -> ExitCode {
    if let Err(failure) = cli::dotenv::load() {
        return cli::failure::report(&failure, &mut io::stderr());
    }
    let cli = match cli::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => return cli::failure::usage(&error),
    };
    match cli::run(cli) {
        Ok(code) => code,
        Err(failure) => cli::failure::report(&failure, &mut io::stderr()),
    }
}
