//! Records as JSON, one object a record (DESIGN section 6).
//!
//! Keys are the names of [`Names`]; an element that a record has more than once gives an array. Numbers are numbers,
//! addresses text, points in time RFC 3339 with the precision of their type, booleans `true` and `false`, octets
//! hexadecimal. A `basicList` is an array of values, a `subTemplateList` and a `subTemplateMultiList` an array of
//! objects. A value that does not fit its type is its octets. `paddingOctets` of zeros is left out.

use super::event::{Record, Version};
use super::names::Names;
use super::session::Domain;
use crate::ipfix::time::Rfc3339;
use crate::ipfix::{Field, FieldSpecifier, Fields, RecordOctets, Records, Template, Value};
use ie_registry::{DataType, ie};
use std::collections::HashMap;
use std::fmt::Write;

/// Lists in lists that are followed; deeper ones are shown as octets.
const DEPTH: usize = 8;

/// Writes one record as a JSON object at the end of `out`, without a line end.
pub fn record_to_json(record: &Record<'_>, out: &mut String) {
    let context = Context {
        names: record.names(),
        version: record.message.version,
        templates: Templates::Domain(record.domain),
    };
    context.object(record.template, record.octets, DEPTH, out);
}

/// The same for octets that were just encoded: `template` and the others that lists in it refer to.
pub fn encoded_to_json(
    names: &Names,
    template: &Template,
    others: &[Template],
    octets: &[u8],
    out: &mut String,
) {
    let templates = Templates::Slice(others);
    let context = Context { names, version: Version::Ipfix, templates };
    context.object(template, RecordOctets { offset: 0, octets }, DEPTH, out);
}

/// Where Templates of lists are found.
#[derive(Clone, Copy)]
enum Templates<'a> {
    Domain(&'a Domain),
    Slice(&'a [Template]),
}

impl<'a> Templates<'a> {
    fn template(&self, id: u16) -> Option<&'a Template> {
        match *self {
            Self::Domain(domain) => domain.template(id).map(AsRef::as_ref),
            Self::Slice(templates) => templates.iter().find(|template| template.id() == id),
        }
    }
}

#[derive(Clone, Copy)]
struct Context<'a> {
    names: &'a Names,
    version: Version,
    templates: Templates<'a>,
}

impl Context<'_> {
    fn object(
        &self,
        template: &Template,
        record: RecordOctets<'_>,
        depth: usize,
        out: &mut String,
    ) {
        out.push('{');
        let mut first = true;
        let mut repeats = template.has_repeats().then(|| Repeats::new(template, record));
        for field in Fields::new(template, record) {
            let values = repeats.as_mut().map(|repeats| repeats.take(&field)).unwrap_or_default();
            if is_padding(&field) || repeats.is_some() && values.is_empty() {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            let scope = field.index < template.scope_count();
            string(&self.names.field_name(self.version, scope, &field.specifier), out);
            out.push(':');
            if values.len() < 2 {
                self.field(&field, scope, depth, out);
                continue;
            }
            for (number, field) in values.iter().enumerate() {
                out.push(if number == 0 { '[' } else { ',' });
                self.field(field, scope, depth, out);
            }
            out.push(']');
        }
        out.push('}');
    }

    fn field(&self, field: &Field<'_>, scope: bool, depth: usize, out: &mut String) {
        if self.version == Version::Netflow9 && scope {
            match crate::ipfix::unsigned(field.octets) {
                Some(number) => out.push_str(&number.to_string()),
                None => hexadecimal(field.octets, out),
            }
            return;
        }
        self.value(self.names.data_type(&field.specifier), field.octets, depth, out);
    }

    fn value(&self, data_type: Option<DataType>, octets: &[u8], depth: usize, out: &mut String) {
        if data_type == Some(DataType::String) {
            // Fields of fixed length are filled up with zeros.
            let text = String::from_utf8_lossy(octets);
            string(text.trim_end_matches('\0'), out);
            return;
        }
        let decoded = data_type.and_then(|data_type| Value::decode(data_type, octets).ok());
        // Writing to a String does not fail.
        let _ = match decoded {
            None | Some(Value::Octets(_)) => {
                hexadecimal(octets, out);
                Ok(())
            }
            Some(Value::Unsigned(value)) => write!(out, "{value}"),
            Some(Value::Unsigned256(octets)) => {
                large(octets, out);
                Ok(())
            }
            Some(Value::Signed(value)) => write!(out, "{value}"),
            Some(Value::Float32(value)) => float(f64::from(value), value.to_string(), out),
            Some(Value::Float64(value)) => float(value, value.to_string(), out),
            Some(Value::Boolean(value)) => write!(out, "{value}"),
            Some(Value::Mac([a, b, c, d, e, f])) => {
                write!(out, "\"{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}\"")
            }
            Some(Value::Ipv4(address)) => write!(out, "\"{address}\""),
            Some(Value::Ipv6(address)) => write!(out, "\"{address}\""),
            Some(Value::String(text)) => {
                string(text, out);
                Ok(())
            }
            Some(time) if data_type.is_some_and(DataType::is_time) => {
                self.time(&time, octets, out);
                Ok(())
            }
            Some(list) => {
                self.list(&list, octets, depth, out);
                Ok(())
            }
        };
    }

    fn time(&self, value: &Value<'_>, octets: &[u8], out: &mut String) {
        let digits = match value {
            Value::Seconds(_) => 0,
            Value::Milliseconds(_) => 3,
            Value::Microseconds(_) => 6,
            _ => 9,
        };
        match value.unix_nanos() {
            Some(unix_nanos) => {
                let _ = write!(out, "\"{}\"", Rfc3339 { unix_nanos, digits });
            }
            None => hexadecimal(octets, out),
        }
    }

    fn list(&self, value: &Value<'_>, octets: &[u8], depth: usize, out: &mut String) {
        let Some(depth) = depth.checked_sub(1) else { return hexadecimal(octets, out) };
        out.push('[');
        let mut first = true;
        let mut comma = |out: &mut String| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
        };
        match value {
            Value::BasicList(list) => {
                let data_type = self.names.data_type(&list.field);
                for (_, item) in list.items() {
                    comma(out);
                    self.value(data_type, item, depth, out);
                }
            }
            Value::SubTemplateList(list) => {
                self.records(list.template_id, list.contents, depth, &mut comma, out);
            }
            Value::SubTemplateMultiList(list) => {
                for entry in list.entries() {
                    self.records(entry.template_id, entry.contents, depth, &mut comma, out);
                }
            }
            _ => {}
        }
        out.push(']');
    }

    fn records(
        &self,
        id: u16,
        contents: &[u8],
        depth: usize,
        comma: &mut impl FnMut(&mut String),
        out: &mut String,
    ) {
        let Some(template) = self.templates.template(id) else {
            comma(out);
            let _ = write!(out, "{{\"templateId\":{id},\"octets\":");
            hexadecimal(contents, out);
            out.push('}');
            return;
        };
        for record in Records::new(template, contents, 0).filter_map(Result::ok) {
            comma(out);
            self.object(template, record, depth, out);
        }
    }
}

