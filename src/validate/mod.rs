//! validate

pub mod reference;
