//! Streams for tests: messages put together by hand, right unless told otherwise.

use super::Report;
use super::finding::Limits as Kept;
use super::stream::Validator;
use crate::collect::{Checksum, Limits, Protocol, Transport};

/// Export Time of the first message.
pub(crate) const EXPORT: u32 = 1_700_000_000;

/// Field of a template: enterprise number, id, length.
pub(crate) type Spec = (u32, u16, u16);

/// A template for IPv6 flows without a fault.
pub(crate) fn v6() -> Vec<Spec> {
    [
        (27, 16),
        (28, 16),
        (7, 2),
        (11, 2),
        (4, 1),
        (5, 1),
        (31, 4),
        (139, 2),
        (6, 1),
        (1, 8),
        (2, 8),
        (152, 8),
        (153, 8),
        (136, 1),
        (192, 1),
    ]
    .map(|(id, length)| (0, id, length))
    .to_vec()
}

/// The same for IPv4.
pub(crate) fn v4() -> Vec<Spec> {
    let mut specs = without(v6(), &[27, 28, 31, 139]);
    specs.extend([(0, 8, 4), (0, 12, 4), (0, 32, 2)]);
    specs
}

pub(crate) fn without(specs: Vec<Spec>, ids: &[u16]) -> Vec<Spec> {
    specs.into_iter().filter(|(_, id, _)| !ids.contains(id)).collect()
}

pub(crate) fn with(mut specs: Vec<Spec>, more: &[(u16, u16)]) -> Vec<Spec> {
    specs.extend(more.iter().map(|&(id, length)| (0, id, length)));
    specs
}

/// What a field holds unless told otherwise: a TCP connection.
fn usual(enterprise: u32, id: u16, export: u32) -> u128 {
    let millis = u128::from(export) * 1000;
    match (enterprise, id) {
        (0, 27 | 170) => 0x2001_0db8_0000_0000_0000_0000_0000_0001,
        (0, 28 | 169) => 0x2001_0db8_0000_0000_0000_0000_0000_0002,
        (0, 8) => 0xc000_0201,
        (0, 12) => 0xc000_0202,
        (0, 7) => 40_000,
        (0, 11) => 443,
        (0, 4) => 6,
        (0, 31) => 0x1_2345,
        (0, 6) => 0x1b,
        (0, 1 | 85) => 1200,
        (0, 2 | 86) => 10,
        (0, 23 | 352) => 1340,
        (0, 24) => 10,
        (0, 150) => u128::from(export) - 10,
        (0, 151) => u128::from(export) - 2,
        (0, 152) => millis - 10_000,
        (0, 153) => millis - 2000,
        (0, 136) => 3,
        (0, 192 | 52 | 53) => 64,
        (0, 60) => 6,
        (0, 189) => 40,
        (0, 256) => 0x86dd,
        (0, 193) => 6,
        (0, 25) => 60,
        (0, 26) => 1400,
        (29305, 1) => 600,
        (29305, 2) => 5,
        (29305, 6) => 0x1b,
        _ => 0,
    }
}

