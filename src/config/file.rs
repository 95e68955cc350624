//! The configuration file of a command: each option of the command line is a key, by construction.
//!
//! ```toml
//! [input]
//! interface = ["eth1", "eth2"]
//! filter = "not port 22"
//!
//! [meter]
//! active = 60
//! biflow = true
//!
//! [export]
//! collector = ["udp://[2001:db8::1]:4739"]
//! ```
//!
//! A table is the heading that an option has in `--help`, a key its long name; a positional argument's key is its own name.
//! The file is turned into words, put before those of the command line and read by the same parser: there is one list of
//! options, one check of values and one set of defaults. What the command line says wins, for lists too.
//!
//! **To add an option**: add the field to a group of arguments that has a heading (`next_help_heading`). It is a key from
//! then on; `docs/configuration.md` is written anew by its test. Nothing is to be done here.

use clap::{Arg, ArgAction, ArgMatches, Command};
use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Options that are about the file itself or ask for something else than a run: they are no keys.
const NO_KEYS: &[&str] = &["config", "check", "dump-config", "help", "version"];

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct FileError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what helps.
    pub problem: String,
}

/// One option that has a key.
#[derive(Clone, Debug)]
pub struct Key<'a> {
    /// The table it stands in.
    pub table: String,
    /// Its name in the table.
    pub name: &'a str,
    /// The option.
    pub arg: &'a Arg,
}

/// One key that the file sets, as words of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `table.key`.
    pub key: String,
    /// The option as clap's messages name it, as `--active`.
    pub option: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// The words; empty for `false`.
    pub words: Vec<OsString>,
    /// Whether they stand behind all options.
    pub positional: bool,
}

/// Every option of `command` that has a key, in the order of the help.
pub fn keys(command: &Command) -> impl Iterator<Item = Key<'_>> {
    command.get_arguments().filter_map(|arg| {
        let name = match arg.get_long() {
            Some(long) => long,
            None if arg.is_positional() => arg.get_id().as_str(),
            None => return None,
        };
        if NO_KEYS.contains(&name) || arg.is_hide_set() {
            return None;
        }
        let table = arg.get_help_heading().unwrap_or_default().to_lowercase().replace(' ', "-");
        Some(Key { table, name, arg })
    })
}

impl Key<'_> {
    /// `table.key`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.table.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.table, self.name)
        }
    }

    fn is_flag(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
            || self.arg.get_value_parser().type_id() == TypeId::of::<bool>()
    }

    fn takes_many(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// Whether the option may stand without its value (`--busy-poll`, `--busy-poll=64`).
    fn value_is_optional(&self) -> bool {
        self.arg
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0 && range.max_values() > 0)
    }

    fn is_number(&self) -> bool {
        let kind = self.arg.get_value_parser().type_id();
        [
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<f64>(),
            TypeId::of::<Duration>(),
        ]
        .iter()
        .any(|number| kind == *number)
    }

    /// What a value looks like, for messages and the table of keys.
    fn kind(&self) -> &'static str {
        match () {
            () if self.is_flag() => "true or false",
            () if self.takes_many() && !self.arg.is_positional() => "a list of texts",
            () if self.value_is_optional() && !self.arg.is_positional() => "true or a number",
            () if self.is_number() => "a number",
            () => "a text",
        }
    }
}

/// `command` with every flag also taking `=false`, so that the command line can switch off what the file switches on.
#[must_use]
pub fn with_switches(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .value_parser(clap::value_parser!(bool))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false"),
        _ => arg,
    })
}

/// The words that stand for what `text`, the contents of `file`, says. Options in `given` (ids) are left out: the command
/// line has them, or something that rules them out.
///
/// # Errors
/// [`FileError`] for what is no TOML, no key, or no value that could be one of this key.
pub fn read(
    command: &Command,
    text: &str,
    file: &str,
    given: &BTreeSet<String>,
) -> Result<Vec<Setting>, FileError> {
    let reader = Reader { command, text, file };
    let document = DeTable::parse(text).map_err(|error| {
        reader.error(&error.span().unwrap_or(0..0), error.message().replace('\n', "; "))
    })?;
    let mut settings = Vec::new();
    for (name, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) if reader.is_table(name.get_ref()) => {
                for (key, value) in table {
                    settings.extend(reader.setting(name.get_ref(), key, value, given)?);
                }
            }
            _ => settings.extend(reader.setting("", name, value, given)?),
        }
    }
    settings.sort_by_key(|setting| setting.line);
    Ok(settings)
}

