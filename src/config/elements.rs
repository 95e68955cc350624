//! Elements of a user's own, from a TOML file.
//!
//! ```toml
//! [[element]]
//! name = "tcpWindowMinimum"     # as in sixtap:tcpWindowMinimum
//! id = 1000                     # 1000 to 1031
//! layer = "tcp"                 # frame ipv4 ipv6 tcp udp icmpv6 payload, header:TYPE, option:HEADER:TYPE
//! offset = 14                   # octets from the start of the layer (for an option: of its data)
//! width = 2                     # octets, 1 to 8
//! combine = "minimum"           # first last minimum maximum or sum distinct
//! # mask = 0xffff, shift = 0, length = 2, type = "unsigned16" (or "ipv4Address"), description = "…"
//! # protocol = 6, port = 443    # only in such packets
//! # when = { layer = "ipv6", offset = 24, width = 8, equals = 0x64_ff9b_0000_0000 }
//! ```

use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use toml::Spanned;

/// Where the octets of an element stand, in the file's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// `frame`.
    Frame,
    /// `ipv4`.
    Ipv4,
    /// `ipv6`.
    Ipv6,
    /// `header:TYPE`: first extension header of this type.
    Header(u8),
    /// `option:HEADER:TYPE`: first option of this type in the first header of that type (0 or 60).
    Option(u8, u8),
    /// `tcp`.
    Tcp,
    /// `udp`.
    Udp,
    /// `icmpv6`.
    Icmpv6,
    /// `payload`: behind the transport header.
    Payload,
}

/// How the packets of a flow combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// The first packet's value.
    First,
    /// The last packet's.
    Last,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// All OR-ed.
    Or,
    /// The sum.
    Sum,
    /// The number of different values; 9 means more than 8.
    Distinct,
}

/// Some octets as a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Octets {
    /// Where the offset counts from.
    pub layer: Layer,
    /// First octet.
    pub offset: u16,
    /// Octets, 1 to 8.
    pub width: u8,
    /// Bits kept.
    pub mask: u64,
    /// Bits shifted out at the right, after the mask.
    pub shift: u8,
}

/// One element, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Name, lowerCamelCase.
    pub name: String,
    /// Identifier among the own elements.
    pub id: u16,
    /// What is read.
    pub octets: Octets,
    /// Only in packets of this upper-layer protocol.
    pub protocol: Option<u8>,
    /// Only in packets from or to this port.
    pub port: Option<u16>,
    /// Only in packets where these octets are this number.
    pub when: Option<(Octets, u64)>,
    /// How packets combine.
    pub combine: Combine,
    /// Octets as exported, 1 to 8.
    pub length: u16,
    /// Whether it is an ipv4Address; else an unsigned integer.
    pub address: bool,
    /// For the type record.
    pub description: String,
}

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct ElementsError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    element: Vec<Spanned<Words>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    name: String,
    id: u16,
    layer: String,
    offset: u16,
    width: u8,
    mask: Option<u64>,
    shift: Option<u8>,
    combine: Combine,
    protocol: Option<u8>,
    port: Option<u16>,
    when: Option<When>,
    length: Option<u16>,
    r#type: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    layer: String,
    offset: u16,
    width: u8,
    mask: Option<u64>,
    equals: u64,
}

/// Identifiers a user may give out.
const IDS: std::ops::RangeInclusive<u16> = 1000..=1031;

/// Reads `text`; `file` is its name, for errors. `most` elements at the most, `most_distinct` of them counting values.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(
    text: &str,
    file: &str,
    most: usize,
    most_distinct: usize,
) -> Result<Vec<Element>, ElementsError> {
    let error = |span: Range<usize>, problem: String| {
        let line = text.get(..span.start).unwrap_or_default().matches('\n').count() + 1;
        ElementsError { file: file.to_owned(), line, problem }
    };
    let parsed: File = toml::from_str(text)
        .map_err(|problem| error(problem.span().unwrap_or(0..0), problem.message().to_owned()))?;
    let mut elements: Vec<Element> = Vec::new();
    for words in parsed.element {
        let span = words.span();
        let element =
            resolve(words.into_inner()).map_err(|problem| error(span.clone(), problem))?;
        let twice = |known: &&Element| known.id == element.id || known.name == element.name;
        if let Some(known) = elements.iter().find(twice) {
            let problem = format!("{}: name or id is already that of {}", element.name, known.name);
            return Err(error(span, problem));
        }
        elements.push(element);
        let distinct =
            elements.iter().filter(|element| element.combine == Combine::Distinct).count();
        if elements.len() > most || distinct > most_distinct {
            let problem = format!(
                "too many: at most {most} elements, {most_distinct} of them with combine = \"distinct\""
            );
            return Err(error(span, problem));
        }
    }
    if elements.is_empty() {
        return Err(error(0..0, "no [[element]] in it".to_owned()));
    }
    Ok(elements)
}

