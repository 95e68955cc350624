use super::time::Ntp;
use super::*;
use ie_registry::{DataType, VARIABLE_LENGTH};
use proptest::prelude::*;

/// What a message says: Template Records, records as field octets, and faults.
#[derive(Debug, Default, PartialEq)]
struct Content {
    templates: Vec<TemplateRecord>,
    records: Vec<(u16, Vec<Vec<u8>>)>,
    anomalies: Vec<Anomaly>,
}

/// Reads a message with the Templates it holds; checks that every offset points at the octets it is about.
fn read(message: &[u8]) -> Content {
    let mut content = Content::default();
    let mut known: Vec<Template> = Vec::new();
    for set in Sets::new(message, MessageHeader::LENGTH) {
        let set = match set {
            Ok(set) => set,
            Err(anomaly) => {
                content.anomalies.push(anomaly);
                continue;
            }
        };
        if set.id == TEMPLATE_SET || set.id == OPTIONS_TEMPLATE_SET {
            for record in TemplateSet::new(set) {
                match record {
                    Ok((_, record)) => {
                        if let TemplateRecord::Definition(template) = &record {
                            known.retain(|other| other.id() != template.id());
                            known.push(template.clone());
                        }
                        content.templates.push(record);
                    }
                    Err(anomaly) => content.anomalies.push(anomaly),
                }
            }
            continue;
        }
        let Some(template) = known.iter().find(|template| template.id() == set.id) else {
            continue;
        };
        let mut records = Records::new(template, set.contents, set.contents_offset());
        for record in records.by_ref() {
            match record {
                Ok(record) => {
                    assert_eq!(&message[record.offset..][..record.octets.len()], record.octets);
                    let fields: Vec<_> = Fields::new(template, record).collect();
                    assert_eq!(fields.len(), template.fields().len());
                    for field in &fields {
                        assert_eq!(&message[field.offset..][..field.octets.len()], field.octets);
                        decode_as_all_types(field.octets);
                    }
                    let octets = fields.iter().map(|field| field.octets.to_vec()).collect();
                    content.records.push((set.id, octets));
                }
                Err(anomaly) => content.anomalies.push(anomaly),
            }
        }
        assert!(records.padding().1.len() < template.min_len());
    }
    assert!(content.anomalies.iter().all(|anomaly| anomaly.offset <= message.len()));
    content
}

