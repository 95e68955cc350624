//! Rules, reference meter, matching, findings and reports: is stuff exported, and is it valid?
//!
//! ```text
//!   messages ──► collect ──► stream: sessions ──► rules ──────────────┐
//!   traffic  ──► reference ──► matching (records and true flows) ─────┴──► report: terminal, JSON, SARIF, JUnit, HTML
//! ```
//!
//! Must stay true: no input ends a run but one that cannot be read; memory is bounded whatever comes; the reference
//! shares no parser with the probe.

#[cfg(test)]
mod builder;
pub mod coverage;
pub mod finding;
pub mod matching;
pub mod memory;
pub mod reference;
pub mod report;
pub mod rules;
pub mod sequence;
pub mod session;
pub mod stream;
pub mod view;

pub use finding::{Finding, Severity};
pub use report::Report;
pub use rules::{RULES, Rule};
pub use stream::Validator;
