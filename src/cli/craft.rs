//! `sixtap craft`: traffic whose truth is known, to a capture file or onto an interface.

use super::{DONE, Failure};
use crate::craft::load::{self, Load, MOST_FLOWS, Profile, Totals};
use crate::craft::send::{Pace, Sender, wait_until};
use crate::craft::{Case, PcapWriter, Plan, Set, cases, suite};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Arguments of `sixtap craft`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixtap craft -w cases.pcap --truth cases.json
  sixtap craft --list
  sixtap craft -w attacks.pcap --truth attacks.json --only attack
  sixtap craft -i veth0 --only segment-routing,jumbogram
  sixtap craft -w load.pcap --profile imix --packets 5000000 --flows 100000
  sixtap craft -i eth2 --profile small --packets 1000000 --rate 100000
  sixtap craft -i eth2 --destination-mac 00:00:5e:00:53:fe --destination-prefix fd00:2::   through a router

Default addresses are those for documentation (RFC 3849, RFC 5737, RFC 7042).")]
pub(crate) struct CraftArgs {
    /// Write a capture file (pcap, Ethernet), or - for standard output.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Write what a right exporter says of the traffic, as JSON, or - for standard output.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Send on this interface, at the times of the cases unless --rate says otherwise.
    #[arg(short, long, value_name = "INTERFACE", conflicts_with = "write")]
    interface: Option<String>,
    /// Frames a second; 0 is as fast as it goes. Cases that are about time are then left out.
    #[arg(long, value_name = "PPS", requires = "interface", value_parser = rate)]
    rate: Option<f64>,
    /// List the cases.
    #[arg(long)]
    list: bool,
    /// Only these cases, by name or by set: case (the default), attack, ordinary, all.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Put the frames into the truth, in hexadecimal.
    #[arg(long, requires = "truth")]
    packets_in_truth: bool,
    /// Time stamps in nanoseconds.
    #[arg(long)]
    nanoseconds: bool,
    /// Source MAC address.
    #[arg(long, value_name = "MAC", value_parser = mac)]
    source_mac: Option<[u8; 6]>,
    /// Destination MAC address of unicast frames.
    #[arg(long, value_name = "MAC", value_parser = mac)]
    destination_mac: Option<[u8; 6]>,
    /// Network of all unicast IPv6 addresses, at most 64 bits long.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    prefix: Option<Ipv6Addr>,
    /// Network of the IPv6 destinations, if another: a router forwards from one to the other.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    destination_prefix: Option<Ipv6Addr>,
    /// Network of 256 IPv4 source addresses, of cases.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    source_network: Option<Ipv4Addr>,
    /// Network of 256 IPv4 destination addresses, of cases.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    destination_network: Option<Ipv4Addr>,
    /// Seed of what is drawn by lot.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// A load profile instead of cases.
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["only", "list"])]
    profile: Option<ProfileName>,
    /// Profile: packets.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, requires = "profile",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    packets: u64,
    /// Profile: flows that packets are drawn from.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, requires = "profile",
          value_parser = clap::value_parser!(u64).range(1..=MOST_FLOWS))]
    flows: u64,
    /// Profile: exponent of the flows' popularity; 0 makes all alike.
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.0, requires = "profile", value_parser = exponent)]
    zipf: f64,
    /// Profile: how many of a hundred packets are IPv6.
    #[arg(long, value_name = "PERCENT", default_value_t = 61, requires = "profile",
          value_parser = clap::value_parser!(u8).range(0..=100))]
    ipv6: u8,
    /// Profile: seconds that the packets are spread over.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "profile",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
}

/// Sizes of a load profile's frames.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    /// 7:4:1 of 60–86, 590 and 1514 octets.
    Imix,
    /// 60–86 octets.
    Small,
    /// As on an academic backbone: half of the frames above 1518 octets.
    Geant,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1e9).contains(&rate) => Ok(rate),
        _ => Err("not a number of frames a second, 0 to 1000000000".to_owned()),
    }
}

