//! Presets from a file.
//!
//! ```toml
//! name = "short"
//! fields = [
//!   "flowStartMilliseconds",
//!   "sourceIPv6Address",
//!   "sixtap:fragmentOverlapCount",
//!   "29305/1",                                      # enterprise number / element number
//!   { element = "octetDeltaCount", length = 4 },    # reduced size (RFC 7011 section 6.2)
//! ]
//! ```
//!
//! In: the text of the file. Out: a [`Preset`], or an error with line, column and cure.

use super::{Preset, UserElement, fillings};
use crate::export::record::{Slot, Source, USER, USER_ELEMENTS};
use ie_registry::{Element, REVERSE_PEN, SIXTAP_DEFAULT_PEN, VARIABLE_LENGTH};
use serde::Deserialize;
use toml::Spanned;

/// What is wrong with a preset file.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct PresetError {
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, and the cure.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    name: Option<String>,
    fields: Spanned<Vec<Spanned<Entry>>>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a field is the name of an element, \"PEN/ID\", or { element = NAME, length = OCTETS }"
)]
enum Entry {
    Name(String),
    Sized(Sized),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sized {
    element: String,
    length: u16,
}

impl Preset {
    /// Reads a preset file. `file` is its name, for errors; `own` the configured enterprise number; `user` the
    /// user-defined elements, in the order in which the meter delivers their values.
    ///
    /// # Errors
    /// The first thing that is wrong, where it is and what to do.
    pub fn parse(
        text: &str,
        file: &str,
        own: u32,
        user: &[UserElement],
    ) -> Result<Self, PresetError> {
        let error = |at: usize, problem: String| {
            let before = text.get(..at).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            PresetError { file: file.to_owned(), line, column, problem }
        };
        let parsed: File = toml::from_str(text).map_err(|problem| {
            let at = problem.span().map_or(0, |span| span.start);
            error(at, problem.message().to_owned())
        })?;
        let mut preset = Self::empty(parsed.name.as_deref().unwrap_or(file));
        if parsed.fields.get_ref().is_empty() {
            let problem = "a record needs at least one field".to_owned();
            return Err(error(parsed.fields.span().start, problem));
        }
        for entry in parsed.fields.get_ref() {
            let (name, length) = match entry.get_ref() {
                Entry::Name(name) => (name, None),
                Entry::Sized(sized) => (&sized.element, Some(sized.length)),
            };
            preset
                .add_named(name, length, own, user)
                .map_err(|problem| error(entry.span().start, problem))?;
        }
        Ok(preset.finish())
    }

    fn add_named(
        &mut self,
        name: &str,
        length: Option<u16>,
        own: u32,
        user: &[UserElement],
    ) -> Result<(), String> {
        if let Some(index) = user.iter().position(|element| {
            name == element.name || name.strip_prefix("sixtap:") == Some(&element.name)
        }) {
            return self.add_user(name, length, index, &user[index]);
        }
        let (enterprise, id) = resolve(name, own)?;
        let known = |field: &super::Field| (field.enterprise, field.id) == (enterprise, id);
        if self.fields.iter().any(known) {
            return Err(format!("{name} is in the list already: leave one out"));
        }
        if let Some(length) = length {
            check_length(name, enterprise, id, length)?;
        }
        if self.add(enterprise, id, length) {
            return Ok(());
        }
        Err(format!(
            "sixtap cannot fill {name}: `sixtap elements` lists what it can; leave this one out"
        ))
    }

