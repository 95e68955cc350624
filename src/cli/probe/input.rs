//! Where packets come from: the options, and the opened sources.

use super::super::Failure;
use super::seconds;
use crate::capture::filter::{Filter, Filtered};
use crate::capture::interface::Interface;
use crate::capture::sampling::{Sampled, Sampling};
use crate::capture::{LinkType, Source, packet_socket, pcap};
use crate::export::InterfaceName;
use crate::probe::Input;
use std::path::PathBuf;
use std::time::Duration;

/// Where packets come from.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Input")]
pub(super) struct InputArgs {
    /// Interface to capture from, through AF_XDP; repeatable (the two directions of a tap).
    #[arg(short = 'i', long = "interface", value_name = "IF")]
    pub(super) interfaces: Vec<String>,

    /// Capture file to read instead: pcap or pcapng, also gzip or zstd; - is standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with = "interfaces")]
    pub(super) read: Option<PathBuf>,

    /// Receive queues to capture, as 0,2-3 (default: all).
    #[arg(long, value_name = "LIST")]
    pub(super) queues: Option<String>,

    /// Processors for the workers, in order, as 0,2-3. Where they are fewer than the workers, these take them in turn.
    #[arg(long, value_name = "LIST")]
    pub(super) cpus: Option<String>,

