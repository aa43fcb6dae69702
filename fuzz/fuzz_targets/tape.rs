#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kalshi_orderbook_fuzz::tape::holds(bytes));
