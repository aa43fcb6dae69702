//! The `kalshi` command.

fn main() {}