fn is_padding(field: &Field<'_>) -> bool {
    let FieldSpecifier { id, enterprise, .. } = field.specifier;
    id == ie::PADDING_OCTETS && enterprise == 0 && field.octets.iter().all(|&octet| octet == 0)
}

/// The fields of a record by element, where an element stands in it more than once.
struct Repeats<'a>(HashMap<(u32, u16), Vec<Field<'a>>>);

impl<'a> Repeats<'a> {
    fn new(template: &Template, record: RecordOctets<'a>) -> Self {
        let mut elements: HashMap<_, Vec<_>> = HashMap::new();
        for field in Fields::new(template, record) {
            let FieldSpecifier { id, enterprise, .. } = field.specifier;
            elements.entry((enterprise, id)).or_default().push(field);
        }
        Self(elements)
    }

    /// All fields with the element of `field`, the first time it is asked for; then none.
    fn take(&mut self, field: &Field<'_>) -> Vec<Field<'a>> {
        let FieldSpecifier { id, enterprise, .. } = field.specifier;
        self.0.remove(&(enterprise, id)).unwrap_or_default()
    }
}

/// A number that may have more than 64 bits: then it is hexadecimal with `0x`.
fn large(octets: &[u8], out: &mut String) {
    match crate::ipfix::unsigned(octets) {
        _ if octets.is_empty() => out.push('0'),
        Some(value) => out.push_str(&value.to_string()),
        None => {
            out.push_str("\"0x");
            digits(octets, out);
            out.push('"');
        }
    }
}

/// JSON has no infinity and no "not a number".
fn float(value: f64, text: String, out: &mut String) -> std::fmt::Result {
    out.write_str(if value.is_finite() { &text } else { "null" })
}

fn hexadecimal(octets: &[u8], out: &mut String) {
    out.push('"');
    digits(octets, out);
    out.push('"');
}

fn digits(octets: &[u8], out: &mut String) {
    for octet in octets {
        for digit in [octet >> 4, octet & 15] {
            out.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
        }
    }
}

/// A JSON string (RFC 8259 section 7).
pub fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::{Collector, Event, Limits, Transport};
    use crate::ipfix::{ListSemantic, MessageBuilder, Writer};

    fn of(id: u16) -> FieldSpecifier {
        FieldSpecifier::of(ie_registry::iana(id).unwrap())
    }

    /// Sends Templates and one record through the collector and gives its JSON.
    fn json(templates: &[Template], write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut builder = MessageBuilder::new(9000);
        builder.begin(1, 0);
        for template in templates {
            builder.template(template).unwrap();
        }
        builder.record(templates[0].id(), write).unwrap();
        let mut out = String::new();
        let mut collector = Collector::new(Limits::default(), 32473);
        let message = builder.finish(0);
        collector.message(&Transport::file(message.len(), 0), message, &mut |event| match event {
            Event::Record(record) => {
                record_to_json(&record, &mut out);
                let others: Vec<Template> = templates.to_vec();
                let mut again = String::new();
                let octets = record.octets.octets;
                encoded_to_json(record.names(), record.template, &others, octets, &mut again);
                assert_eq!(out, again);
            }
            Event::Anomaly { anomaly, .. } => panic!("{anomaly}"),
            _ => {}
        });
        let _: serde_json::Value = serde_json::from_str(&out).unwrap();
        out
    }

