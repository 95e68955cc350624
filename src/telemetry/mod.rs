//! Counts, proves that the counts add up, shows them.

mod collector;
mod ledger;

pub use collector::{CollectorCounters, Lost};
pub use ledger::{CaptureSide, Equation, FlowSide, InterfaceSide, Ledger, LiveLedger, ParseSide};
