//! `sixtap elements`: every element known, what fills it and which presets carry it.

use super::{DONE, Failure};
use crate::export::preset::{CatalogueEntry, NAMES, catalogue};
use crate::ipfix::json::string;
use clap::Args;
use ie_registry::{Element, Status, VARIABLE_LENGTH};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write};

/// Arguments of `sixtap elements`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sixtap elements flowLabel
  sixtap elements --template covert
  sixtap elements 515 --json")]
pub(crate) struct ElementsArgs {
    /// Only elements with this number, or with this text in their name.
    pattern: Option<String>,
    /// Only elements that this preset carries.
    #[arg(long, value_name = "PRESET", value_parser = NAMES)]
    template: Option<String>,
    /// Only elements that sixtap can fill.
    #[arg(long)]
    filled: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Runs `sixtap elements`.
pub(crate) fn run(args: &ElementsArgs) -> Result<u8, Failure> {
    let entries: Vec<_> = catalogue().into_iter().filter(|entry| wanted(args, entry)).collect();
    if entries.is_empty() {
        return Err(Failure::usage("no element is like that; sixtap elements lists all"));
    }
    let text = if args.json { entries.iter().map(json).collect() } else { table(&entries) };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::environment(error)),
        _ => Ok(DONE),
    }
}

fn wanted(args: &ElementsArgs, entry: &CatalogueEntry) -> bool {
    let element = entry.element;
    let matches = args.pattern.as_ref().is_none_or(|pattern| {
        let pattern = pattern.strip_prefix("sixtap:").unwrap_or(pattern);
        match pattern.parse::<u16>() {
            Ok(id) => element.id == id,
            Err(_) => element.name.to_lowercase().contains(&pattern.to_lowercase()),
        }
    });
    let carried = |name: &String| entry.presets.contains(&name.as_str());
    matches
        && args.template.as_ref().is_none_or(carried)
        && (!args.filled || entry.filling.is_some())
}

/// The number, with the enterprise number in front where there is one.
fn number(element: &Element) -> String {
    match element.enterprise {
        0 => element.id.to_string(),
        enterprise => format!("{enterprise}/{}", element.id),
    }
}

fn name(element: &Element) -> String {
    let own = element.enterprise == ie_registry::SIXTAP_DEFAULT_PEN;
    format!("{}{}", if own { "sixtap:" } else { "" }, element.name)
}

fn table(entries: &[CatalogueEntry]) -> String {
    let rows = entries.iter().map(|entry| {
        let element = entry.element;
        let deprecated = if element.status == Status::Deprecated { " (deprecated)" } else { "" };
        [
            number(element),
            name(element) + deprecated,
            element.data_type.name().to_owned(),
            element.units.name().replace("none", "-"),
            if entry.presets.is_empty() { "-".to_owned() } else { entry.presets.join(",") },
            entry.filling.map_or("-", |filling| filling.text).to_owned(),
        ]
    });
    let header = ["ID", "NAME", "TYPE", "UNITS", "PRESETS", "FILLED WITH"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a String does not fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn json(entry: &CatalogueEntry) -> String {
    let element = entry.element;
    let mut text = String::from("{\"name\":");
    string(&name(element), &mut text);
    let _ = write!(text, ",\"enterprise\":{},\"id\":{}", element.enterprise, element.id);
    let _ = write!(text, ",\"type\":\"{}\"", element.data_type.name());
    match element.default_length {
        VARIABLE_LENGTH => text.push_str(",\"length\":\"variable\""),
        length => {
            let _ = write!(text, ",\"length\":{length}");
        }
    }
    let _ = write!(text, ",\"semantics\":\"{}\"", element.semantics.name());
    let _ = write!(text, ",\"units\":\"{}\"", element.units.name());
    if let Some((low, high)) = element.range {
        let _ = write!(text, ",\"range\":[{low},{high}]");
    }
    let _ = write!(text, ",\"deprecated\":{}", element.status == Status::Deprecated);
    let presets: Vec<_> = entry.presets.iter().map(|name| format!("\"{name}\"")).collect();
    let _ = write!(text, ",\"presets\":[{}]", presets.join(","));
    if let Some(filling) = entry.filling {
        text.push_str(",\"filledWith\":");
        string(filling.text, &mut text);
    }
    if element.enterprise == ie_registry::SIXTAP_DEFAULT_PEN
        && let Some(description) = ie_registry::sixtap_description(element.id)
    {
        text.push_str(",\"description\":");
        string(description, &mut text);
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &str) -> Vec<CatalogueEntry> {
        let args = ElementsArgs {
            pattern: Some(pattern.to_owned()),
            template: None,
            filled: false,
            json: false,
        };
        catalogue().into_iter().filter(|entry| wanted(&args, entry)).collect()
    }

    #[test]
    fn elements_are_found_by_number_and_by_name() {
        assert!(find("31").iter().any(|entry| entry.element.name == "flowLabelIPv6"));
        assert!(find("FLOWLABEL").len() > 3, "IANA's and our own");
        assert!(find("sixtap:tunnelKind").len() == 1);
        assert!(find("no such element").is_empty());
    }

    #[test]
    fn every_line_of_json_is_json() {
        for entry in catalogue() {
            let value: serde_json::Value = serde_json::from_str(&json(&entry)).unwrap();
            assert_eq!(value["id"], entry.element.id);
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_element() {
        let entries = find("ipv6Ext");
        let text = table(&entries);
        assert_eq!(text.lines().count(), entries.len() + 1);
        assert!(text.contains("ipv6ExtensionHeaders (deprecated)"), "{text}");
    }
}
