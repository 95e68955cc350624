//! Records as JSON, one object a record (DESIGN section 6): the one way in which `show` and the exporter write them.
//!
//! In: the octets of a record, its Template, and a [`Naming`]. Out: text. Keys are the names of the naming; an element
//! that a record has more than once gives an array. Numbers are numbers, addresses text, points in time RFC 3339 with
//! the precision of their type, booleans `true` and `false`, octets hexadecimal. A `basicList` is an array of values, a
//! `subTemplateList` and a `subTemplateMultiList` an array of objects. A value that does not fit its type is its octets.
//! `paddingOctets` of zeros is left out.

use super::time::Rfc3339;
use super::{Field, FieldSpecifier, Fields, RecordOctets, Records, Template, Value, unsigned};
use ie_registry::{DataType, ie};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

/// Lists in lists that are followed; deeper ones are shown as octets.
pub const DEPTH: usize = 8;

/// What is known beside the octets: names and types of elements, and the Templates that lists refer to.
pub trait Naming {
    /// The name by which a field is shown. `scope`: it is a scope field of an options record.
    fn name(&self, field: &FieldSpecifier, scope: bool) -> Cow<'static, str>;

    /// The type by which a field is read; `None` if nothing is known of its element.
    fn data_type(&self, field: &FieldSpecifier, scope: bool) -> Option<DataType>;

    /// The Template `id` of the same session and domain.
    fn template(&self, id: u16) -> Option<&Template>;
}

/// Writes one record as a JSON object at the end of `out`, without a line end.
pub fn record(
    naming: &impl Naming,
    template: &Template,
    record: RecordOctets<'_>,
    out: &mut String,
) {
    Context(naming).object(template, record, DEPTH, out);
}

/// Writes the value of one field at the end of `out`, as [`record`] does.
pub fn value(naming: &impl Naming, field: &Field<'_>, out: &mut String) {
    Context(naming).field(field, false, DEPTH, out);
}

struct Context<'a, N>(&'a N);

impl<N: Naming> Context<'_, N> {
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
            string(&self.0.name(&field.specifier, scope), out);
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
        self.value(self.0.data_type(&field.specifier, scope), field.octets, depth, out);
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
                let data_type = self.0.data_type(&list.field, false);
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
        let Some(template) = self.0.template(id) else {
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
    match unsigned(octets) {
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
