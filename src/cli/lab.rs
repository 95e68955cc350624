//! `sixtap lab`: craft traffic, let an exporter meter it, listen, validate, report.
//!
//! The exporter reads the cases from a capture file, or meters an interface on which they are sent. It sends its
//! messages to an address where this command listens. Everything is kept in a folder of its own, which is removed at
//! the end unless it is asked for.

mod process;
mod recipe;
mod stage;

use super::Failure;
use super::validate::against::{Against, Observer, traffic};
use super::validate::{Reading, ReportArgs, conclude, hold_against};
use crate::collect::{Input, Limits};
use crate::validate::Report;
use crate::validate::matching::Gathering;
use clap::Args;
use process::Running;
use recipe::{Place, Recipe, Traffic};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Arguments of `sixtap lab`.
#[derive(Debug, Args)]
#[command(after_help = "\
In --command, {traffic} is the capture file, {interface} an interface on which the cases are sent instead, {host} and
{port} where to send, {folder} a folder for files.

Examples:
  sixtap lab sixtap
  sixtap lab softflowd --html softflowd.html
  sixtap lab openvswitch                                on an interface, in a network namespace of its own
  sixtap lab pmacctd --live --rate 500
  sixtap lab --command 'myprobe --read {traffic} --collector {host}:{port}'
  sixtap lab --command 'myprobe --interface {interface} --collector {host}:{port}'
  sixtap lab -i eth2 --listen udp://[::]:4739 --wait 60     a router behind eth2 exports to this machine")]
pub(crate) struct LabArgs {
    /// The exporter: one there is a recipe for.
    #[arg(value_enum, required_unless_present_any = ["command", "interface"], conflicts_with = "command")]
    recipe: Option<Recipe>,
    /// The exporter: a command, split at spaces, that reads {traffic} or meters {interface}.
    #[arg(long, value_name = "WORDS")]
    command: Option<String>,
    /// Send the cases on this interface instead; the exporter is there already.
    #[arg(short, long, value_name = "INTERFACE", conflicts_with_all = ["command", "recipe"])]
    interface: Option<String>,
    /// Let the exporter meter an interface, in a network namespace that is made for it; the truth is what is sent there.
    #[arg(long, conflicts_with = "interface")]
    live: bool,
    /// Frames a second on an interface. Cases that are about time, or that an interface cannot carry, are left out.
    #[arg(long, value_name = "PPS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Where to listen for export.
    #[arg(long, value_name = "udp://ADDRESS:PORT", default_value = "udp://127.0.0.1:0")]
    listen: String,
    /// Which cases, by name or by set: case, attack, ordinary, all.
    #[arg(long, value_name = "NAME,...", default_value = "all")]
    only: String,
    /// This capture instead of crafted cases.
    #[arg(long, value_name = "TRAFFIC.pcap", conflicts_with_all = ["interface", "live"])]
    traffic: Option<PathBuf>,
    /// Seconds to listen on after the traffic has been sent or the exporter has ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    wait: u64,
    /// Longest time for the exporter, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    longest: u64,
    /// Keep traffic, configuration and what the exporter said in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
}

impl LabArgs {
    /// Whether the exporter meters an interface of the laboratory's.
    fn is_live(&self) -> bool {
        self.live
            || self.recipe.is_some_and(Recipe::is_live)
            || self.command.as_ref().is_some_and(|command| command.contains("{interface}"))
    }

    /// The exporter as the report names it.
    fn name(&self) -> String {
        let words = self.command.clone().or_else(|| self.interface.clone()).unwrap_or_default();
        self.recipe.map_or(words, |recipe| format!("{recipe:?}").to_lowercase())
    }
}

/// Runs `sixtap lab`.
///
/// # Errors
/// The exporter cannot be started, or anything cannot be read or written.
pub(crate) fn run(args: &LabArgs) -> Result<u8, Failure> {
    let live = args.is_live();
    if live && args.traffic.is_some() {
        return Err(Failure::usage("lab: --traffic is a file; this exporter meters an interface"));
    }
    if live && !stage::is_inside() {
        return stage::run_inside();
    }
    let folder = Folder::new(args.keep.as_deref())?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Failure::environment)?;
    }
    if live {
        stage::wire(&folder.path)?;
    }
    let mut input = Input::open(&args.listen)?;
    let target = input.local_address().ok_or_else(|| {
        Failure::usage(format!("lab: {}: export must come by udp:// or tcp://", args.listen))
    })?;
    let lab = Lab { args, folder: &folder.path, target, stop: &stop };
    let mut report = if live { lab.on_interface(&mut input)? } else { lab.on_file(&mut input)? };
    report.input = args.name();
    conclude(&report, &args.reports)
}

struct Lab<'a> {
    args: &'a LabArgs,
    folder: &'a Path,
    target: SocketAddr,
    /// Set by signals, and when enough has been listened.
    stop: &'a AtomicBool,
}

