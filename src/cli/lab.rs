//! `sixtap lab`: craft traffic, let an exporter meter it, listen, validate, report.
//!
//! The exporter reads the cases from a capture file, or meters an interface on which they are sent. It sends its
//! messages to an address where this command listens. Everything is kept in a folder of its own, which is removed at
//! the end unless it is asked for.

use super::Failure;
use super::validate::{Reading, ReportArgs, conclude, hold_against};
use crate::collect::{Input, Limits};
use crate::validate::matching::Gathering;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Arguments of `sixtap lab`.
#[derive(Debug, Args)]
#[command(after_help = "\
In --command, {traffic} is the capture file, {host} and {port} where to send, {folder} a folder for files.

Examples:
  sixtap lab sixtap
  sixtap lab softflowd --html softflowd.html
  sixtap lab --command 'myprobe --read {traffic} --collector {host}:{port}'
  sixtap lab -i eth2 --listen udp://[::]:4739 --wait 60     a router behind eth2 exports to this machine")]
pub(crate) struct LabArgs {
    /// The exporter: one there is a recipe for.
    #[arg(value_enum, required_unless_present_any = ["command", "interface"], conflicts_with = "command")]
    recipe: Option<Recipe>,
    /// The exporter: a command, split at spaces, that reads {traffic}.
    #[arg(long, value_name = "WORDS")]
    command: Option<String>,
    /// Send the cases on this interface instead; the exporter is there already.
    #[arg(short, long, value_name = "INTERFACE", conflicts_with_all = ["command", "recipe"])]
    interface: Option<String>,
    /// Where to listen for export.
    #[arg(long, value_name = "udp://ADDRESS:PORT", default_value = "udp://127.0.0.1:0")]
    listen: String,
    /// Which cases, by name or by set: case, attack, ordinary, all.
    #[arg(long, value_name = "NAME,...", default_value = "all")]
    only: String,
    /// This capture instead of crafted cases.
    #[arg(long, value_name = "TRAFFIC.pcap", conflicts_with = "interface")]
    traffic: Option<PathBuf>,
    /// Seconds to listen on after the traffic has been sent or the exporter has ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    wait: u64,
    /// Longest time for the exporter, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    longest: u64,
    /// Keep traffic and configuration in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
}

/// An exporter that is known to run from a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Recipe {
    /// This program's own probe.
    Sixtap,
    /// softflowd, IPFIX.
    Softflowd,
    /// pmacctd with its nfprobe plugin, IPFIX.
    Pmacctd,
}

/// Runs `sixtap lab`.
///
/// # Errors
/// The exporter cannot be started, or anything cannot be read or written.
pub(crate) fn run(args: &LabArgs) -> Result<u8, Failure> {
    let folder = Folder::new(args.keep.as_deref())?;
    let traffic = match &args.traffic {
        Some(path) => path.clone(),
        None => {
            let path = folder.path.join("cases.pcap");
            let file = path.to_string_lossy().into_owned();
            ourselves(&["craft", "--write", &file, "--only", &args.only])?;
            path
        }
    };
    let mut input = Input::open(&args.listen)?;
    let address = input.local_address().ok_or_else(|| {
        Failure::usage(format!("lab: {}: export must come by udp:// or tcp://", args.listen))
    })?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    let words = exporter(args, &folder.path, &traffic, address)?;
    let mut child = Running::start(&words)?;
    let ended = Arc::clone(&stop);
    let (longest, wait) = (Duration::from_secs(args.longest), Duration::from_secs(args.wait));
    let watcher = std::thread::spawn(move || {
        let success = child.wait(longest, &ended);
        std::thread::sleep(wait);
        ended.store(true, Ordering::Relaxed);
        success
    });
    let reading = Reading {
        limits: Limits::default(),
        examples: args.reports.examples,
        end: None,
        stop: &stop,
    };
    let mut gathering = Gathering::default();
    let mut report = reading.read(&mut input, Some(&mut gathering))?;
    let outcome = watcher.join().unwrap_or_else(|_| "was not watched".to_owned());
    report.input =
        args.recipe.map_or_else(|| words.join(" "), |recipe| format!("{recipe:?}").to_lowercase());
    if !outcome.is_empty() {
        report
            .remarks
            .push(format!("{} {outcome}", words.first().map_or("the exporter", String::as_str)));
    }
    hold_against(&mut report, &traffic, gathering)?;
    conclude(&report, &args.reports)
}