struct Reader<'a> {
    command: &'a Command,
    text: &'a str,
    file: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: &Range<usize>, problem: impl Into<String>) -> FileError {
        FileError { file: self.file.to_owned(), line: self.line(at), problem: problem.into() }
    }

    fn line(&self, at: &Range<usize>) -> usize {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        before.iter().filter(|octet| **octet == b'\n').count() + 1
    }

    fn is_table(&self, name: &str) -> bool {
        keys(self.command).any(|key| key.table == name)
    }

    fn setting(
        &self,
        table: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        given: &BTreeSet<String>,
    ) -> Result<Option<Setting>, FileError> {
        let Some(key) =
            keys(self.command).find(|key| key.table == table && key.name == name.get_ref())
        else {
            return Err(self.unknown(table, name));
        };
        let words = self.words(&key, value)?;
        if given.contains(key.arg.get_id().as_str()) {
            return Ok(None);
        }
        let positional = key.arg.is_positional();
        Ok(Some(Setting {
            key: key.path(),
            option: if positional { key.name.to_owned() } else { format!("--{}", key.name) },
            line: self.line(&name.span()),
            words,
            positional,
        }))
    }

    /// An unknown key, with the table it belongs in or the name that was probably meant.
    fn unknown(&self, table: &str, name: &Spanned<std::borrow::Cow<'_, str>>) -> FileError {
        let word = name.get_ref();
        let path = if table.is_empty() { word.to_string() } else { format!("{table}.{word}") };
        let elsewhere = keys(self.command).find(|key| key.name == word).map(|key| key.path());
        let near = || {
            // Another key; at the top, where tables stand, another table too.
            let tables = keys(self.command).map(|key| (key.table.clone(), key.table));
            let names = keys(self.command).map(|key| (key.name.to_owned(), key.path()));
            tables
                .filter(|_| table.is_empty())
                .chain(names)
                .map(|(name, known)| (strsim::jaro_winkler(word, &name), known))
                .filter(|(likeness, _)| *likeness > 0.8)
                .max_by(|left, right| left.0.total_cmp(&right.0))
                .map(|(_, known)| known)
        };
        let what = if elsewhere.is_none() && table.is_empty() { "key or table" } else { "key" };
        let problem = match elsewhere.or_else(near) {
            Some(known) => format!("there is no {what} \"{path}\"; did you mean \"{known}\"?"),
            None => {
                format!("there is no {what} \"{path}\"; sixtap probe --dump-config shows them all")
            }
        };
        self.error(&name.span(), problem)
    }

    fn words(
        &self,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<OsString>, FileError> {
        let wrong = || self.error(&value.span(), format!("{} takes {}", key.path(), key.kind()));
        let word = |text: &str| match key.arg.is_positional() {
            true => OsString::from(text),
            false => OsString::from(format!("--{}={text}", key.name)),
        };
        match value.get_ref() {
            DeValue::Boolean(true) if key.is_flag() || key.value_is_optional() => {
                Ok(vec![OsString::from(format!("--{}", key.name))])
            }
            DeValue::Boolean(false) if key.is_flag() || key.value_is_optional() => Ok(Vec::new()),
            _ if key.is_flag() => Err(wrong()),
            DeValue::Array(values) if key.takes_many() => {
                let texts = values.iter().map(|value| scalar(value.get_ref()).ok_or_else(wrong));
                texts.map(|text| Ok(word(&text?))).collect()
            }
            value => Ok(vec![word(&scalar(value).ok_or_else(wrong)?)]),
        }
    }
}

/// A value as one word.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// The whole configuration as a file: what `matches` has, defaults too; what is not set stands as a comment.
#[must_use]
pub fn dump(command: &Command, matches: &ArgMatches) -> String {
    let mut text = String::new();
    let mut table = None;
    for key in keys(command) {
        if table.as_ref() != Some(&key.table) {
            text += &format!("{}[{}]\n", if text.is_empty() { "" } else { "\n" }, key.table);
            table = Some(key.table.clone());
        }
        for line in key.arg.get_help().map(ToString::to_string).unwrap_or_default().lines() {
            text += &format!("# {line}\n");
        }
        text += &match value(&key, matches) {
            Some(value) => format!("{} = {value}\n", key.name),
            None => format!("# {} =\n", key.name),
        };
    }
    text
}

/// What `matches` has for a key, as TOML.
fn value(key: &Key<'_>, matches: &ArgMatches) -> Option<String> {
    let id = key.arg.get_id().as_str();
    if key.is_flag() {
        return Some(matches.get_one::<bool>(id).copied().unwrap_or_default().to_string());
    }
    let words: Vec<_> = matches.get_raw(id)?.map(|word| word.to_string_lossy()).collect();
    let text = |word: &str| toml::Value::String(word.to_owned()).to_string();
    Some(match () {
        () if key.arg.is_positional() => text(&words.join(" ")),
        () if key.takes_many() => {
            format!("[{}]", words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", "))
        }
        () => {
            let word = words.first()?;
            if key.is_number() && word.parse::<i64>().is_ok() {
                word.to_string()
            } else {
                text(word)
            }
        }
    })
}

/// The keys as a Markdown table: key, value, default, meaning.
#[must_use]
pub fn markdown(command: &Command) -> String {
    let mut text = String::from("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for key in keys(command) {
        let defaults = key.arg.get_default_values();
        let defaults: Vec<_> = defaults.iter().map(|word| word.to_string_lossy()).collect();
        let default = match (key.is_flag(), defaults.is_empty()) {
            (true, _) => "false".to_owned(),
            (false, true) => String::new(),
            (false, false) => format!("`{}`", defaults.join(" ")),
        };
        let choices = key.arg.get_possible_values();
        let takes = match choices.is_empty() || key.is_flag() {
            true => key.kind().to_owned(),
            false => {
                let names = choices.iter().map(|choice| format!("`{}`", choice.get_name()));
                names.collect::<Vec<_>>().join(", ")
            }
        };
        let help = key.arg.get_help().map(ToString::to_string).unwrap_or_default();
        text += &format!(
            "| `{}` | {takes} | {default} | {} |\n",
            key.path(),
            help.replace('\n', " ").replace('|', "\\|"),
        );
    }
    text
}

/// Keys whose values are not the same in `old` and `new`.
#[must_use]
pub fn changed(command: &Command, old: &ArgMatches, new: &ArgMatches) -> Vec<String> {
    keys(command).filter(|key| value(key, old) != value(key, new)).map(|key| key.path()).collect()
}
