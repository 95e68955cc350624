//! `sixtap facts FILE`: what the parser says of each packet, one JSON object a line.
//!
//! A window into [`crate::meter::packet`] for comparing it with other parsers, packet by packet.

use super::{DONE, Failure};
use crate::capture::{Frame, Poll, Source, pcap};
use crate::meter::packet::{self, Facts, Options, Packets, TunnelMode};
use crate::validate::reference;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Arguments of `sixtap facts`.
#[derive(Debug, clap::Args)]
pub(crate) struct FactsArgs {
    /// Capture file, or - for standard input.
    file: PathBuf,
    /// Read the innermost IP header instead of the outermost.
    #[arg(long)]
    inner: bool,
    /// What the reference meter says, which shares no code with the probe's.
    #[arg(long, conflicts_with = "inner")]
    reference: bool,
}

pub(crate) fn run(args: &FactsArgs) -> Result<u8, Failure> {
    let mut source = pcap::open(&args.file)?;
    let tunnel = if args.inner { TunnelMode::Inner } else { TunnelMode::Outer };
    let options = Options { detail: true, tunnel, ..Options::default() };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut packets = Packets::default();
    let mut number = 0u64;
    let mut open = true;
    loop {
        let poll = source.poll(Duration::ZERO, &mut |frames| {
            for frame in frames {
                number += 1;
                if args.reference {
                    open &= writeln!(out, "{}", by_reference(number, frame)).is_ok();
                    continue;
                }
                packets.clear();
                let before = packets.outcomes();
                packet::parse(frame, &options, &mut packets);
                let line = match packets.facts().first() {
                    Some(facts) => render(number, facts, &packets),
                    None => {
                        let reason = packet::Reason::ALL.into_iter().find(|reason| {
                            packets.outcomes().ignored[*reason as usize]
                                > before.ignored[*reason as usize]
                        });
                        json!({ "packet": number, "ignored": reason.map(packet::Reason::name) })
                    }
                };
                open &= writeln!(out, "{line}").is_ok();
            }
        })?;
        if poll == Poll::End || !open {
            return Ok(DONE);
        }
    }
}

fn by_reference(number: u64, frame: &Frame<'_>) -> Value {
    match reference::of_frame(frame, None) {
        Ok((_, facts)) => {
            let mut line = facts.line();
            line["packet"] = number.into();
            line
        }
        Err(reason) => json!({ "packet": number, "ignored": reason.name() }),
    }
}

fn render(number: u64, facts: &Facts, packets: &Packets) -> Value {
    let key = &facts.key;
    let mut value = json!({
        "packet": number,
        "ipVersion": if key.is_ipv6() { 6 } else { 4 },
        "source": key.source().to_string(),
        "destination": key.destination().to_string(),
        "protocolIdentifier": key.protocol(),
        "nextHeader": facts.next_header,
        "portsUnknown": key.ports_unknown(),
        "sourcePort": key.source_port(),
        "destinationPort": key.destination_port(),
        "flowLabel": facts.label,
        "trafficClass": facts.traffic_class,
        "hopLimit": facts.hop_limit,
        "length": facts.length,
        "tcpFlags": facts.tcp_flags,
        "headers": facts.headers,
        "vlan": key.vlan(),
        "customerVlan": key.customer_vlan(),
    });
    if let Some(detail) = packets.detail(facts) {
        let chain = &detail.chain;
        let mut list = Vec::new();
        for (kind, times) in &chain.runs[..usize::from(chain.run_count)] {
            list.extend(std::iter::repeat_n(*kind, usize::from(*times)));
        }
        value["chain"] = list.into();
        value["chainLength"] = chain.length.into();
        value["chainComplete"] = chain.complete.into();
        if let Some(fragment) = &detail.fragment {
            value["fragment"] = json!({
                "identification": fragment.identification,
                "offset": fragment.offset,
                "flags": fragment.flags,
                "tiny": fragment.tiny,
            });
        }
    }
    value
}