/// A network of 256 addresses: `192.0.2.0/24`, or without the length.
fn network(text: &str) -> Result<Ipv4Addr, String> {
    let address: Option<Ipv4Addr> = text.strip_suffix("/24").unwrap_or(text).parse().ok();
    address
        .filter(|address| address.octets()[3] == 0)
        .ok_or_else(|| "not a network of 256 IPv4 addresses, like 192.0.2.0/24".to_owned())
}

fn exponent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(exponent) if (0.0..=10.0).contains(&exponent) => Ok(exponent),
        _ => Err("not a number from 0 to 10".to_owned()),
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let octets: Result<Vec<u8>, _> =
        text.split([':', '-']).map(|part| u8::from_str_radix(part, 16)).collect();
    octets
        .ok()
        .and_then(|octets| <[u8; 6]>::try_from(octets).ok())
        .ok_or_else(|| "not a MAC address such as 00:00:5e:00:53:01".to_owned())
}

fn prefix(text: &str) -> Result<Ipv6Addr, String> {
    let (address, length) = text.split_once('/').unwrap_or((text, "64"));
    let address: Ipv6Addr = address.parse().map_err(|_| "not an IPv6 prefix".to_owned())?;
    match length.parse::<u32>() {
        Ok(length @ 1..=64) => Ok(Ipv6Addr::from(u128::from(address) & !(u128::MAX >> length))),
        _ => Err("a prefix of 1 to 64 bits is needed; the rest tells the cases apart".to_owned()),
    }
}

/// Runs `sixtap craft`.
pub(crate) fn run(args: &CraftArgs) -> Result<u8, Failure> {
    if args.list {
        return list();
    }
    if args.write.is_none() && args.interface.is_none() && args.truth.is_none() {
        return Err(Failure::usage(
            "craft: say where to: -w FILE, -i INTERFACE or --truth FILE (or --list)",
        ));
    }
    if is_dash(args.write.as_deref()) && is_dash(args.truth.as_deref()) {
        return Err(Failure::usage("craft: -w - and --truth - cannot share standard output"));
    }
    let mut plan = Plan { seed: args.seed, ..Plan::default() };
    plan.source_mac = args.source_mac.unwrap_or(plan.source_mac);
    plan.destination_mac = args.destination_mac.unwrap_or(plan.destination_mac);
    plan.prefix = args.prefix.unwrap_or(plan.prefix);
    plan.destination_prefix = args.destination_prefix.unwrap_or(plan.prefix);
    plan.source_network = args.source_network.unwrap_or(plan.source_network);
    plan.destination_network = args.destination_network.unwrap_or(plan.destination_network);
    if let Some(profile) = args.profile { load(args, profile, &plan) } else { labelled(args, plan) }
}

fn is_dash(path: Option<&Path>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

fn list() -> Result<u8, Failure> {
    let mut output = io::stdout().lock();
    for (name, set, shows) in cases::list() {
        match writeln!(output, "{name:36} {:8} {shows}", set.name()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            result => result.map_err(|error| unwritable("standard output", &error))?,
        }
    }
    Ok(DONE)
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::environment(format!("{name}: cannot be written: {error}"))
}

fn output(path: &Path) -> Result<(Box<dyn Write>, String), Failure> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(io::stdout().lock()), "standard output".to_owned()));
    }
    let name = path.display().to_string();
    let file = File::create(path).map_err(|error| unwritable(&name, &error))?;
    Ok((Box::new(file), name))
}

/// A file of captured frames, or nothing at all.
fn capture(args: &CraftArgs) -> Result<Option<(PcapWriter<impl Write>, String)>, Failure> {
    let Some(path) = &args.write else { return Ok(None) };
    let (output, name) = output(path)?;
    let buffered = BufWriter::with_capacity(1 << 20, output);
    let writer =
        PcapWriter::new(buffered, args.nanoseconds).map_err(|error| unwritable(&name, &error))?;
    Ok(Some((writer, name)))
}

fn write_truth(args: &CraftArgs, truth: &Value) -> Result<(), Failure> {
    let Some(path) = &args.truth else { return Ok(()) };
    let (output, name) = output(path)?;
    let mut buffered = BufWriter::new(output);
    serde_json::to_writer_pretty(&mut buffered, truth)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(buffered))
        .and_then(|()| buffered.flush())
        .map_err(|error| unwritable(&name, &error))
}

