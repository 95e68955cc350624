//! What the user asked for, in the user's words, checked.

pub mod elements;
pub mod file;
