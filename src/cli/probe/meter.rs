//! How packets become flows: the options, and the meter's settings.

use super::seconds;
use crate::meter::flow::Settings;
use crate::meter::packet::user::Extractions;
use crate::meter::packet::{Options, TunnelMode};
use std::time::Duration;

/// How packets become flows.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Meter")]
pub(super) struct MeterArgs {
    /// Seconds after which a flow that goes on is reported, and begins a new record.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    pub(super) active: Duration,

    /// Seconds of silence that end a flow.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(super) idle: Duration,

    /// Flows the table of each worker has room for.
    #[arg(long, value_name = "COUNT", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) flows: u32,

    /// Which IP header of a tunnelled packet is metered.
    #[arg(long, value_enum, default_value_t)]
    pub(super) tunnel: Tunnel,

    /// Both directions of a conversation in one record (RFC 5103); the initiator is the source.
    #[arg(long)]
    pub(super) biflow: bool,

    /// The chain of extension headers is part of the Flow Key: a record each.
    #[arg(long)]
    pub(super) chain_key: bool,

    /// Most extension headers of a packet to walk; a longer chain is marked as cut.
    #[arg(long, value_name = "COUNT")]
    pub(super) chain_limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Tunnel {
    /// The outermost: what the Observation Point saw.
    #[default]
    Outer,
    /// The innermost that can be reached.
    Inner,
    /// Every one, as flows of their own.
    Both,
}

/// Settings of each worker's meter. `detail`: some element needs every packet's detail. `label_key`: flow label and traffic
/// class are part of the Flow Key.
pub(super) fn settings(
    args: &MeterArgs,
    detail: bool,
    label_key: bool,
    extractions: Extractions,
) -> Settings {
    let nanoseconds = |duration: Duration| duration.as_nanos().min(u128::from(u64::MAX)) as u64;
    let capacity = args.flows as usize;
    Settings {
        capacity,
        extras: if detail { capacity } else { capacity.div_ceil(4) },
        idle: nanoseconds(args.idle),
        active: nanoseconds(args.active),
        parse: Options {
            chain_limit: args.chain_limit.unwrap_or(u32::MAX),
            tunnel: match args.tunnel {
                Tunnel::Outer => TunnelMode::Outer,
                Tunnel::Inner => TunnelMode::Inner,
                Tunnel::Both => TunnelMode::Both,
            },
            detail,
            label_key,
            user: extractions,
        },
        biflow: args.biflow,
        chain_key: args.chain_key,
        ..Settings::default()
    }
}