/// The cases that were asked for.
fn chosen(args: &CraftArgs, plan: &Plan) -> Result<Vec<Case>, Failure> {
    const ALL: &str = "all";
    let names: Vec<&str> = if args.only.is_empty() {
        vec![Set::Case.name()]
    } else {
        args.only.iter().map(|name| name.trim()).collect()
    };
    for name in &names {
        let known = |(case, set, _): (&str, Set, &str)| case == *name || set.name() == *name;
        if *name != ALL && !cases::list().any(known) {
            return Err(Failure::usage(format!(
                "craft --only {name}: no such case or set; sixtap craft --list names them"
            )));
        }
    }
    Ok(suite(plan, |name, set| names.iter().any(|one| [name, set.name(), ALL].contains(one))))
}

fn labelled(args: &CraftArgs, mut plan: Plan) -> Result<u8, Failure> {
    if args.interface.is_some() {
        // On a whole second, so that the truth's times are those of the wire; time enough to begin.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        plan.start = (now.as_secs() + 1) * 1_000_000_000;
    }
    let mut cases = chosen(args, &plan)?;
    if let Some((mut writer, name)) = capture(args)? {
        let written = cases
            .iter()
            .flat_map(|case| &case.frames)
            .try_for_each(|frame| writer.frame(frame.time, frame.wire_length, &frame.octets));
        written
            .and_then(|()| writer.finish().map(drop))
            .map_err(|error| unwritable(&name, &error))?;
    }
    if let Some(name) = &args.interface {
        let mut sender = Sender::open(name)?;
        leave_out(&mut cases, sender.mtu(), args.rate.is_some());
        if cases.is_empty() {
            return Err(Failure::usage("craft: no case is left that can be sent this way"));
        }
        send_cases(args, &plan, &cases, &mut sender)?;
        eprintln!("sixtap: {} frames of {} cases sent", sender.sent(), cases.len());
    }
    write_truth(args, &truth(args, &cases))?;
    Ok(DONE)
}

/// Takes out what cannot be sent, and says so by name.
fn leave_out(cases: &mut Vec<Case>, mtu: u32, paced: bool) {
    cases.retain(|case| {
        let why = match case.needs {
            needs if needs.file => "it is about a cut capture",
            needs if needs.mtu.is_some_and(|needed| needed > mtu) => {
                "its packets are larger than the interface takes"
            }
            needs if needs.time && paced => "its times matter, and --rate changes them",
            _ => return true,
        };
        eprintln!("sixtap: {} is left out: {why}", case.name);
        false
    });
}