/// The command of the exporter, or of what sends the cases.
fn exporter(
    args: &LabArgs,
    folder: &Path,
    traffic: &Path,
    address: SocketAddr,
) -> Result<Vec<String>, Failure> {
    let file = traffic.to_string_lossy().into_owned();
    let own = || own_path().map(|path| path.to_string_lossy().into_owned());
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if let Some(interface) = &args.interface {
        let mut all = vec![own()?];
        all.extend(words(&["craft", "--interface", interface, "--only", &args.only]));
        return Ok(all);
    }
    if let Some(command) = &args.command {
        let fill = |word: &str| {
            word.replace("{traffic}", &file)
                .replace("{host}", &address.ip().to_string())
                .replace("{port}", &address.port().to_string())
                .replace("{folder}", &folder.to_string_lossy())
        };
        return Ok(command.split_whitespace().map(fill).collect());
    }
    let target = address.to_string();
    match args.recipe {
        Some(Recipe::Softflowd) => Ok(words(&[
            "softflowd",
            "-r",
            &file,
            "-n",
            &target,
            "-v",
            "10",
            "-A",
            "milli",
            "-m",
            "65536",
        ])),
        Some(Recipe::Pmacctd) => {
            let path = folder.join("pmacctd.conf");
            let text = format!(
                "daemonize: false\npcap_savefile: {file}\nplugins: nfprobe\nnfprobe_receiver: {target}\n\
                 nfprobe_version: 10\nnfprobe_timeouts: expint=1:maxlife=3600\n\
                 aggregate: src_host, dst_host, src_port, dst_port, proto, tos, tcpflags, vlan\n\
                 plugin_pipe_size: 67108864\nplugin_buffer_size: 65536\n"
            );
            std::fs::write(&path, text)
                .map_err(|error| Failure::environment(format!("{}: {error}", path.display())))?;
            Ok(words(&["pmacctd", "-f", &path.to_string_lossy()]))
        }
        _ => {
            let mut all = vec![own()?];
            let collector = format!("udp://{target}");
            all.extend(words(&["probe", "-r", &file, "-c", &collector]));
            Ok(all)
        }
    }
}

fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::environment(format!("lab: where am I? {error}")))
}

/// Runs another command of this program to its end.
fn ourselves(words: &[&str]) -> Result<(), Failure> {
    let status = Command::new(own_path()?).args(words).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            Err(Failure::environment(format!("lab: sixtap {}: {status}", words.join(" "))))
        }
        Err(error) => {
            Err(Failure::environment(format!("lab: sixtap {}: {error}", words.join(" "))))
        }
    }
}

/// The exporter while it runs; killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(words: &[String]) -> Result<Self, Failure> {
        let Some((program, rest)) = words.split_first() else {
            return Err(Failure::usage("lab: --command is empty"));
        };
        let child =
            Command::new(program).args(rest).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        child.map(Self).map_err(|error| {
            Failure::environment(format!("lab: {program} cannot be started: {error}"))
        })
    }

    /// Waits for the exporter's end, at most so long, and says what is remarkable of it.
    fn wait(&mut self, longest: Duration, stop: &AtomicBool) -> String {
        let end = Instant::now() + longest;
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            match self.0.try_wait() {
                Ok(Some(status)) if status.success() => return String::new(),
                Ok(Some(status)) => return format!("ended with {status}"),
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return format!("cannot be watched: {error}"),
            }
        }
        "was stopped: it did not end by itself".to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // If it has ended, killing it fails, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder for the traffic and for configuration, removed at the end unless it is the user's.
struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    fn new(keep: Option<&Path>) -> Result<Self, Failure> {
        let path = match keep {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("sixtap-lab-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).map_err(|error| {
            Failure::environment(format!("{}: cannot be made: {error}", path.display()))
        })?;
        Ok(Self { path, ours: keep.is_none() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
