//! User-defined elements from words to what meter and exporter get.

use super::Failure;
use crate::config::elements::{self, Combine as Word, Element, Layer as Words};
use crate::export::preset::UserElement;
use crate::meter::flow::MOST_DISTINCT;
use crate::meter::packet::user::{Combine, Extraction, Layer, MOST, Octets};
use ie_registry::DataType;
use std::path::Path;

/// What the exporter and the meter need, in the same order.
pub(super) fn read(path: &Path) -> Result<(Vec<UserElement>, Vec<Extraction>), Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--elements {name}: {error}")))?;
    let elements = elements::parse(&text, &name, MOST, MOST_DISTINCT).map_err(Failure::usage)?;
    Ok((elements.iter().map(exported).collect(), elements.iter().map(extracted).collect()))
}

fn exported(element: &Element) -> UserElement {
    let data_type = match element.length {
        _ if element.address => DataType::Ipv4Address,
        1 => DataType::Unsigned8,
        2 => DataType::Unsigned16,
        3 | 4 => DataType::Unsigned32,
        _ => DataType::Unsigned64,
    };
    UserElement {
        name: element.name.clone(),
        id: element.id,
        length: element.length,
        data_type,
        description: element.description.clone(),
    }
}

fn extracted(element: &Element) -> Extraction {
    Extraction {
        octets: octets(&element.octets),
        protocol: element.protocol,
        port: element.port,
        equals: element.when.as_ref().map(|(place, number)| (octets(place), *number)),
        combine: match element.combine {
            Word::First => Combine::First,
            Word::Last => Combine::Last,
            Word::Minimum => Combine::Minimum,
            Word::Maximum => Combine::Maximum,
            Word::Or => Combine::Or,
            Word::Sum => Combine::Sum,
            Word::Distinct => Combine::Distinct,
        },
    }
}

fn octets(words: &elements::Octets) -> Octets {
    Octets {
        layer: match words.layer {
            Words::Frame => Layer::Frame,
            Words::Ipv4 => Layer::Ipv4,
            Words::Ipv6 => Layer::Ipv6,
            Words::Header(kind) => Layer::Header(kind),
            Words::Option(header, kind) => Layer::Option(header, kind),
            Words::Tcp => Layer::Tcp,
            Words::Udp => Layer::Udp,
            Words::Icmpv6 => Layer::Icmpv6,
            Words::Payload => Layer::Payload,
        },
        offset: words.offset,
        width: words.width,
        mask: words.mask,
        shift: words.shift,
    }
}
