//! Verifies the logs the user has.