    #[test]
    fn values_by_type() {
        let own = |id| FieldSpecifier::of(ie_registry::sixtap(id).unwrap());
        let fields = [
            of(31).with_length(3),
            of(27),
            of(56),
            of(152),
            of(154),
            of(156),
            of(150),
            of(515).with_length(2),
            of(82),
            own(9),
            FieldSpecifier { id: 1, enterprise: 29305, length: 4 },
            FieldSpecifier { id: 77, enterprise: 12345, length: 2 },
            of(311),
            of(210).with_length(2),
        ];
        let second = 1_700_000_000_123_456_789;
        let text = json(&[Template::new(256, fields)], |out| {
            out.reduced(74565, 3);
            out.octets(&"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
            out.octets(&[0, 1, 2, 0xab, 0xcd, 0xef]);
            out.u64(second / 1_000_000);
            out.u64(crate::ipfix::time::Ntp::microseconds_from_unix_nanos(second).0);
            out.u64(crate::ipfix::time::Ntp::from_unix_nanos(second).0);
            out.u32(1_700_000_000);
            out.u16(0x2a0);
            out.variable("a \"b\"\n".as_bytes());
            out.boolean(false);
            out.u32(9);
            out.u16(0xbeef);
            out.u64(0.5f64.to_bits());
            out.u16(0);
        });
        assert_eq!(
            text,
            r#"{"flowLabelIPv6":74565,"sourceIPv6Address":"2001:db8::1","#.to_owned()
                + r#""sourceMacAddress":"00:01:02:ab:cd:ef","#
                + r#""flowStartMilliseconds":"2023-11-14T22:13:20.123Z","#
                + r#""flowStartMicroseconds":"2023-11-14T22:13:20.123456Z","#
                + r#""flowStartNanoseconds":"2023-11-14T22:13:20.123456789Z","#
                + r#""flowStartSeconds":"2023-11-14T22:13:20Z","ipv6ExtensionHeadersFull":672,"#
                + r#""interfaceName":"a \"b\"\n","sixtap:fragmentPortsRewritten":false,"#
                + r#""reverseOctetDeltaCount":9,"12345/77":"beef","samplingProbability":0.5}"#
        );
    }

    #[test]
    fn lists_and_repeated_elements() {
        let fields = [of(516), of(496), of(70).with_length(3), of(70).with_length(3)];
        let chain = Template::new(300, [of(513), of(514)]);
        let text = json(&[Template::new(256, fields), chain], |out| {
            out.sub_template_list(ListSemantic::ORDERED, 300, |out| {
                [0, 1, 60, 2].iter().for_each(|&octet| out.u8(octet));
            });
            out.basic_list(ListSemantic::ORDERED, of(494), |out| out.octets(&[0; 16]));
            out.octets(&[1, 2, 3, 4, 5, 6]);
        });
        assert_eq!(
            text,
            r#"{"ipv6ExtensionHeaderTypeCountList":[{"ipv6ExtensionHeaderType":0,"#.to_owned()
                + r#""ipv6ExtensionHeaderCount":1},{"ipv6ExtensionHeaderType":60,"#
                + r#""ipv6ExtensionHeaderCount":2}],"srhSegmentIPv6BasicList":["::"],"#
                + r#""mplsTopLabelStackSection":["010203","040506"]}"#
        );
    }

    #[test]
    fn what_does_not_fit_its_type_is_shown_as_octets() {
        let fields = [of(27).with_length(4), of(276), of(292), of(515)];
        let text = json(&[Template::new(256, fields)], |out| {
            out.u32(0x0102_0304);
            out.u8(7);
            out.variable(&[4, 1, 0x2c, 9, 9]);
            out.octets(&[0xff; 32]);
        });
        assert_eq!(
            text,
            r#"{"sourceIPv6Address":"01020304","dataRecordsReliability":"07","#.to_owned()
                + r#""subTemplateList":[{"templateId":300,"octets":"0909"}],"#
                + r#""ipv6ExtensionHeadersFull":"0x"#
                + &"ff".repeat(32)
                + r#""}"#
        );
    }

    /// A list within a list within a list, as deep as a message can hold: bounded, and no overflow of the stack.
    #[test]
    fn nesting_is_bounded() {
        let list = of(292);
        let text = json(&[Template::new(256, [list])], |out| {
            fn nest(out: &mut Writer<'_>, depth: usize) {
                out.sub_template_list(ListSemantic::ORDERED, 256, |out| {
                    if depth > 0 {
                        nest(out, depth - 1);
                    } else {
                        out.variable(&[]);
                    }
                });
            }
            nest(out, 60);
        });
        assert_eq!(text.matches('[').count(), DEPTH);
    }
}
