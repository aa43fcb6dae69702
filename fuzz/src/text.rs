//! Small texts of people and of the exchange: numbers, tickers, addresses and keys.

use kalshi_orderbook::{
    ingestor::WsUrl,
    protocol::{Credentials, Price, Size, Ticker},
};

/// What is read from a text prints as a text that is read as the same, and no key is told.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(price) = text.parse::<Price>() {
        assert!(price <= Price::DOLLAR);
        assert_eq!(price.to_string().parse(), Ok(price));
    }
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse(), Ok(size));
    }
    if let Ok(ticker) = text.parse::<Ticker>() {
        assert_eq!(ticker.to_string(), text.to_ascii_uppercase());
        assert!(!Ticker::series_of(ticker.as_str()).contains('-'));
    }
    if let Ok(url) = text.parse::<WsUrl>() {
        assert!(text.starts_with(url.without_query()) && text.contains(url.path()));
        assert!(!url.path().contains(['?', '#']));
    }
    if let Ok(credentials) = Credentials::new("key-1", text) {
        let headers = credentials.sign("GET", "/trade-api/ws/v2", 1_703_123_456_789);
        assert!(!headers.signature.is_empty());
        let printed = format!("{credentials:?} {headers:?}");
        assert!(printed.ends_with("redacted) AuthHeaders(redacted)"), "{printed}");
    }
}