impl Lab<'_> {
    fn reading(&self) -> Reading<'_> {
        Reading {
            limits: Limits::default(),
            examples: self.args.reports.examples,
            end: None,
            stop: self.stop,
            reference: false,
        }
    }

    fn place(&self, traffic: Traffic) -> Place<'_> {
        Place { folder: self.folder, target: self.target, traffic }
    }

    /// Starts the exporter.
    fn start(&self, place: &Place<'_>) -> Result<Vec<Running>, Failure> {
        if let Some(recipe) = self.args.recipe {
            return recipe.start(place);
        }
        let traffic = match &place.traffic {
            Traffic::File(path) => path.to_string_lossy().into_owned(),
            Traffic::Interface => String::new(),
        };
        let fill = |word: &str| {
            word.replace("{traffic}", &traffic)
                .replace("{interface}", stage::METERED)
                .replace("{host}", &self.target.ip().to_string())
                .replace("{port}", &self.target.port().to_string())
                .replace("{folder}", &self.folder.to_string_lossy())
        };
        let command = self.args.command.as_deref().unwrap_or_default();
        let words: Vec<String> = command.split_whitespace().map(fill).collect();
        Ok(vec![Running::start(&words, self.folder)?])
    }

    /// The exporter reads a capture file, or is elsewhere and meters what is sent on the user's interface.
    fn on_file(&self, input: &mut Input) -> Result<Report, Failure> {
        let path = match &self.args.traffic {
            Some(path) => path.clone(),
            None => {
                let path = self.folder.join("cases.pcap");
                let file = path.to_string_lossy().into_owned();
                ourselves(&["craft", "--write", &file, "--only", &self.args.only])?;
                path
            }
        };
        let place = self.place(Traffic::File(path.clone()));
        let mut running = match &self.args.interface {
            Some(interface) => {
                let rate = self.args.rate.to_string();
                let own = own_path()?.to_string_lossy().into_owned();
                let words = ["craft", "-i", interface, "--only", &self.args.only, "--rate", &rate];
                let words = [own].into_iter().chain(words.into_iter().map(str::to_owned));
                vec![Running::start(&words.collect::<Vec<_>>(), self.folder)?]
            }
            None => self.start(&place)?,
        };
        let longest = Duration::from_secs(self.args.longest);
        let (mut report, gathering) = self.listen(input, || {
            let remark = running.last_mut().and_then(|last| last.wait(longest, self.stop));
            self.after(&place, remark.into_iter().collect())
        })?;
        hold_against(&mut report, traffic(&path)?, gathering);
        Ok(report)
    }

    /// The exporter meters an interface on which the cases are sent; the truth is metered where they leave.
    fn on_interface(&self, input: &mut Input) -> Result<Report, Failure> {
        /// Long enough that no flow begins, or ends, at the edge of what is observed.
        const MARGIN: Duration = Duration::from_millis(1500);
        let place = self.place(Traffic::Interface);
        let before = stage::packet_sockets();
        let mut running = self.start(&place)?;
        stage::until_metered(before);
        let observer = Observer::open(&Against::Interface(stage::SENDING.to_owned()))?;
        let observed = AtomicBool::new(false);
        let reading = self.reading();
        std::thread::scope(|scope| {
            let observing = scope.spawn(|| observer.observe(&reading, None, &observed));
            let outcome = self.listen(input, || {
                std::thread::sleep(MARGIN);
                self.send()?;
                std::thread::sleep(MARGIN);
                observed.store(true, Ordering::Relaxed);
                std::thread::sleep(self.args.recipe.map_or(Duration::ZERO, Recipe::patience));
                let mut remarks: Vec<String> =
                    running.iter_mut().filter_map(Running::ended_early).collect();
                if let Some(recipe) = self.args.recipe.filter(|_| remarks.is_empty()) {
                    recipe.farewell(&place)?;
                }
                remarks.extend(running.iter_mut().rev().filter_map(Running::end));
                self.after(&place, remarks)
            });
            observed.store(true, Ordering::Relaxed);
            let truth = observing
                .join()
                .map_err(|_| Failure::environment("lab: the reference meter failed"))?;
            let (mut report, gathering) = outcome?;
            hold_against(&mut report, truth?, gathering);
            Ok(report)
        })
    }

    /// Sends the cases on the laboratory's interface.
    fn send(&self) -> Result<(), Failure> {
        let rate = self.args.rate.to_string();
        ourselves(&["craft", "-i", stage::SENDING, "--only", &self.args.only, "--rate", &rate])?;
        if self.args.recipe.is_some_and(Recipe::needs_more_traffic) {
            for _ in 0..20 {
                ourselves(&["craft", "-i", stage::SENDING, "--only", "udp", "--rate", "20"])?;
            }
        }
        Ok(())
    }

    /// What follows the exporter's end.
    fn after(&self, place: &Place<'_>, remarks: Vec<String>) -> Result<Vec<String>, Failure> {
        if let Some(recipe) = self.args.recipe {
            recipe.conclude(place)?;
        }
        Ok(remarks)
    }

    /// Listens while `play` goes on, and a while longer.
    fn listen(
        &self,
        input: &mut Input,
        play: impl FnOnce() -> Result<Vec<String>, Failure> + Send,
    ) -> Result<(Report, Gathering), Failure> {
        let mut gathering = Gathering::default();
        std::thread::scope(|scope| {
            let playing = scope.spawn(|| {
                let outcome = play();
                if outcome.is_ok() {
                    std::thread::sleep(Duration::from_secs(self.args.wait));
                }
                self.stop.store(true, Ordering::Relaxed);
                outcome
            });
            let report = self.reading().read(input, Some(&mut gathering));
            // Reading may have failed; the play need not go on then.
            self.stop.store(true, Ordering::Relaxed);
            let remarks = playing
                .join()
                .map_err(|_| Failure::environment("lab: the exporter was not watched"))??;
            let mut report = report?;
            report.remarks.extend(remarks);
            Ok((report, gathering))
        })
    }
}

fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::environment(format!("lab: where am I? {error}")))
}

/// Runs another command of this program to its end.
fn ourselves(words: &[&str]) -> Result<(), Failure> {
    let output = Command::new(own_path()?)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let shown = words.join(" ");
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Failure::environment(format!("lab: sixtap {shown}: {}: {said}", output.status)))
        }
        Err(error) => Err(Failure::environment(format!("lab: sixtap {shown}: {error}"))),
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
