//! What goes to whom: the options, the template, the exporter's plan.

use super::super::Failure;
use crate::export::preset::{Preset, UserElement};
use crate::export::{Anonymisation, Destination, parse_key};
use ie_registry::DataType;
use std::path::PathBuf;

/// What goes to whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Export")]
pub(super) struct ExportArgs {
    /// Where records go; repeatable. udp://, tcp://, sctp://HOST:PORT, tls://HOST:PORT?ca=FILE, unix:PATH, file:OUT.ipfix,
    /// json:OUT.jsonl, json:-, nfv9+udp://HOST:PORT, kafka://BROKER/TOPIC, parquet:DIRECTORY; failover:URL,URL or
    /// balance:URL,URL share (docs/export.md).
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

    /// Name of the Observation Domain, for the collector.
    #[arg(long, value_name = "NAME")]
    pub(super) domain_name: Option<String>,

    /// Replace IP addresses before anything is exported: prefix (Crypto-PAn, prefix-preserving), cut (to /48 and /24) or
    /// cut:IPV6,IPV4 with other prefix lengths. Declared to collectors.
    #[arg(long, visible_alias = "anonymize", value_name = "HOW")]
    pub(super) anonymise: Option<Hiding>,

    /// Secret of --anonymise prefix, so that addresses map the same in the next run: 32 characters, or 0x and 64
    /// hexadecimal digits, as nfanon has it. Without it the secret is random and forgotten at the end.
    #[arg(long, visible_alias = "anonymize-key", value_name = "FILE", requires = "anonymise")]
    pub(super) anonymise_key: Option<PathBuf>,

    /// Private Enterprise Number of sixtap's own elements.
    #[arg(long, value_name = "PEN", default_value_t = ie_registry::SIXTAP_DEFAULT_PEN)]
    pub(super) enterprise: u32,

    /// Largest IPFIX message over UDP, octets (default: what the path takes).
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(256..))]
    pub(super) message_size: Option<u16>,
}

/// `--anonymise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hiding {
    Prefix,
    Cut { ipv6: u8, ipv4: u8 },
}

impl std::str::FromStr for Hiding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not prefix, cut or cut:IPV6,IPV4 as in cut:48,24");
        match text.split_once(':') {
            None if text == "prefix" => Ok(Self::Prefix),
            None if text == "cut" => Ok(Self::Cut { ipv6: 48, ipv4: 24 }),
            Some(("cut", lengths)) => {
                let (ipv6, ipv4) = lengths.split_once(',').ok_or_else(wrong)?;
                let length = |text: &str, most: u8| {
                    text.parse().ok().filter(|length| *length <= most).ok_or_else(wrong)
                };
                Ok(Self::Cut { ipv6: length(ipv6, 128)?, ipv4: length(ipv4, 32)? })
            }
            _ => Err(wrong()),
        }
    }
}

/// How addresses are to be hidden, with the secret where one is needed.
pub(super) fn anonymisation(
    args: &ExportArgs,
    user: &[UserElement],
) -> Result<Option<Anonymisation>, Failure> {
    let Some(hiding) = args.anonymise else { return Ok(None) };
    if let Some(element) = user.iter().find(|element| element.data_type == DataType::Ipv4Address) {
        return Err(Failure::usage(format!(
            "--anonymise: the element \"{}\" of --elements is an address and would go out as it is; leave it out",
            element.name
        )));
    }
    match (hiding, &args.anonymise_key) {
        (Hiding::Cut { .. }, Some(_)) => {
            Err(Failure::usage("--anonymise-key: only --anonymise prefix has a secret"))
        }
        (Hiding::Cut { ipv6, ipv4 }, None) => Ok(Some(Anonymisation::Cut { ipv6, ipv4 })),
        (Hiding::Prefix, Some(path)) => {
            let wrong = |problem: &dyn std::fmt::Display| {
                Failure::usage(format!("--anonymise-key {}: {problem}", path.display()))
            };
            let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
            let key = parse_key(&text).map_err(|error| wrong(&error))?;
            Ok(Some(Anonymisation::PrefixPreserving { key, stable: true }))
        }
        (Hiding::Prefix, None) => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(Failure::environment)?;
            Ok(Some(Anonymisation::PrefixPreserving { key, stable: false }))
        }
    }
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