fn resolve(words: Words) -> Result<Element, String> {
    let Words { name, id, .. } = &words;
    let good_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric());
    if !good_name {
        return Err(format!("name \"{name}\": write letters and digits, the first a small letter"));
    }
    if !IDS.contains(id) {
        return Err(format!("{name}: id {id} is not one for users: write 1000 to 1031"));
    }
    let octets = octets(name, &words.layer, words.offset, words.width, words.mask, words.shift)?;
    let when = match &words.when {
        None => None,
        Some(when) => {
            let octets = self::octets(name, &when.layer, when.offset, when.width, when.mask, None)?;
            Some((octets, when.equals))
        }
    };
    let (address, default_length) = match words.r#type.as_deref() {
        None => {
            (false, if words.combine == Combine::Distinct { 1 } else { u16::from(words.width) })
        }
        Some("ipv4Address") => (true, 4),
        Some("unsigned8") => (false, 1),
        Some("unsigned16") => (false, 2),
        Some("unsigned32") => (false, 4),
        Some("unsigned64") => (false, 8),
        Some(other) => {
            return Err(format!(
                "{name}: type \"{other}\": write unsigned8, unsigned16, unsigned32, unsigned64 or ipv4Address"
            ));
        }
    };
    let length = words.length.unwrap_or(default_length);
    if !(1..=8).contains(&length) || address && length != 4 {
        return Err(format!("{name}: length {length}: write 1 to 8, 4 for an ipv4Address"));
    }
    Ok(Element {
        octets,
        protocol: words.protocol,
        port: words.port,
        when,
        combine: words.combine,
        length,
        address,
        description: words.description.unwrap_or_else(|| "User-defined element.".to_owned()),
        id: words.id,
        name: words.name,
    })
}

fn octets(
    name: &str,
    layer: &str,
    offset: u16,
    width: u8,
    mask: Option<u64>,
    shift: Option<u8>,
) -> Result<Octets, String> {
    let layer = layer.parse().map_err(|problem| format!("{name}: {problem}"))?;
    if !(1..=8).contains(&width) {
        return Err(format!("{name}: width {width}: write 1 to 8 octets"));
    }
    let shift = shift.unwrap_or(0);
    if shift > 63 {
        return Err(format!("{name}: shift {shift}: write 0 to 63"));
    }
    Ok(Octets { layer, offset, width, mask: mask.unwrap_or(u64::MAX), shift })
}

/// The layer is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownLayer(String);

impl fmt::Display for UnknownLayer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "layer \"{}\": write frame, ipv4, ipv6, tcp, udp, icmpv6, payload, header:TYPE or option:HEADER:TYPE",
            self.0
        )
    }
}

impl std::str::FromStr for Layer {
    type Err = UnknownLayer;

    fn from_str(words: &str) -> Result<Self, UnknownLayer> {
        let unknown = || UnknownLayer(words.to_owned());
        let mut parts = words.split(':');
        let kind = parts.next().unwrap_or_default();
        let mut number =
            || parts.next().and_then(|part| part.parse::<u8>().ok()).ok_or_else(unknown);
        let layer = match kind {
            "frame" => Self::Frame,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "icmpv6" => Self::Icmpv6,
            "payload" => Self::Payload,
            "header" => Self::Header(number()?),
            "option" => Self::Option(number()?, number()?),
            _ => return Err(unknown()),
        };
        if parts.next().is_some() { Err(unknown()) } else { Ok(layer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: &str = r#"
[[element]]
name = "tcpWindowMinimum"
id = 1000
layer = "tcp"
offset = 14
width = 2
combine = "minimum"
"#;

    fn problem(text: &str) -> String {
        parse(text, "mine.toml", 8, 2).unwrap_err().to_string()
    }

    #[test]
    fn an_element_reads_with_its_defaults() {
        let elements = parse(WINDOW, "mine.toml", 8, 2).unwrap();
        assert_eq!(elements[0].length, 2);
        assert_eq!(elements[0].octets.mask, u64::MAX);
    }

    #[test]
    fn errors_name_line_and_cure() {
        assert_eq!(
            problem(&WINDOW.replace("\"tcp\"", "\"tpc\"")),
            "mine.toml:2: tcpWindowMinimum: layer \"tpc\": write frame, ipv4, ipv6, tcp, udp, icmpv6, payload, \
             header:TYPE or option:HEADER:TYPE"
        );
        assert!(problem(&WINDOW.replace("1000", "5")).contains("write 1000 to 1031"));
        assert!(problem(&WINDOW.replace("width = 2", "width = 9")).contains("write 1 to 8"));
        assert!(problem(&WINDOW.replace("offset", "ofset")).starts_with("mine.toml:6:"));
        assert!(problem(&format!("{WINDOW}{WINDOW}")).contains("already"));
        assert!(problem("").contains("no [[element]]"));
    }
}
