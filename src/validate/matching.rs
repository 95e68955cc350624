//! Records against true flows.

use serde_json::Value;

/// The outcome.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Elements.
    pub elements: Vec<ElementRow>,
}

/// One element.
#[derive(Clone, Debug)]
pub struct ElementRow {
    /// Name.
    pub name: String,
    /// Right.
    pub right: u64,
    /// Wrong.
    pub wrong: u64,
    /// How wrong.
    pub patterns: Vec<Pattern>,
}

/// How an element is wrong.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// In words.
    pub text: String,
    /// Flows.
    pub count: u64,
    /// One of them.
    pub example: String,
}

impl Comparison {
    /// Whether it found an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.elements.iter().any(|row| row.wrong > 0)
    }

    /// Right and wrong flows of a need.
    #[must_use]
    pub fn of_need(&self, _need: &str) -> Option<(u64, u64)> {
        None
    }

    /// Summary lines.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        Value::Null
    }
}
