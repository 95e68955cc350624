//! `sixtap probe`: from packets to flow records at collectors.

use super::{DONE, FINDINGS, Failure};
use crate::capture::filter::Filtered;
use crate::capture::{LinkType, Source, packet_socket, pcap};
use crate::export::preset::{Preset, UserElement};
use crate::export::{Destination, ExportPlan, Keys};
use crate::meter::flow::Settings;
use crate::meter::packet::user::Extractions;
use crate::meter::packet::{Options, TunnelMode};
use crate::probe::{self, Input, Plan, ProbeError, Progress};
use crate::telemetry::Ledger;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Arguments of `sixtap probe`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["interfaces", "read"]))]
pub(crate) struct ProbeArgs {
    /// Interface to capture from, through AF_XDP; repeatable (the two directions of a tap).
    #[arg(short = 'i', long = "interface", value_name = "IF")]
    interfaces: Vec<String>,

    /// Capture file to read instead: pcap or pcapng, also gzip or zstd; - is standard input.
    #[arg(short, long, value_name = "FILE")]
    read: Option<PathBuf>,

    /// Where records go; repeatable. udp://HOST:PORT, tcp://HOST:PORT, file:OUT.ipfix, json:OUT.jsonl, json:-
    #[arg(short, long = "collector", value_name = "URL", default_value = "json:-")]
    collectors: Vec<Destination>,

    /// Elements of a record: default, full, covert, or a TOML file that lists them.
    #[arg(short = 'T', long, value_name = "NAME|FILE.toml", default_value = "default")]
    template: String,

    /// Elements of your own, read from a TOML file, added to the template.
    #[arg(long, value_name = "FILE.toml")]
    elements: Option<PathBuf>,

    /// Seconds after which a flow that goes on is reported, and begins a new record.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    active: Duration,

    /// Seconds of silence that end a flow.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    idle: Duration,

    /// Flows the table of each worker has room for.
    #[arg(long, value_name = "COUNT", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..))]
    flows: u32,

    /// Observation Domain ID; not 0.
    #[arg(long, value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    domain: u32,

    /// Private Enterprise Number of sixtap's own elements.
    #[arg(long, value_name = "PEN", default_value_t = ie_registry::SIXTAP_DEFAULT_PEN)]
    enterprise: u32,

    /// Which IP header of a tunnelled packet is metered.
    #[arg(long, value_enum, default_value_t)]
    tunnel: Tunnel,

    /// Both directions of a conversation in one record (RFC 5103); the initiator is the source.
    #[arg(long)]
    biflow: bool,

    /// The chain of extension headers is part of the Flow Key: a record each.
    #[arg(long)]
    chain_key: bool,

    /// Most extension headers of a packet to walk; a longer chain is marked as cut.
    #[arg(long, value_name = "COUNT")]
    chain_limit: Option<u32>,