/// A stream under construction.
pub(crate) struct Stream {
    pub(crate) version: u16,
    pub(crate) transport: Protocol,
    pub(crate) domain: u32,
    pub(crate) export: u32,
    pub(crate) port: u16,
    /// Added to the right sequence number.
    pub(crate) skew: u32,
    /// The number to write whatever is right.
    pub(crate) forced: Option<u32>,
    /// NetFlow v9's count, if it is to be wrong.
    pub(crate) count: Option<u16>,
    pub(crate) fragmented: bool,
    pub(crate) checksum: Checksum,
    /// Seconds by which the capture's clock is ahead of Export Time.
    pub(crate) late: i64,
    sequences: std::collections::HashMap<u32, u32>,
    records: u32,
    flowsets: u32,
    body: Vec<u8>,
    specs: std::collections::HashMap<u16, Vec<Spec>>,
    pub(crate) messages: Vec<(Transport, Vec<u8>)>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self {
            version: 10,
            transport: Protocol::Udp,
            domain: 1,
            export: EXPORT,
            port: 40_000,
            skew: 0,
            forced: None,
            count: None,
            fragmented: false,
            checksum: Checksum::Present,
            late: 0,
            sequences: std::collections::HashMap::new(),
            records: 0,
            flowsets: 0,
            body: Vec::new(),
            specs: std::collections::HashMap::new(),
            messages: Vec::new(),
        }
    }

    pub(crate) fn netflow9() -> Self {
        Self { version: 9, ..Self::new() }
    }

    pub(crate) fn over(transport: Protocol) -> Self {
        Self { transport, ..Self::new() }
    }

    /// A Set of any id and contents; `length` is what its header says.
    pub(crate) fn set_of(&mut self, id: u16, length: usize, contents: &[u8]) -> &mut Self {
        self.body.extend(id.to_be_bytes());
        self.body.extend((length as u16).to_be_bytes());
        self.body.extend(contents);
        self
    }

    pub(crate) fn set(&mut self, id: u16, contents: &[u8]) -> &mut Self {
        self.set_of(id, contents.len() + 4, contents)
    }

    /// Octets as they are.
    pub(crate) fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.body.extend(octets);
        self
    }

    fn specifiers(specs: &[Spec]) -> Vec<u8> {
        let mut octets = Vec::new();
        for &(enterprise, id, length) in specs {
            let bit = if enterprise == 0 { 0 } else { 0x8000 };
            octets.extend((id | bit).to_be_bytes());
            octets.extend(length.to_be_bytes());
            if enterprise != 0 {
                octets.extend(enterprise.to_be_bytes());
            }
        }
        octets
    }

    pub(crate) fn template(&mut self, id: u16, specs: &[Spec]) -> &mut Self {
        let mut contents = id.to_be_bytes().to_vec();
        contents.extend((specs.len() as u16).to_be_bytes());
        contents.extend(Self::specifiers(specs));
        self.specs.insert(id, specs.to_vec());
        self.flowsets += 1;
        let set = if self.version == 9 { 0 } else { 2 };
        self.set(set, &contents)
    }

    pub(crate) fn options(&mut self, id: u16, scopes: u16, specs: &[Spec]) -> &mut Self {
        let mut contents = id.to_be_bytes().to_vec();
        contents.extend((specs.len() as u16).to_be_bytes());
        contents.extend(scopes.to_be_bytes());
        contents.extend(Self::specifiers(specs));
        self.specs.insert(id, specs.to_vec());
        self.flowsets += 1;
        self.set(3, &contents)
    }

    /// The octets of a record of template `id`: the usual flow but for these values of IANA's elements.
    pub(crate) fn octets(&self, id: u16, values: &[(u16, u128)]) -> Vec<u8> {
        let mut octets = Vec::new();
        for &(enterprise, element, length) in &self.specs[&id] {
            let given = values.iter().find(|&&(given, _)| given == element && enterprise == 0);
            let value =
                given.map_or_else(|| usual(enterprise, element, self.export), |&(_, value)| value);
            let length = usize::from(length);
            let wide = value.to_be_bytes();
            let cut = wide.len().saturating_sub(length);
            octets.extend(std::iter::repeat_n(0, length.saturating_sub(wide.len())));
            octets.extend(&wide[cut..]);
        }
        octets
    }

    /// One Data Set with a record for each list of values.
    pub(crate) fn records(&mut self, id: u16, rows: &[&[(u16, u128)]]) -> &mut Self {
        let contents: Vec<u8> = rows.iter().flat_map(|values| self.octets(id, values)).collect();
        self.records += rows.len() as u32;
        self.set(id, &contents)
    }

    pub(crate) fn record(&mut self, id: u16, values: &[(u16, u128)]) -> &mut Self {
        self.records(id, &[values])
    }

    /// One Data Set with these octets, which hold `count` records.
    pub(crate) fn data(&mut self, id: u16, octets: &[u8], count: u32) -> &mut Self {
        self.records += count;
        self.set(id, octets)
    }

    /// Ends the message.
    pub(crate) fn send(&mut self) -> &mut Self {
        let length = 16 + self.body.len();
        self.send_as(length)
    }

    /// Ends the message, whose header says `length`.
    pub(crate) fn send_as(&mut self, length: usize) -> &mut Self {
        let sequence = self.sequences.entry(self.domain).or_default();
        let number = self.forced.unwrap_or(sequence.wrapping_add(self.skew));
        let mut octets = self.version.to_be_bytes().to_vec();
        if self.version == 9 {
            let count = self.count.unwrap_or((self.records + self.flowsets) as u16);
            octets.extend(count.to_be_bytes());
            octets.extend(1_000_000u32.to_be_bytes());
            octets.extend(self.export.to_be_bytes());
            *sequence += 1;
        } else {
            octets.extend((length as u16).to_be_bytes());
            octets.extend(self.export.to_be_bytes());
            *sequence += self.records;
        }
        octets.extend(number.to_be_bytes());
        octets.extend(self.domain.to_be_bytes());
        octets.append(&mut self.body);
        self.records = 0;
        self.flowsets = 0;
        let datagram = self.transport == Protocol::Udp;
        let arrival = (i64::from(self.export) + self.late) * 1_000_000_000 + 5_000_000;
        let transport = Transport {
            protocol: self.transport,
            exporter: Some(([192, 0, 2, 1], self.port).into()),
            collector: Some(([192, 0, 2, 9], 4739).into()),
            arrival: (self.transport != Protocol::File).then_some(arrival as u64),
            checksum: if datagram { self.checksum } else { Checksum::Unknown },
            fragmented: self.fragmented,
            ..Transport::file(octets.len(), self.messages.len() as u64)
        };
        self.messages.push((transport, octets));
        self
    }

    /// Seconds pass.
    pub(crate) fn pass(&mut self, seconds: u32) -> &mut Self {
        self.export += seconds;
        self
    }

    pub(crate) fn report(&self) -> Report {
        let mut validator = Validator::new(Limits::default(), Kept::default());
        for (transport, octets) in &self.messages {
            validator.message(transport, octets);
        }
        validator.finish()
    }
}

/// One message with a template and a record.
pub(crate) fn flow(specs: &[Spec], values: &[(u16, u128)]) -> Stream {
    let mut stream = Stream::new();
    stream.template(256, specs).record(256, values).send();
    stream
}

/// A template, then `count` records whose values are told by their number; twenty to a message.
pub(crate) fn flows(
    specs: &[Spec],
    count: u32,
    values: impl Fn(u32) -> Vec<(u16, u128)>,
) -> Stream {
    let mut stream = Stream::new();
    stream.template(256, specs).send();
    for first in (0..count).step_by(20) {
        let rows: Vec<_> = (first..count.min(first + 20)).map(&values).collect();
        let rows: Vec<&[(u16, u128)]> = rows.iter().map(Vec::as_slice).collect();
        stream.records(256, &rows).send();
    }
    stream
}
