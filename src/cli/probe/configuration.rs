//! A command line with `--config`: the file's words put before those of the command line, read by one parser.

use super::super::Failure;
use crate::config::file::{self, Setting};
use clap::error::ContextKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory};
use std::collections::BTreeSet;
use std::ffi::OsString;

/// Why words cannot be understood.
pub(in crate::cli) enum Refusal {
    /// The command line; or help was asked for.
    Words(clap::Error),
    /// The file, or a value from it.
    File(Failure),
}

/// What the command line and the file, if there is one, say together.
///
/// # Errors
/// [`Refusal`].
pub(in crate::cli) fn matches(
    command: &Command,
    words: &[OsString],
) -> Result<ArgMatches, Refusal> {
    let Some(path) = config(command, words) else {
        return command.clone().try_get_matches_from(words).map_err(Refusal::Words);
    };
    let name = path.to_string_lossy().into_owned();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Refusal::File(Failure::usage(format!("--config {name}: {error}"))))?;
    let command = command.clone().mut_subcommand("probe", file::with_switches);
    let mut built = command.clone();
    built.build();
    let Some(probe) = built.find_subcommand("probe") else {
        return command.try_get_matches_from(words).map_err(Refusal::Words);
    };
    let given = given(&command, probe, words);
    let settings = file::read(probe, &text, &name, &given)
        .map_err(|error| Refusal::File(Failure::usage(error)))?;
    command
        .try_get_matches_from(joined(words, &settings))
        .map_err(|error| place(error, &name, &settings))
}

/// The file that a `sixtap probe` names, if it does. What else is wrong with the words is said later.
fn config(command: &Command, words: &[OsString]) -> Option<std::path::PathBuf> {
    let lenient = command.clone().ignore_errors(true).try_get_matches_from(words).ok()?;
    let probe = lenient.subcommand_matches("probe")?;
    probe.get_one::<std::path::PathBuf>("config").cloned()
}

/// Options that the command line gives, and what they rule out.
fn given(command: &Command, probe: &Command, words: &[OsString]) -> BTreeSet<String> {
    let lenient = command.clone().ignore_errors(true).try_get_matches_from(words);
    let Ok(lenient) = lenient else { return BTreeSet::new() };
    let Some(matches) = lenient.subcommand_matches("probe") else { return BTreeSet::new() };
    let mut given = BTreeSet::new();
    for arg in probe.get_arguments() {
        let id = arg.get_id().as_str();
        let from = matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id));
        if from == Some(ValueSource::CommandLine) {
            given.insert(id.to_owned());
            let ruled_out = probe.get_arg_conflicts_with(arg);
            given.extend(ruled_out.iter().map(|other| other.get_id().to_string()));
        }
    }
    // The other way round: an option of the file that declares the conflict itself.
    for arg in probe.get_arguments() {
        let mut others = probe.get_arg_conflicts_with(arg).into_iter();
        let rules_out = |other: &clap::Arg| {
            matches.value_source(other.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        if others.any(rules_out) {
            given.insert(arg.get_id().to_string());
        }
    }
    given
}

/// `sixtap probe`, the file's options, the command line's words, the file's positional words.
fn joined(words: &[OsString], settings: &[Setting]) -> Vec<OsString> {
    let (start, rest) = words.split_at(words.len().min(2));
    let of = |positional| {
        settings
            .iter()
            .filter(move |setting| setting.positional == positional)
            .flat_map(|setting| setting.words.iter().cloned())
    };
    let mut all: Vec<_> =
        start.iter().cloned().chain(of(false)).chain(rest.iter().cloned()).collect();
    let mut behind = of(true).peekable();
    if behind.peek().is_some() && !rest.iter().any(|word| word == "--") {
        all.push("--".into());
    }
    all.extend(behind);
    all
}

/// Gives an error about an option that stands in the file the file's name and line.
fn place(error: clap::Error, file: &str, settings: &[Setting]) -> Refusal {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let option = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let Some(setting) = settings.iter().find(|setting| setting.option == option) else {
        return Refusal::Words(error);
    };
    let problem = one_line(&error);
    Refusal::File(Failure::usage(format!("{file}:{}: {}: {problem}", setting.line, setting.key)))
}

/// What is wrong and what is possible, without usage.
pub(super) fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let line = paragraph.collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}

/// `sixtap probe`, with everything that is derived filled in.
pub(super) fn probe() -> Command {
    let mut command = super::super::Words::command();
    command.build();
    command.find_subcommand("probe").cloned().unwrap_or(command)
}

/// The whole configuration as a file.
pub(super) fn dump(matches: &ArgMatches) -> String {
    matches
        .subcommand_matches("probe")
        .map(|probed| file::dump(&probe(), probed))
        .unwrap_or_default()
}

/// The keys as a Markdown table.
pub(in crate::cli) fn markdown() -> String {
    file::markdown(&probe())
}