    /// Workers of each interface, which share its receive queues (default: one a queue).
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) workers: Option<u16>,

    /// Where time stamps come from with AF_XDP.
    #[arg(long, value_enum, default_value_t)]
    pub(super) timestamps: Timestamps,

    /// The least AF_XDP mode that will do.
    #[arg(long, value_enum)]
    pub(super) require: Option<Require>,

    /// Leave AF_XDP's zero-copy modes out, where a driver's is at fault.
    #[arg(long)]
    pub(super) no_zero_copy: bool,

    /// Take the traffic of an interface that carries this machine's own addresses or default route.
    #[arg(long)]
    pub(super) steal: bool,

    /// Capture through a packet socket: for hosts whose traffic must keep reaching the kernel. With a COUNT, that many
    /// sockets and workers share the packets by their addresses.
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "1",
        conflicts_with_all = ["queues", "workers", "require", "no_zero_copy", "steal", "busy_poll", "keep_settings"])]
    pub(super) packet_socket: Option<u32>,

    /// Entries of each AF_XDP socket's ring.
    #[arg(long, value_name = "ENTRIES", default_value_t = 4096)]
    pub(super) ring: u32,

    /// Run the driver from the workers instead of by interrupts, at most FRAMES at a turn.
    #[arg(long, value_name = "FRAMES", num_args = 0..=1, require_equals = true, default_missing_value = "64")]
    pub(super) busy_poll: Option<u16>,

    /// Leave the NIC's settings as they are: hash fields, VLAN offload, merging.
    #[arg(long)]
    pub(super) keep_settings: bool,

    /// Meter one packet of N only: every N-th, or with random:N one at a random place in each N. Declared to collectors,
    /// which multiply.
    #[arg(long, value_name = "N|random:N")]
    pub(super) sample: Option<Sampling>,

    /// Stop after this many frames.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(super) count: Option<u64>,

    /// Stop after this many seconds.
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(super) duration: Option<Duration>,

    /// Frames to meter, as a tcpdump filter expression.
    #[arg(trailing_var_arg = true, value_name = "FILTER")]
    pub(super) filter: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Timestamps {
    /// One clock reading a batch of up to 64 frames, when the worker takes it.
    #[default]
    Batch,
    /// One a packet, in the XDP program.
    Packet,
    /// The NIC's, compared with the system's clock once a second.
    Nic,
    /// The NIC's, which is UTC already.
    NicUtc,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Require {
    Native,
    ZeroCopy,
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

/// What can be wrong with the options without a look at an interface.
pub(super) fn check(args: &InputArgs) -> Result<(), Failure> {
    let expression = args.filter.join(" ");
    if !expression.is_empty() {
        Filter::compile(&expression, LinkType::Ethernet, u32::from(u16::MAX))?;
    }
    for (option, words) in [("--queues", &args.queues), ("--cpus", &args.cpus)] {
        if let Some(words) = words {
            list(option, words)?;
        }
    }
    Ok(())
}

pub(super) fn open(args: &InputArgs) -> Result<Vec<Input>, Failure> {
    if let Some(words) = &args.cpus {
        check_processors(words)?;
    }
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
    if let Some(sampling) = args.sample {
        inputs = sampled(inputs, sampling)?;
    }
    if let Some(words) = &args.cpus {
        place(&mut inputs, &list("--cpus", words)?);
    }
    Ok(inputs)
}

/// Gives workers their processors, in turn where there are more workers.
fn place(inputs: &mut [Input], cpus: &[u32]) {
    let workers = inputs.len();
    if cpus.len() < workers {
        tracing::warn!(
            "{workers} workers take the {} processors of --cpus in turn; with --workers or more processors each has one of its own",
            cpus.len()
        );
    }
    for (input, &cpu) in inputs.iter_mut().zip(cpus.iter().cycle()) {
        input.cpu = Some(cpu as usize);
    }
}

/// A processor that is not there, or not for this process, is told of before anything is opened.
fn check_processors(words: &str) -> Result<(), Failure> {
    for cpu in list("--cpus", words)? {
        // In a thread of its own: this one stays where it is.
        let tried = std::thread::spawn(move || crate::probe::stay_on(cpu as usize)).join();
        if let Ok(Err(error)) = tried {
            return Err(Failure::usage(format!(
                "--cpus {words}: no worker can be on processor {cpu} ({error}); `cat /sys/devices/system/cpu/online` shows what there is, \
                 and a cpuset may allow less"
            )));
        }
    }
    Ok(())
}

/// Every worker samples for itself, from a place that nobody can guess.
fn sampled(inputs: Vec<Input>, sampling: Sampling) -> Result<Vec<Input>, Failure> {
    let sampled = inputs.into_iter().map(|input| {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(Failure::environment)?;
        let source = Sampled::new(input.source, sampling, u64::from_le_bytes(seed));
        Ok(Input { source: Box::new(source), ..input })
    });
    sampled.collect()
}

fn open_packet_sockets(
    args: &InputArgs,
    sockets: u32,
    expression: &str,
) -> Result<Vec<Input>, Failure> {
    if args.timestamps != Timestamps::Batch {
        return Err(Failure::usage(
            "--timestamps is for AF_XDP: a packet socket has the kernel's stamp of each packet; leave it out"
                .to_owned(),
        ));
    }
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

/// What is known of every interface captured, for the collector.
pub(super) fn names(args: &InputArgs) -> Vec<InterfaceName> {
    args.interfaces
        .iter()
        .filter_map(|name| Interface::by_name(name).ok().flatten())
        .map(|found| {
            let controller = found.controller.and_then(|index| Interface::by_index(index).ok()?);
            let vrf = controller.filter(|controller| controller.kind.as_deref() == Some("vrf"));
            InterfaceName {
                index: found.index,
                name: found.name,
                description: found.alias,
                vrf: vrf.map(|vrf| (vrf.index, vrf.name)),
            }
        })
        .collect()
}

#[cfg(feature = "xdp")]
mod live {
    use super::{Failure, Input, InputArgs, Require, Timestamps, filtered, list};
    use crate::capture::LinkType;
    use crate::capture::xdp::{self, BusyPoll, NicClock, Options};

    pub(super) fn open(args: &InputArgs, expression: &str) -> Result<Vec<Input>, Failure> {
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
                timestamps: match args.timestamps {
                    Timestamps::Batch => xdp::Timestamps::Batch,
                    Timestamps::Packet => xdp::Timestamps::Packet,
                    Timestamps::Nic => xdp::Timestamps::Nic(NicClock::Compared),
                    Timestamps::NicUtc => xdp::Timestamps::Nic(NicClock::Utc),
                },
                ..Options::new(interface)
            };
            let workers = args.workers.map_or(usize::MAX, usize::from);
            for group in xdp::share(xdp::open(&options)?, workers) {
                let queues: Vec<String> = group.queues().iter().map(u32::to_string).collect();
                let name = format!("{interface} queue {}", queues.join(", "));
                let source = filtered(group, expression, LinkType::Ethernet)?;
                inputs.push(Input { source, name, cpu: None });
            }
        }
        Ok(inputs)
    }
}

#[cfg(not(feature = "xdp"))]
mod live {
    use super::{Failure, Input, InputArgs};

    pub(super) fn open(_args: &InputArgs, _expression: &str) -> Result<Vec<Input>, Failure> {
        Err(Failure::environment(
            "this sixtap was built without AF_XDP: build it with the feature \"xdp\"",
        ))
    }
}
