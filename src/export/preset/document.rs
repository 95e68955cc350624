//! The presets as a document: `docs/templates.md` is made here, and a test holds the two together.

use super::{Field, NAMES, Preset, fillings};
use ie_registry::{SIXTAP_DEFAULT_PEN, VARIABLE_LENGTH};
use std::fmt::Write;

const HEAD: &str = "\
# Templates

What a record of each preset carries, element by element. `sixtap elements` prints the same for one element, and all
that can be asked for in a file of one's own.

A flow has the fields whose condition it meets, in this order. Each set of conditions that is met makes one Template, so
a plain flow has a short record: 94 octets for TCP over IPv6 in `default`. Templates are numbered from 256 in the order in
which their first flow ends; there are at most 512, beyond that flows of a class share one that has every field. Lengths
are octets on the wire; shorter than the element's own is reduced-size encoding (RFC 7011 section 6.2).
How values are chosen is in [semantics.md](semantics.md).

`default` is what every collector copes with: milliseconds (152, 153), counters of 8 octets, IANA elements for plain flows.
`covert` carries the same and what changed within the flow, for a meter with flow label and traffic class as Flow Keys.
`full` is everything; a flow that has everything at once has 73 fields, and tshark takes 60 unless told otherwise
(`-o cflow.max_template_fields:100`).

A file of one's own (`--template FILE.toml`) names elements in the order wanted; the conditions below hold there too:

```toml
name = \"short\"
fields = [
  \"flowStartMilliseconds\",
  \"sourceIPv6Address\",
  \"destinationIPv6Address\",
  \"sixtap:fragmentOverlapCount\",
  \"29305/1\",                                    # enterprise number / element number
  { element = \"octetDeltaCount\", length = 4 },  # reduced size; larger values are sent as the largest that fits
]
```

## Options

| Template | scope | fields | RFC |
|---|---|---|---|
| 1024 | observationDomainId, meteringProcessId | exportedMessageTotalCount, exportedFlowRecordTotalCount, exportedOctetTotalCount | 7011, 4.1 |
| 1025 | observationDomainId, meteringProcessId | ignoredPacketTotalCount, ignoredOctetTotalCount, observationTimeMilliseconds twice | 7011, 4.2 |
| 1026 | exportingProcessId | notSentFlowTotalCount, notSentPacketTotalCount, notSentOctetTotalCount, observationTimeMilliseconds twice | 7011, 4.3 |
| 1027 | templateId | flowKeyIndicator | 7011, 4.4 |
| 1028 | privateEnterpriseNumber, informationElementId | data type, semantics, units, range, name, description of each own element | 5610 |
| 1029 | ingressInterface | interfaceName | |
";

/// The whole document.
#[must_use]
pub fn document() -> String {
    let mut out = HEAD.to_owned();
    for preset in NAMES.iter().filter_map(|name| Preset::named(name)) {
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "\n## {}\n\n| element | name | octets | flows | value |\n|---|---|---|---|---|\n",
            preset.name
        );
        for field in &preset.fields {
            row(field, &mut out);
        }
    }
    out
}

fn row(field: &Field, out: &mut String) {
    let element = ie_registry::lookup(field.enterprise, field.id, SIXTAP_DEFAULT_PEN);
    let name = element.map_or("", |element| element.name);
    let (number, prefix) = match field.enterprise {
        0 => (field.id.to_string(), ""),
        SIXTAP_DEFAULT_PEN => (format!("own {}", field.id), "sixtap:"),
        enterprise => (format!("{enterprise}/{}", field.id), ""),
    };
    let length = match field.length {
        VARIABLE_LENGTH => "variable".to_owned(),
        length => length.to_string(),
    };
    let text = fillings(field.enterprise, field.id).next().map_or("", |filling| filling.text);
    let condition = field.condition;
    let _ = writeln!(out, "| {number} | {prefix}{name} | {length} | {condition} | {text} |");
}

#[cfg(test)]
mod tests {
    /// `SIXTAP_WRITE_DOCS=1 cargo test document` writes it anew.
    #[test]
    fn the_document_is_what_the_presets_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates.md");
        let document = super::document();
        if std::env::var_os("SIXTAP_WRITE_DOCS").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == document,
            "docs/templates.md is not what the presets say: write it anew"
        );
    }
}
