//! What goes to whom: the options, the template, the exporter's plan.

use super::super::Failure;
use crate::export::Destination;
use crate::export::preset::{Preset, UserElement};
use std::path::PathBuf;

/// What goes to whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Export")]
pub(super) struct ExportArgs {
    /// Where records go; repeatable. udp://, tcp://, sctp://HOST:PORT, tls://HOST:PORT?ca=FILE,
    /// unix:PATH, file:OUT.ipfix, json:OUT.jsonl, json:-; failover:URL,URL or balance:URL,URL share (docs/export.md).
    #[arg(short, long = "collector", value_name = "URL", default_value = "json:-")]
    pub(super) collectors: Vec<Destination>,

    /// Elements of a record: default, full, covert, or a TOML file that lists them.
    #[arg(short = 'T', long, value_name = "NAME|FILE.toml", default_value = "default")]
    pub(super) template: String,

    /// Elements of your own, read from a TOML file, added to the template.
    #[arg(long, value_name = "FILE.toml")]
    pub(super) elements: Option<PathBuf>,

    /// Observation Domain ID; not 0.
    #[arg(long, value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) domain: u32,

    /// Private Enterprise Number of sixtap's own elements.
    #[arg(long, value_name = "PEN", default_value_t = ie_registry::SIXTAP_DEFAULT_PEN)]
    pub(super) enterprise: u32,

    /// Largest IPFIX message over UDP, octets (default: what the path takes).
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(256..))]
    pub(super) message_size: Option<u16>,
}

/// The preset, and whether it has elements that every packet's detail is needed for.
pub(super) fn preset(
    name: &str,
    enterprise: u32,
    user: &[UserElement],
) -> Result<(Preset, bool), Failure> {
    if let Some(preset) = Preset::named(name) {
        return Ok((preset, name != "default"));
    }
    let path = std::path::Path::new(name);
    let looks_like_file = path.extension().is_some() || name.contains('/');
    if !looks_like_file {
        return Err(Failure::usage(format!(
            "--template {name}: there is no such preset; write default, full, covert or a FILE.toml"
        )));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--template {name}: {error}")))?;
    let preset = Preset::parse(&text, name, enterprise, user).map_err(Failure::usage)?;
    Ok((preset, true))
}
