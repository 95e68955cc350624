//! Exporters that are known to run: how each is told what to meter and where to send, and how its last records are had.
//!
//! In: a capture file, or an interface of the laboratory's; where to send. Out: running processes.

use super::process::{Running, complete};
use super::stage::METERED;
use super::{Failure, own_path};
use clap::ValueEnum;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// An exporter that is known to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Recipe {
    /// This program's own probe, IPFIX.
    Sixtap,
    /// softflowd, IPFIX.
    Softflowd,
    /// pmacctd with its nfprobe plugin, IPFIX.
    Pmacctd,
    /// nfpcapd of nfdump, whose files nfreplay sends as NetFlow v9.
    Nfpcapd,
    /// Open vSwitch's IPFIX in its userspace datapath; on an interface only.
    Openvswitch,
}

/// What an exporter meters.
#[derive(Clone, Debug)]
pub(super) enum Traffic {
    /// A capture file.
    File(PathBuf),
    /// The interface at which crafted frames arrive.
    Interface,
}

/// Where an exporter is at home.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) target: SocketAddr,
    pub(super) traffic: Traffic,
}

impl Recipe {
    /// Whether it only meters interfaces.
    pub(super) const fn is_live(self) -> bool {
        matches!(self, Self::Openvswitch)
    }

    /// How long it takes, after the last packet, to have exported what it exports while it runs.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Pmacctd | Self::Openvswitch => Duration::from_secs(9),
            _ => Duration::from_secs(2),
        }
    }

    /// Whether frames stay in its ring until more come: softflowd 1.1.0 reads a part of what is there at each turn.
    pub(super) const fn needs_more_traffic(self) -> bool {
        matches!(self, Self::Softflowd)
    }

    /// Asks it to export what it still holds and to end, where a signal does not.
    pub(super) fn farewell(self, place: &Place<'_>) -> Result<(), Failure> {
        if self != Self::Softflowd {
            return Ok(());
        }
        let control = place.folder.join("control").to_string_lossy().into_owned();
        complete(&words(&["softflowctl", "-c", &control, "shutdown"]), place.folder)
    }

    /// Starts it. The last of the processes is the one that meters.
    pub(super) fn start(self, place: &Place<'_>) -> Result<Vec<Running>, Failure> {
        if self == Self::Openvswitch {
            return openvswitch(place);
        }
        Ok(vec![Running::start(&self.words(place)?, place.folder)?])
    }

    fn words(self, place: &Place<'_>) -> Result<Vec<String>, Failure> {
        let target = place.target.to_string();
        let folder = place.folder;
        let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let file = match &place.traffic {
            Traffic::File(path) => Some(path.to_string_lossy().into_owned()),
            Traffic::Interface => None,
        };
        let file = file.as_deref();
        Ok(match self {
            Self::Softflowd => {
                let mut all = words(&["softflowd", "-n", &target, "-v", "10", "-A", "milli"]);
                all.extend(words(&["-m", "65536", "-p", &inside("pid"), "-c", &inside("control")]));
                all.extend(match file {
                    Some(file) => words(&["-r", file]),
                    None => words(&["-d", "-6", "-i", METERED]),
                });
                all
            }
            Self::Pmacctd => {
                let path = folder.join("pmacctd.conf");
                let traffic = match file {
                    Some(file) => format!("pcap_savefile: {file}"),
                    None => format!("pcap_interface: {METERED}"),
                };
                let timeouts = match file {
                    Some(_) => "expint=1:maxlife=3600",
                    None => {
                        "tcp=3:tcp.rst=3:tcp.fin=3:udp=3:icmp=3:general=3:expint=1:maxlife=3600"
                    }
                };
                let text = format!(
                    "daemonize: false\n{traffic}\nplugins: nfprobe\nnfprobe_receiver: {target}\n\
                     nfprobe_version: 10\nnfprobe_timeouts: {timeouts}\n\
                     aggregate: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, vlan\n\
                     plugin_pipe_size: 67108864\nplugin_buffer_size: 65536\n"
                );
                std::fs::write(&path, text).map_err(|error| {
                    Failure::environment(format!("{}: {error}", path.display()))
                })?;
                words(&["pmacctd", "-f", &path.to_string_lossy()])
            }
            Self::Nfpcapd => {
                let flows = folder.join("flows");
                std::fs::create_dir_all(&flows).map_err(|error| {
                    Failure::environment(format!("{}: {error}", flows.display()))
                })?;
                let mut all = words(&["nfpcapd", "-w", &flows.to_string_lossy(), "-t", "86400"]);
                all.extend(match file {
                    Some(file) => words(&["-r", file]),
                    None => words(&["-i", METERED]),
                });
                all
            }
            Self::Sixtap | Self::Openvswitch => {
                let collector = format!("udp://{target}");
                let mut all = vec![own_path()?.to_string_lossy().into_owned()];
                all.extend(match file {
                    Some(file) => words(&["probe", "-r", file]),
                    None => words(&["probe", "-i", METERED, "--packet-socket"]),
                });
                all.extend(words(&["-c", &collector]));
                all
            }
        })
    }

    /// What is left to do once it has ended.
    pub(super) fn conclude(self, place: &Place<'_>) -> Result<(), Failure> {
        if self != Self::Nfpcapd {
            return Ok(());
        }
        let flows = place.folder.join("flows");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&flows)
            .map_err(|error| Failure::environment(format!("{}: {error}", flows.display())))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nfcapd."))
            })
            .collect();
        files.sort();
        let (host, port) = (place.target.ip().to_string(), place.target.port().to_string());
        for file in files {
            let file = file.to_string_lossy();
            let all = ["nfreplay", "-r", &file, "-H", &host, "-p", &port, "-v", "9", "-d", "1000"];
            complete(&words(&all), place.folder)?;
        }
        Ok(())
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// A switch of its own: database, daemon, a bridge in userspace with the laboratory's interface as its port. The kernel
/// module is not needed.
fn openvswitch(place: &Place<'_>) -> Result<Vec<Running>, Failure> {
    let folder = place.folder;
    let inside = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let database = inside("conf.db");
    let socket = format!("unix:{}", inside("db.sock"));
    let schema = "/usr/share/openvswitch/vswitch.ovsschema";
    complete(&words(&["ovsdb-tool", "create", &database, schema]), folder)?;
    let remote = format!("--remote=p{socket}");
    let control = |name: &str| format!("--unixctl={}", inside(name));
    let server = words(&["ovsdb-server", &database, &remote, &control("server.ctl"), "--no-chdir"]);
    let mut running = vec![Running::start(&server, folder)?];
    let end = Instant::now() + Duration::from_secs(10);
    while !folder.join("db.sock").exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let database = format!("--db={socket}");
    complete(&words(&["ovs-vsctl", &database, "--no-wait", "init"]), folder)?;
    let switch =
        ["ovs-vswitchd", &socket, &control("switch.ctl"), "--no-chdir", "--disable-system"];
    running.push(Running::start_in(&words(&switch), folder, &[("OVS_RUNDIR", folder)])?);
    let targets = format!("targets=\"{}\"", place.target);
    let bridge = [
        "ovs-vsctl",
        &database,
        "--timeout=20",
        "add-br",
        "labbridge",
        "--",
        "set",
        "bridge",
        "labbridge",
        "datapath_type=netdev",
        "--",
        "add-port",
        "labbridge",
        METERED,
        "--",
        "--id=@ipfix",
        "create",
        "IPFIX",
        &targets,
        "obs_domain_id=1",
        "obs_point_id=1",
        "sampling=1",
        "cache_active_timeout=3",
        "cache_max_flows=65535",
        "--",
        "set",
        "bridge",
        "labbridge",
        "ipfix=@ipfix",
    ];
    complete(&words(&bridge), folder)?;
    Ok(running)
}