fn decode_as_all_types(octets: &[u8]) {
    for &data_type in DataType::ALL {
        match Value::decode(data_type, octets) {
            Ok(Value::BasicList(list)) => {
                for (offset, item) in list.items() {
                    assert_eq!(&octets[offset..][..item.len()], item);
                }
            }
            Ok(Value::SubTemplateMultiList(list)) => {
                for entry in list.entries() {
                    assert_eq!(
                        &octets[entry.contents_offset..][..entry.contents.len()],
                        entry.contents
                    );
                }
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn specifier() -> impl Strategy<Value = FieldSpecifier> {
    let length = prop_oneof![4 => 1u16..40, 1 => Just(VARIABLE_LENGTH)];
    let enterprise = prop_oneof![3 => Just(0u32), 1 => 1u32..];
    (0u16..0x8000, enterprise, length).prop_map(|(id, enterprise, length)| FieldSpecifier {
        id,
        enterprise,
        length,
    })
}

fn template() -> impl Strategy<Value = Template> {
    (256u16.., prop::collection::vec(specifier(), 1..20), any::<bool>(), any::<u16>()).prop_map(
        |(id, fields, options, scopes)| {
            let scopes = if options { scopes % fields.len() as u16 + 1 } else { 0 };
            Template::options(id, scopes, fields)
        },
    )
}

/// A Template and values for some records of it.
fn template_with_records() -> impl Strategy<Value = (Template, Vec<Vec<Vec<u8>>>)> {
    template().prop_flat_map(|template| {
        let record: Vec<_> = template
            .fields()
            .iter()
            .map(|field| {
                let length = if field.is_variable() {
                    0..300
                } else {
                    usize::from(field.length)..usize::from(field.length) + 1
                };
                prop::collection::vec(any::<u8>(), length)
            })
            .collect();
        (Just(template), prop::collection::vec(record, 0..6))
    })
}

fn write_record(template: &Template, record: &[Vec<u8>], out: &mut Writer<'_>) {
    for (field, value) in template.fields().iter().zip(record) {
        if field.is_variable() { out.variable(value) } else { out.octets(value) }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read((template, records) in template_with_records(), limit in 512usize..9000) {
        let mut builder = MessageBuilder::new(limit);
        let mut messages = Vec::new();
        let mut sequence = 0u32;
        builder.begin(1, 0);
        builder.template(&template).unwrap();
        let mut taken = Vec::new();
        for record in &records {
            let write = |out: &mut Writer<'_>| write_record(&template, record, out);
            let mut result = builder.record(template.id(), write);
            if result == Err(Refused::Full) {
                sequence += builder.records();
                messages.push(builder.finish(5).to_vec());
                builder.begin(1, sequence);
                builder.template(&template).unwrap();
                result = builder.record(template.id(), write);
                if result == Err(Refused::Full) {
                    // The Template alone left too little room.
                    result = Err(Refused::TooLong);
                }
            }
            match result {
                Ok(()) => taken.push((template.id(), record.clone())),
                Err(error) => {
                    let length: usize = record.iter().map(|value| value.len() + 1).sum();
                    prop_assert_eq!(error, Refused::TooLong);
                    prop_assert!(length + template.encoded_len() + 24 > builder.limit());
                }
            }
        }
        messages.push(builder.finish(5).to_vec());
        let mut back = Vec::new();
        let mut counted = 0;
        for message in &messages {
            prop_assert!(message.len() <= limit);
            let header = MessageHeader::decode(message).unwrap();
            prop_assert_eq!((usize::from(header.length), header.domain), (message.len(), 1));
            prop_assert_eq!(header.sequence, counted);
            let content = read(message);
            prop_assert_eq!(&content.anomalies, &[]);
            prop_assert_eq!(&content.templates, &[TemplateRecord::Definition(template.clone())]);
            counted += content.records.len() as u32;
            back.extend(content.records);
        }
        prop_assert_eq!(back, taken);
    }

    #[test]
    fn reserve_and_record_write_the_same(values in prop::collection::vec(any::<u64>(), 1..200)) {
        let (mut first, mut second) = (MessageBuilder::new(1400), MessageBuilder::new(1400));
        first.begin(0, 9);
        second.begin(0, 9);
        for (number, value) in values.iter().enumerate() {
            let id = 256 + (number / 3 % 2) as u16;
            let one = first.record(id, |out| out.u64(*value));
            let other = second.reserve(id, 8).map(|place| place.copy_from_slice(&value.to_be_bytes()));
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(first.records(), second.records());
        prop_assert_eq!(first.finish(1), second.finish(1));
    }

    #[test]
    fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = MessageHeader::decode(&octets);
        read(&octets);
        decode_as_all_types(&octets);
    }

    #[test]
    fn damage_is_survived(
        (template, records) in template_with_records(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut builder = MessageBuilder::new(65_535);
        builder.begin(1, 0);
        builder.template(&template).unwrap();
        for record in &records {
            builder.record(template.id(), |out| write_record(&template, record, out)).unwrap();
        }
        let mut message = builder.finish(0).to_vec();
        for (index, octet) in damage {
            let at = index.index(message.len());
            message[at] = octet;
        }
        message.truncate(cut.index(message.len()) + 1);
        read(&message);
    }

    #[test]
    fn integers_of_every_length(value: u64, length in 1usize..9) {
        let value = if length == 8 { value } else { value & ((1 << (8 * length)) - 1) };
        let mut octets = [0; 8];
        let mut out = Writer::new(&mut octets);
        out.reduced(value, length);
        prop_assert_eq!(out.len(), length);
        let written = out.written().to_vec();
        prop_assert_eq!(Value::decode(DataType::Unsigned64, &written), Ok(Value::Unsigned(value)));
        let bits = 64 - 8 * length as u32;
        let signed = ((value << bits) as i64) >> bits;
        prop_assert_eq!(Value::decode(DataType::Signed64, &written), Ok(Value::Signed(signed)));
    }

    #[test]
    fn lists_come_back(
        semantic: u8,
        field in specifier(),
        items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..12),
        nested: bool,
    ) {
        let items: Vec<Vec<u8>> = items.into_iter().map(|mut item| {
            if !field.is_variable() {
                item.resize(usize::from(field.length), 7);
            }
            item
        }).collect();
        let mut octets = vec![0; 4000];
        let mut out = Writer::new(&mut octets);
        let list = |out: &mut Writer<'_>| {
            out.basic_list(ListSemantic(semantic), field, |out| {
                for item in &items {
                    if field.is_variable() { out.variable(item) } else { out.octets(item) }
                }
            });
        };
        if nested {
            out.sub_template_multi_list(ListSemantic::ORDERED, |out| {
                out.multi_list_entry(300, list);
                out.multi_list_entry(301, |out| out.u8(1));
            });
        } else {
            list(&mut out);
        }
        prop_assert!(!out.overflowed());
        let mut octets = out.written();
        if nested {
            let value = value_of(DataType::SubTemplateMultiList, octets);
            let Value::SubTemplateMultiList(list) = value else { panic!("{value:?}") };
            let entries: Vec<_> = list.entries().collect();
            prop_assert_eq!(entries.len(), 2);
            prop_assert_eq!((entries[1].template_id, entries[1].contents), (301, &[1u8][..]));
            octets = entries[0].contents;
        }
        let value = value_of(DataType::BasicList, octets);
        let Value::BasicList(list) = value else { panic!("{value:?}") };
        prop_assert_eq!((list.semantic, list.field), (ListSemantic(semantic), field));
        let back: Vec<Vec<u8>> = list.items().map(|(_, item)| item.to_vec()).collect();
        prop_assert_eq!(back, items);
    }
}

/// The value of a variable-length field, which fills `octets` with its length.
fn value_of(data_type: DataType, octets: &[u8]) -> Value<'_> {
    let length = varlen::decode(octets).unwrap();
    assert_eq!(octets.len(), length.prefix + length.value);
    Value::decode(data_type, &octets[length.prefix..]).unwrap()
}

/// RFC 9740: HBH, DST, FRAG, DST as an `ipv6ExtensionHeaderTypeCountList` of Template 300 = {513, 514}.
#[test]
fn the_chain_list_of_rfc_9740() {
    let mut octets = [0; 64];
    let mut out = Writer::new(&mut octets);
    out.sub_template_list(ListSemantic::ORDERED, 300, |out| {
        for (header, count) in [(0, 1), (60, 1), (44, 1), (60, 1)] {
            out.u8(header);
            out.u8(count);
        }
    });
    let expected = [0x0b, 4, 1, 0x2c, 0, 1, 0x3c, 1, 0x2c, 1, 0x3c, 1];
    assert_eq!(out.written(), expected);
    let Value::SubTemplateList(list) = value_of(DataType::SubTemplateList, &expected) else {
        panic!("no list")
    };
    let template = Template::new(300, [FieldSpecifier::iana(513, 1), FieldSpecifier::iana(514, 1)]);
    let records = Records::new(&template, list.contents, SubTemplateList::CONTENTS_OFFSET);
    assert_eq!(
        records.filter_map(Result::ok).map(|r| r.octets[0]).collect::<Vec<_>>(),
        [0, 60, 44, 60]
    );
}

/// RFC 9740: two `tcpSharedOptionExID16` values with allOf.
#[test]
fn the_exid_list_of_rfc_9740() {
    let octets = [0xff, 0, 9, 3, 2, 9, 0, 2, 3, 0x48, 0x45, 0x4e];
    let Value::BasicList(list) = value_of(DataType::BasicList, &octets) else { panic!("no list") };
    assert_eq!(list.semantic, ListSemantic::ALL_OF);
    assert_eq!(list.field, FieldSpecifier::iana(521, 2));
    let items: Vec<_> = list.items().collect();
    assert_eq!(items, [(5, &[3u8, 0x48][..]), (7, &[0x45, 0x4e][..])]);
}

#[test]
fn values() {
    let cases: [(DataType, &[u8], Result<Value<'_>, ValueError>); 11] = [
        (DataType::Unsigned32, &[0x12, 0x34, 0x56], Ok(Value::Unsigned(0x12_3456))),
        (DataType::Unsigned256, &[0, 0, 2, 0xa0], Ok(Value::Unsigned256(&[2, 0xa0]))),
        (DataType::Signed16, &[0xff], Ok(Value::Signed(-1))),
        (DataType::Float64, &[0x3f, 0x80, 0, 0], Ok(Value::Float32(1.0))),
        (DataType::Boolean, &[1], Ok(Value::Boolean(true))),
        (DataType::Boolean, &[0], Err(ValueError::Boolean(0))),
        (DataType::String, &[b'a', 0xff], Err(ValueError::Utf8 { at: 1 })),
        (DataType::DateTimeSeconds, &[0, 0, 0, 1], Ok(Value::Seconds(1))),
        (DataType::DateTimeNanoseconds, &[0; 8], Ok(Value::Nanoseconds(Ntp(0)))),
        (
            DataType::Ipv6Address,
            &[0; 4],
            Err(ValueError::Length { data_type: DataType::Ipv6Address, length: 4 }),
        ),
        (DataType::BasicList, &[4, 0, 1, 0, 0, 9], Err(ValueError::List { at: 5 })),
    ];
    for (data_type, octets, expected) in cases {
        assert_eq!(Value::decode(data_type, octets), expected);
    }
}

fn kinds(sets: &[u8]) -> Vec<Anomaly> {
    let mut message = vec![0; MessageHeader::LENGTH];
    message.extend_from_slice(sets);
    read(&message).anomalies
}

#[test]
fn faults_have_their_place() {
    let cases: [(&[u8], usize, Kind); 8] = [
        (&[0, 2, 0], 16, Kind::TrailingOctets { length: 3 }),
        (&[1, 0, 0, 2], 16, Kind::SetLength { id: 256, stated: 2, remaining: 4 }),
        (&[1, 0, 0, 9, 1], 16, Kind::SetLength { id: 256, stated: 9, remaining: 5 }),
        (
            &[0, 2, 0, 12, 1, 0, 0, 2, 0, 1, 0, 4],
            20,
            Kind::TemplateTruncated { id: 256, fields: 2 },
        ),
        (&[0, 2, 0, 12, 0, 255, 0, 1, 0, 1, 0, 4], 20, Kind::TemplateId { id: 255 }),
        (&[0, 2, 0, 12, 1, 0, 0, 1, 0, 1, 0, 0], 20, Kind::TemplateEmpty { id: 256 }),
        (
            &[0, 3, 0, 14, 1, 0, 0, 1, 0, 0, 0, 1, 0, 4],
            20,
            Kind::ScopeCount { id: 256, scopes: 0, fields: 1 },
        ),
        (
            &[0, 2, 0, 12, 1, 0, 0, 1, 0, 82, 255, 255, 1, 0, 0, 7, 5, 1, 2],
            32,
            Kind::VariableLength { id: 256, field: 0, stated: 5, remaining: 2 },
        ),
    ];
    for (octets, offset, kind) in cases {
        assert_eq!(kinds(octets), [Anomaly { offset, kind }], "{octets:?}");
    }
    assert_eq!(kinds(&[0, 2, 0, 15, 1, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0]), [], "padding");
}

#[test]
fn withdrawals() {
    let mut builder = MessageBuilder::new(512);
    builder.begin(0, 0);
    builder.withdraw(256, false).unwrap();
    builder.withdraw(3, true).unwrap();
    let content = read(builder.finish(0));
    assert_eq!(content.anomalies, []);
    assert_eq!(
        content.templates,
        [TemplateRecord::Withdrawal { id: 256 }, TemplateRecord::Withdrawal { id: 3 }]
    );
}

#[test]
fn a_record_that_can_never_fit_is_told_apart_from_a_full_message() {
    let mut builder = MessageBuilder::new(512);
    builder.begin(0, 0);
    assert_eq!(builder.record(256, |out| out.octets(&[0; 493])), Err(Refused::TooLong));
    assert!(builder.record(256, |out| out.octets(&[0; 492])).is_ok());
    assert_eq!(builder.record(256, |out| out.u8(0)), Err(Refused::Full));
    assert_eq!(builder.reserve(257, 1).map(|_| ()), Err(Refused::Full));
    assert_eq!((builder.records(), builder.finish(0).len()), (1, 512));
}

#[test]
fn an_empty_message_has_no_set() {
    let mut builder = MessageBuilder::new(512);
    builder.begin(3, 4);
    assert!(builder.is_empty());
    let message = builder.finish(5);
    let header = MessageHeader { length: 16, export_time: 5, sequence: 4, domain: 3 };
    assert_eq!(MessageHeader::decode(message), Ok(header));
}
