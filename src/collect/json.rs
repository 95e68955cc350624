//! Records as JSON, one object a record (DESIGN section 6): [`crate::ipfix::json`] with the names and Templates that the
//! collector has learnt.

use super::event::{Record, Version};
use super::names::Names;
use super::session::Domain;
use crate::ipfix::json::{self, Naming};
use crate::ipfix::{FieldSpecifier, Template};
use ie_registry::DataType;
use std::borrow::Cow;

/// Writes one record as a JSON object at the end of `out`, without a line end.
pub fn record_to_json(record: &Record<'_>, out: &mut String) {
    let (names, version) = (record.names(), record.message.version);
    let context = Context { names, version, domain: record.domain };
    json::record(&context, record.template, record.octets, out);
}

struct Context<'a> {
    names: &'a Names,
    version: Version,
    domain: &'a Domain,
}

impl Naming for Context<'_> {
    fn name(&self, field: &FieldSpecifier, scope: bool) -> Cow<'static, str> {
        self.names.field_name(self.version, scope, field)
    }

    fn data_type(&self, field: &FieldSpecifier, scope: bool) -> Option<DataType> {
        // Scope fields of NetFlow v9 have numbers of their own, and all are numbers.
        if self.version == Version::Netflow9 && scope {
            return Some(DataType::Unsigned64);
        }
        self.names.data_type(field)
    }

    fn template(&self, id: u16) -> Option<&Template> {
        self.domain.template(id).map(AsRef::as_ref)
    }
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
    fn shown(templates: &[Template], write: impl FnOnce(&mut Writer<'_>)) -> String {
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
        let text = shown(&[Template::new(256, fields)], |out| {
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
        let text = shown(&[Template::new(256, fields), chain], |out| {
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
        let text = shown(&[Template::new(256, fields)], |out| {
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
        let text = shown(&[Template::new(256, [list])], |out| {
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
        assert_eq!(text.matches('[').count(), json::DEPTH);
    }
}