    /// Largest IPFIX message over UDP, octets (default: what the path takes).
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(256..))]
    message_size: Option<u16>,

    /// Stop after this many frames.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,

    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,

    /// Receive queues to capture, as 0,2-3 (default: all).
    #[arg(long, value_name = "LIST")]
    queues: Option<String>,

    /// The least AF_XDP mode that will do.
    #[arg(long, value_enum)]
    require: Option<Require>,

    /// Leave AF_XDP's zero-copy modes out, where a driver's is at fault.
    #[arg(long)]
    no_zero_copy: bool,

    /// Take the traffic of an interface that carries this machine's own addresses or default route.
    #[arg(long)]
    steal: bool,

    /// Capture through a packet socket: for hosts whose traffic must keep reaching the kernel. With a COUNT, that many
    /// sockets and workers share the packets by their addresses.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        conflicts_with_all = ["queues", "require", "no_zero_copy", "steal", "busy_poll", "keep_settings"])]
    packet_socket: Option<u32>,

    /// Entries of each AF_XDP socket's ring.
    #[arg(long, value_name = "ENTRIES", default_value_t = 4096)]
    ring: u32,

    /// Run the driver from the workers instead of by interrupts, at most FRAMES at a turn.
    #[arg(long, value_name = "FRAMES", num_args = 0..=1, require_equals = true, default_missing_value = "64")]
    busy_poll: Option<u16>,

    /// Leave the NIC's settings as they are: hash fields, VLAN offload, merging.
    #[arg(long)]
    keep_settings: bool,

    /// Processors for the workers, in order, as 0,2-3.
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,

    /// The ledger at exit, on standard error.
    #[arg(long, value_enum, default_value_t)]
    stats: Stats,

    /// Exit with status 1 if any frame or record was lost.
    #[arg(long)]
    fail_on_loss: bool,

    /// No progress bar.
    #[arg(short, long)]
    quiet: bool,

    /// Frames to meter, as a tcpdump filter expression.
    #[arg(trailing_var_arg = true, value_name = "FILTER")]
    filter: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Tunnel {
    /// The outermost: what the Observation Point saw.
    #[default]
    Outer,
    /// The innermost that can be reached.
    Inner,
    /// Every one, as flows of their own.
    Both,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Stats {
    #[default]
    Text,
    Json,
    None,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Require {
    Native,
    ZeroCopy,
}

fn seconds(words: &str) -> Result<Duration, String> {
    let seconds: f64 = words.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if seconds > 0.0 && seconds <= 1e9 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("write a number of seconds above 0".to_owned())
    }
}

/// Numbers and ranges, as `0,2-3`.
fn list(option: &str, words: &str) -> Result<Vec<u32>, Failure> {
    let number = |word: &str| {
        word.trim().parse::<u32>().map_err(|_| {
            Failure::usage(format!("{option} {words}: \"{word}\" is no number; write as 0,2-3"))
        })
    };
    let mut numbers = Vec::new();
    for part in words.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last || last - first > 4096 {
            return Err(Failure::usage(format!("{option} {words}: {part} is no range")));
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

pub(crate) fn run(args: ProbeArgs) -> Result<u8, Failure> {
    let inputs = open(&args)?;
    let plan = plan(&args, inputs)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second signal ends the process at once.
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .map_err(Failure::environment)?;
    }
    let mut bar = None;
    let mut look = |progress: &Progress| {
        if !args.quiet && std::io::stderr().is_terminal() {
            show_progress(&mut bar, progress);
        }
    };
    let outcome = probe::run(plan, &stop, &mut look)?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(end(&args, &outcome))
}

/// Prints the ledger and says how it went.
fn end(args: &ProbeArgs, outcome: &probe::Outcome) -> u8 {
    let ledger: &Ledger = &outcome.ledger;
    match args.stats {
        Stats::Text => eprint!("{ledger}"),
        Stats::Json => eprintln!("{}", ledger.to_json()),
        Stats::None => {}
    }
    let mut status = DONE;
    for (name, collector) in &ledger.collectors {
        let is_file = name.starts_with("file:") || name.starts_with("json:");
        if is_file && collector.lost.send > 0 && name != "json:-" {
            eprintln!("sixtap: {name}: {} records could not be written", collector.lost.send);
            status = status.max(super::ENVIRONMENT);
        }
    }
    for error in &outcome.errors {
        eprintln!("sixtap: {error}");
        status = status.max(Failure::from_probe(error).status);
    }
    if status == DONE && args.fail_on_loss && ledger.lost() > 0 {
        eprintln!("sixtap: {} frames or records lost; the ledger says where", ledger.lost());
        status = FINDINGS;
    }
    status
}

fn plan(args: &ProbeArgs, inputs: Vec<Input>) -> Result<Plan, Failure> {
    let (user_elements, extractions) = match &args.elements {
        Some(path) => super::elements_file::read(path)?,
        None => (Vec::new(), Vec::new()),
    };
    let (mut preset, detail) = preset(&args.template, args.enterprise, &user_elements)?;
    preset = preset.with_user_elements(&user_elements);
    let detail = detail || args.biflow || args.chain_key || !extractions.is_empty();
    if args.biflow {
        preset = preset.with_reverse();
    }
    let label_key = args.template == "covert";
    let nanoseconds = |duration: Duration| duration.as_nanos().min(u128::from(u64::MAX)) as u64;
    let defaults = Settings::default();
    let capacity = args.flows as usize;
    let meter = Settings {
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
            user: Extractions::new(&extractions),
        },
        biflow: args.biflow,
        chain_key: args.chain_key,
        ..defaults
    };
    let patient = args.read.is_some();
    let export = ExportPlan {
        destinations: args.collectors.clone(),
        preset,
        user_elements,
        enterprise: args.enterprise,
        domain: args.domain,
        keys: Keys { label_and_class: label_key, chain: args.chain_key },
        active: args.active,
        idle: args.idle,
        message_limit: args.message_size.map(usize::from),
        patient,
        interfaces: live::names(args),
        ..ExportPlan::default()
    };
    Ok(Plan { inputs, meter, export, patient, count: args.count, duration: args.duration })
}

/// The preset, and whether it has elements that every packet's detail is needed for.
fn preset(name: &str, enterprise: u32, user: &[UserElement]) -> Result<(Preset, bool), Failure> {
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

fn open(args: &ProbeArgs) -> Result<Vec<Input>, Failure> {
    let expression = args.filter.join(" ");
    let mut inputs = match &args.read {
        Some(path) => {
            let source = pcap::open(path)?;
            let link = source.link_type().unwrap_or(LinkType::Ethernet);
            let name = source.name().to_owned();
            vec![Input { source: filtered(source, &expression, link)?, name, cpu: None }]
        }
        None => match args.packet_socket {
            Some(sockets) => open_packet_sockets(args, sockets, &expression)?,
            None => live::open(args, &expression)?,
        },
    };
    if let Some(words) = &args.cpus {
        for (input, cpu) in inputs.iter_mut().zip(list("--cpus", words)?) {
            input.cpu = Some(cpu as usize);
        }
    }
    Ok(inputs)
}

fn open_packet_sockets(
    args: &ProbeArgs,
    sockets: u32,
    expression: &str,
) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for interface in &args.interfaces {
        let options = packet_socket::Options { sockets, ..packet_socket::Options::new(interface) };
        for (number, source) in packet_socket::open(&options)?.into_iter().enumerate() {
            let link = source.link_type();
            let source = filtered(source, expression, link)?;
            inputs.push(Input { source, name: format!("{interface} socket {number}"), cpu: None });
        }
    }
    Ok(inputs)
}

fn filtered<S: Source + Send + 'static>(
    source: S,
    expression: &str,
    link: LinkType,
) -> Result<Box<dyn Source + Send>, Failure> {
    if expression.is_empty() {
        return Ok(Box::new(source));
    }
    Ok(Box::new(Filtered::new(source, expression, link)?))
}

