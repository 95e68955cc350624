//! The report as a web page.

use super::Report;

/// The page.
#[must_use]
pub fn page(_report: &Report) -> String {
    String::new()
}
