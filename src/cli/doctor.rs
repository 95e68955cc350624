//! `sixtap doctor`: what this machine and a NIC will give, and why.
//!
//! In: the name of an interface, or none. Out: one line a finding, each good, could be better, or will not work, with the
//! command that helps. Nothing is changed unless `--try` or `--restore` asks for it. What cannot be seen without root is
//! said to be so.

mod link;
mod machine;

use std::io::{self, Write};

use serde::Serialize;

use super::{DONE, ENVIRONMENT, Failure};
use crate::capture::interface::{Interface, steering};

/// What this machine and NIC will give, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Interface to look at; without it only the machine is looked at and its interfaces are listed.
    #[arg(value_name = "IF")]
    interface: Option<String>,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Open AF_XDP on the interface for a moment and show the mode it gives (needs root; frames of that moment do not reach
    /// the kernel).
    #[arg(long, requires = "interface")]
    r#try: bool,
    /// Give an interface the settings back that a crashed probe has changed.
    #[arg(long, requires = "interface", conflicts_with = "try")]
    restore: bool,
}

/// How good a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Good,
    CouldBeBetter,
    WillNotWork,
    /// It takes more permission to tell.
    Unknown,
}

impl Verdict {
    const fn words(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::CouldBeBetter => "could be better",
            Self::WillNotWork => "will not work",
            Self::Unknown => "cannot be seen",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    topic: &'static str,
    verdict: Verdict,
    text: String,
    /// The command or setting that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn good(topic: &'static str, text: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::Good, text: text.into(), fix: None }
    }

    fn better(topic: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::CouldBeBetter, text: text.into(), fix: Some(fix.into()) }
    }

    fn never(topic: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { topic, verdict: Verdict::WillNotWork, text: text.into(), fix: Some(fix.into()) }
    }

    fn unknown(topic: &'static str, text: impl Into<String>) -> Self {
        Self {
            topic,
            verdict: Verdict::Unknown,
            text: text.into(),
            fix: Some("run it as root".to_owned()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    verdict: Verdict,
    findings: &'a [Finding],
}

/// Looks, prints, and says by the exit status whether it will work.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let mut findings = machine::findings();
    match &args.interface {
        Some(name) => {
            let interface = Interface::named(name)?;
            if args.restore {
                findings = vec![restored(&interface)];
                return report(args, &findings);
            }
            findings.extend(link::findings(&interface));
            if args.r#try {
                findings.push(link::tried(&interface));
            }
        }
        None => findings.extend(link::overview()),
    }
    report(args, &findings)
}

fn restored(interface: &Interface) -> Finding {
    match steering::restore(interface) {
        Ok(lines) if lines.is_empty() => Finding::good("settings", "no probe has left any changed"),
        Ok(lines) => Finding::good("settings", format!("given back: {}", lines.join(", "))),
        Err(error) => Finding::never(
            "settings",
            format!("not given back: {error}"),
            "run it as root, after the probe has ended",
        ),
    }
}

/// Prints, and says by the exit status whether it will work.
fn report(args: &DoctorArgs, findings: &[Finding]) -> Result<u8, Failure> {
    let verdict = overall(findings);
    let mut out = io::stdout().lock();
    let printed = if args.json {
        let report = Report { interface: args.interface.as_deref(), verdict, findings };
        serde_json::to_writer_pretty(&mut out, &report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else {
        print(&mut out, findings)
    };
    match printed {
        // A closed pipe is a normal end.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::environment(error)),
        _ if verdict == Verdict::WillNotWork => Ok(ENVIRONMENT),
        _ => Ok(DONE),
    }
}

fn overall(findings: &[Finding]) -> Verdict {
    let any = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    [Verdict::WillNotWork, Verdict::Unknown, Verdict::CouldBeBetter]
        .into_iter()
        .find(|&verdict| any(verdict))
        .unwrap_or(Verdict::Good)
}

fn print(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        writeln!(out, "{:<16}{:<14}{}", finding.verdict.words(), finding.topic, finding.text)?;
        if let Some(fix) = &finding.fix {
            writeln!(out, "{:<30}-> {fix}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_verdict() {
        let good = Finding::good("a", "b");
        let better = Finding::better("a", "b", "c");
        let never = Finding::never("a", "b", "c");
        assert_eq!(overall(std::slice::from_ref(&good)), Verdict::Good);
        assert_eq!(overall(&[good.clone(), better.clone()]), Verdict::CouldBeBetter);
        assert_eq!(overall(&[good, never, better]), Verdict::WillNotWork);
    }

    #[test]
    fn every_line_names_topic_verdict_and_cure() {
        let mut text = Vec::new();
        print(&mut text, &[Finding::better("ring", "256 of 4096", "ethtool -G eth1 rx 4096")])
            .expect("memory");
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("could be better ring          256 of 4096\n"), "{text}");
        assert!(text.ends_with("-> ethtool -G eth1 rx 4096\n"), "{text}");
    }

    #[test]
    fn a_machine_can_be_looked_at_without_any_permission() {
        let findings = machine::findings();
        assert!(findings.iter().any(|finding| finding.topic == "kernel"));
        for finding in &findings {
            assert_eq!(finding.fix.is_some(), finding.verdict != Verdict::Good, "{finding:?}");
        }
    }
}
