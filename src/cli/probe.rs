//! `sixtap probe`.

use super::Failure;

/// Arguments of `sixtap probe`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProbeArgs {}

pub(crate) fn run(_args: ProbeArgs) -> Result<u8, Failure> {
    Err(Failure::usage("probe: give -i or -r"))
}