    fn add_user(
        &mut self,
        name: &str,
        length: Option<u16>,
        index: usize,
        element: &UserElement,
    ) -> Result<(), String> {
        if index >= USER_ELEMENTS {
            return Err(format!("{name}: at most {USER_ELEMENTS} elements can be user-defined"));
        }
        let mut field = element.field(index);
        field.length = length.unwrap_or(field.length);
        if !(1..=8).contains(&field.length) {
            return Err(format!("{name}: a length from 1 to 8 octets is meant"));
        }
        field.source = Source::Number(Slot { at: USER + 8 * index as u16, length: 8 });
        self.fields.push(field);
        Ok(())
    }
}

/// Enterprise and identifier of a name or of "PEN/ID".
fn resolve(name: &str, own: u32) -> Result<(u32, u16), String> {
    if let Some((enterprise, id)) = name.split_once('/') {
        let numbers = enterprise.parse::<u32>().ok().zip(id.parse::<u16>().ok());
        let Some((enterprise, id)) = numbers.filter(|(_, id)| *id < 0x8000) else {
            return Err(format!(
                "{name}: \"PEN/ID\" is meant, an enterprise number and an element number, as in \"29305/1\""
            ));
        };
        let enterprise = if enterprise == own { SIXTAP_DEFAULT_PEN } else { enterprise };
        return Ok((enterprise, id));
    }
    if let Some(element) = ie_registry::by_name(name) {
        return Ok((element.enterprise, element.id));
    }
    let cure = match nearest(name) {
        Some(close) => format!("did you mean {close}?"),
        None => "`sixtap elements` lists the names".to_owned(),
    };
    Err(format!("there is no element called {name}: {cure}"))
}

/// RFC 7011 section 6.2: only numbers may be shortened.
fn check_length(name: &str, enterprise: u32, id: u16, length: u16) -> Result<(), String> {
    let default = ie_registry::lookup(enterprise, id, SIXTAP_DEFAULT_PEN)
        .map_or(VARIABLE_LENGTH, |element| element.default_length);
    for row in fillings(enterprise, id) {
        match row.source {
            Source::List(_) => {
                return Err(format!("{name} has variable length: leave the length out"));
            }
            Source::Octets(slot) if slot.length != length => {
                let exact = slot.length;
                return Err(format!("{name} cannot be shortened: its length is {exact}"));
            }
            Source::Number(_) | Source::Bits(_) if length == 0 || length > default => {
                return Err(format!("{name}: a length from 1 to {default} octets is meant"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name closest to `name` in spelling, if any is close.
fn nearest(name: &str) -> Option<&'static str> {
    let elements = || {
        let all = ie_registry::all_iana().iter().chain(ie_registry::all_sixtap());
        all.filter(|element: &&Element| element.enterprise != REVERSE_PEN)
    };
    let (distance, best) = elements()
        .map(|element| (distance(name, element.name), element.name))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + name.len() / 4).then_some(best)
}

/// Edit distance, upper and lower case being the same.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<u8> = other.bytes().map(|octet| octet.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, octet) in one.bytes().enumerate() {
        let octet = octet.to_ascii_lowercase();
        let mut diagonal = row[0];
        row[0] = line + 1;
        for column in 0..other.len() {
            let replaced = diagonal + usize::from(octet != other[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Preset::parse(text, "t.toml", 32473, &[]).unwrap_err().to_string()
    }

    #[test]
    fn names_numbers_and_lengths() {
        let text = "name = \"short\"\nfields = [\"sourceIPv6Address\", \"0/4\", \"sixtap:fragmentOverlapCount\", \
                    \"29305/1\", { element = \"octetDeltaCount\", length = 4 }]";
        let preset = Preset::parse(text, "t.toml", 32473, &[]).unwrap();
        assert_eq!(preset.name, "short");
        let fields: Vec<_> =
            preset.fields.iter().map(|field| (field.enterprise, field.id, field.length)).collect();
        assert_eq!(fields, [(0, 27, 16), (0, 4, 1), (32473, 5, 4), (29305, 1, 8), (0, 1, 4)]);
    }

    #[test]
    fn own_elements_by_the_configured_enterprise_number() {
        let preset = Preset::parse("fields = [\"4711/5\"]", "t.toml", 4711, &[]).unwrap();
        assert_eq!(preset.fields[0].enterprise, SIXTAP_DEFAULT_PEN);
    }

    #[test]
    fn errors_name_the_place_and_the_cure() {
        assert_eq!(
            problem("fields = [\n  \"flowLabelIPv6\",\n  \"octetDeltaCont\",\n]"),
            "t.toml:3:3: there is no element called octetDeltaCont: did you mean octetDeltaCount?"
        );
        assert!(
            problem("fields = [\"bgpSourceAsNumber\"]").contains("cannot fill bgpSourceAsNumber")
        );
        assert!(problem("fields = [\"9/99999\"]").contains("\"PEN/ID\" is meant"));
        assert!(problem("fields = []").contains("at least one field"));
        assert!(problem("feilds = []").contains("t.toml:1:1"));
        assert!(problem("fields = [7]").contains("a field is the name"));
        assert!(
            problem("fields = [{ element = \"sourceIPv6Address\", length = 8 }]")
                .contains("cannot be shortened: its length is 16")
        );
        assert!(
            problem("fields = [{ element = \"octetDeltaCount\", length = 9 }]")
                .contains("from 1 to 8 octets")
        );
        assert!(problem("fields = [\"ipVersion\", \"ipVersion\"]").contains("already"));
    }

    #[test]
    fn user_defined_elements_by_name() {
        let user = [UserElement {
            name: "ttlOfOption".to_owned(),
            id: 1000,
            length: 2,
            data_type: ie_registry::DataType::Unsigned16,
            description: String::new(),
        }];
        let text = "fields = [\"sixtap:ttlOfOption\", \"ttlOfOption\"]";
        let preset = Preset::parse(text, "t.toml", 32473, &user).unwrap();
        assert_eq!((preset.fields[0].id, preset.fields[0].length), (1000, 2));
    }
}