fn send_cases(
    args: &CraftArgs,
    plan: &Plan,
    cases: &[Case],
    sender: &mut Sender,
) -> Result<(), Failure> {
    let frames: Vec<_> = cases.iter().flat_map(|case| &case.frames).collect();
    if let Some(rate) = args.rate {
        let mut pace = Pace::new(rate);
        for batch in frames.chunks(pace.batch()) {
            pace.wait_for(batch.len());
            let octets: Vec<&[u8]> = batch.iter().map(|frame| frame.octets.as_slice()).collect();
            sender.send(&octets)?;
        }
        return Ok(());
    }
    let span = frames.last().map_or(0, |frame| frame.time - plan.start) / 1_000_000_000;
    if span > 10 {
        eprintln!("sixtap: sending at the cases' own times takes {span} s; --rate does not wait");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = Instant::now();
    let ahead = Duration::from_nanos(plan.start).saturating_sub(now);
    for frame in frames {
        wait_until(began, ahead + Duration::from_nanos(frame.time - plan.start));
        sender.send(&[&frame.octets])?;
    }
    Ok(())
}

fn truth(args: &CraftArgs, cases: &[Case]) -> Value {
    let mut list: Vec<Value> = cases.iter().map(|case| case.truth(args.packets_in_truth)).collect();
    if args.rate.is_some() {
        list.iter_mut().for_each(forget_times);
    }
    json!({
        "generator": concat!("sixtap craft ", env!("CARGO_PKG_VERSION")),
        "seed": args.seed,
        "assumes": {
            "flowKey": "addresses, protocolIdentifier, ports or ICMP type and code, VLAN identifiers",
            "direction": "one record a direction",
            "activeTimeout": 300,
            "idleTimeout": 30,
            "tunnels": "flows are those of the outermost IP header, innerFlows of the innermost",
        },
        "cases": list,
    })
}

/// What was sent at another pace has other times than the cases say.
fn forget_times(case: &mut Value) {
    if let Some(case) = case.as_object_mut() {
        case.shift_remove("first");
        case.shift_remove("last");
    }
    for flows in ["flows", "innerFlows"] {
        let flows = case.get_mut(flows).and_then(Value::as_array_mut);
        for flow in flows.into_iter().flatten().filter_map(Value::as_object_mut) {
            flow.shift_remove("flowStartMilliseconds");
            flow.shift_remove("flowEndMilliseconds");
        }
    }
}

fn load(args: &CraftArgs, profile: ProfileName, plan: &Plan) -> Result<u8, Failure> {
    let profile = match profile {
        ProfileName::Imix => Profile::Imix,
        ProfileName::Small => Profile::Small,
        ProfileName::Geant => Profile::Geant,
    };
    let load = Load {
        profile,
        packets: args.packets,
        flows: args.flows,
        zipf: args.zipf,
        ipv6: args.ipv6,
        duration: args.duration,
    };
    let totals = if let Some(name) = &args.interface {
        send_load(&load, plan, name, args.rate)?
    } else if let Some((mut writer, name)) = capture(args)? {
        load::generate(&load, plan, |time, frame| writer.frame(time, frame.len() as u32, frame))
            .and_then(|totals| writer.finish().map(|_| totals))
            .map_err(|error| unwritable(&name, &error))?
    } else {
        load::generate(&load, plan, |_, _| Ok(())).map_err(|error: Failure| error)?
    };
    let truth = json!({
        "generator": concat!("sixtap craft ", env!("CARGO_PKG_VERSION")),
        "seed": args.seed,
        "profile": format!("{profile:?}").to_lowercase(),
        "population": args.flows,
        "zipf": args.zipf,
        "totals": totals.truth(),
    });
    write_truth(args, &truth)?;
    Ok(DONE)
}

fn send_load(load: &Load, plan: &Plan, name: &str, rate: Option<f64>) -> Result<Totals, Failure> {
    let mut sender = Sender::open(name)?;
    // Without a rate: the profile's own.
    let own = load.packets as f64 / load.duration as f64;
    let mut pace = Pace::new(rate.unwrap_or(own));
    let size = pace.batch();
    let mut waiting: Vec<Vec<u8>> = Vec::with_capacity(size);
    let mut send = |waiting: &mut Vec<Vec<u8>>| -> Result<(), Failure> {
        pace.wait_for(waiting.len());
        let frames: Vec<&[u8]> = waiting.iter().map(Vec::as_slice).collect();
        sender.send(&frames)?;
        waiting.clear();
        Ok(())
    };
    let totals = load::generate(load, plan, |_, frame| {
        waiting.push(frame.to_vec());
        if waiting.len() == size { send(&mut waiting) } else { Ok(()) }
    })?;
    send(&mut waiting)?;
    eprintln!("sixtap: {} frames sent", sender.sent());
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked() {
        assert_eq!(mac("00:00:5E:00:53:ff"), Ok([0, 0, 0x5e, 0, 0x53, 0xff]));
        assert!(mac("00:00:5e:00:53").is_err());
        assert!(mac("00:00:5e:00:53:100").is_err());
        assert_eq!(prefix("fd00:1:2:3:4::/64"), Ok("fd00:1:2:3::".parse().unwrap()));
        assert_eq!(prefix("2001:db8::"), Ok("2001:db8::".parse().unwrap()));
        assert!(prefix("2001:db8::/65").is_err());
        assert!(prefix("192.0.2.0/24").is_err());
        assert_eq!(network("203.0.113.0/24"), Ok(Ipv4Addr::new(203, 0, 113, 0)));
        assert!(network("203.0.113.1").is_err() && network("203.0.0.0/16").is_err());
        assert!(rate("-1").is_err() && rate("inf").is_err() && rate("nan").is_err());
        assert!(exponent("11").is_err());
    }
}