#[cfg(feature = "xdp")]
mod live {
    use super::{Failure, Input, ProbeArgs, Require, filtered, list};
    use crate::capture::LinkType;
    use crate::capture::interface::Interface;
    use crate::capture::xdp::{self, BusyPoll, Options};

    pub(super) fn open(args: &ProbeArgs, expression: &str) -> Result<Vec<Input>, Failure> {
        let queues = args.queues.as_deref().map(|words| list("--queues", words)).transpose()?;
        let mut inputs = Vec::new();
        for interface in &args.interfaces {
            let options = Options {
                queues: queues.clone(),
                require: match args.require {
                    None => xdp::Require::Any,
                    Some(Require::Native) => xdp::Require::Native,
                    Some(Require::ZeroCopy) => xdp::Require::ZeroCopy,
                },
                no_zero_copy: args.no_zero_copy,
                steal: args.steal,
                ring: args.ring,
                prepare: !args.keep_settings,
                busy_poll: args.busy_poll.map(|budget| BusyPoll { budget, ..BusyPoll::default() }),
                ..Options::new(interface)
            };
            for source in xdp::open(&options)? {
                let queue = source.queue();
                let source = filtered(source, expression, LinkType::Ethernet)?;
                inputs.push(Input {
                    source,
                    name: format!("{interface} queue {queue}"),
                    cpu: None,
                });
            }
        }
        Ok(inputs)
    }

    /// ifIndex and name of every interface captured, for the collector.
    pub(super) fn names(args: &ProbeArgs) -> Vec<(u32, String)> {
        args.interfaces
            .iter()
            .filter_map(|name| Interface::by_name(name).ok().flatten())
            .map(|interface| (interface.index, interface.name))
            .collect()
    }
}

#[cfg(not(feature = "xdp"))]
mod live {
    use super::{Failure, Input, ProbeArgs};

    pub(super) fn open(_args: &ProbeArgs, _expression: &str) -> Result<Vec<Input>, Failure> {
        Err(Failure::environment(
            "this sixtap was built without AF_XDP: build it with the feature \"xdp\"",
        ))
    }

    pub(super) fn names(_args: &ProbeArgs) -> Vec<(u32, String)> {
        Vec::new()
    }
}

impl Failure {
    fn from_probe(error: &ProbeError) -> Self {
        use crate::capture::CaptureError;
        match error {
            ProbeError::Capture { error: CaptureError::Damaged { .. }, .. } => {
                Self { status: FINDINGS, message: error.to_string() }
            }
            ProbeError::Capture { error: CaptureError::Usage(_), .. } | ProbeError::Meter(_) => {
                Self::usage(error)
            }
            _ => Self::environment(error),
        }
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        Self::from_probe(&error)
    }
}

fn show_progress(bar: &mut Option<ProgressBar>, progress: &Progress) {
    let Some((done, all)) = progress.octets else { return };
    let bar = bar.get_or_insert_with(|| {
        let bar = ProgressBar::new(all);
        let style = "{wide_bar} {bytes}/{total_bytes} {msg} {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar
    });
    bar.set_position(done);
    bar.set_message(format!(
        "{} packets, {} flows",
        progress.ledger.parse.metered, progress.ledger.flows.created
    ));
}
