//! What may have been meant by a name that is not there.

/// The most names an error suggests.
const SUGGESTIONS: usize = 3;

/// The names most like one that is not there: within a third of its length, or beginning with it.
pub(super) fn near(wanted: &str, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let limit = wanted.len().div_ceil(3);
    let mut close: Vec<_> = names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wanted, &name), name))
        .filter(|(distance, name)| {
            *distance <= limit || (!wanted.is_empty() && name.starts_with(wanted))
        })
        .collect();
    close.sort();
    close.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}
