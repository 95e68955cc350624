//! A template compiled for checking, and a record seen through it.
//!
//! Comes in: a template's field specifiers, once; then records as octets with the place of each field.
//! Goes out: values of named elements by one table look-up ([`Slot`]), times as nanoseconds.
//!
//! Must stay true: nothing here allocates for a record, and nothing reads outside the record's octets.

use super::finding::{Dump, Example, Place};
use crate::collect::{Position, Protocol as Transport, Version};
use ie_registry::{DataType, Element, REVERSE_PEN, VARIABLE_LENGTH};
use std::net::Ipv6Addr;

/// Name of a message version.
#[must_use]
pub const fn version_name(version: Version) -> &'static str {
    match version {
        Version::Netflow5 => "NetFlow v5",
        Version::Netflow9 => "NetFlow v9",
        Version::Ipfix => "IPFIX",
        Version::Unknown => "unknown",
    }
}

/// Name of a transport.
#[must_use]
pub const fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::File => "file",
    }
}

/// A message's header and octets.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it speaks.
    pub version: Version,
    /// How it came.
    pub transport: Transport,
    /// All octets, header included.
    pub octets: &'a [u8],
    /// Where the message stands in the input.
    pub position: Position,
    /// Number in the session, from 1.
    pub number: u64,
    /// Export time in seconds since 1970 (for NetFlow, `unix_secs`).
    pub export_time: u32,
    /// Sequence number.
    pub sequence: u32,
    /// Observation Domain ID (NetFlow v9: source id).
    pub domain: u32,
    /// `sysUpTime` in milliseconds (NetFlow).
    pub uptime: Option<u32>,
    /// When it was captured or received, in nanoseconds since 1970.
    pub received: Option<i64>,
}

/// A field specifier.
pub use crate::ipfix::FieldSpecifier as Field;

/// What the registry knows of a field's element.
#[must_use]
pub fn element(field: &Field) -> Option<&'static Element> {
    field.element(ie_registry::SIXTAP_DEFAULT_PEN)
}

/// The element's name; `PEN/ID` where it has none.
#[must_use]
pub fn field_name(field: &Field) -> String {
    match element(field) {
        Some(element) => element.name.to_owned(),
        None if field.enterprise == 0 => format!("element {}", field.id),
        None => format!("{}/{}", field.enterprise, field.id),
    }
}

/// The name with the number behind it: `icmpTypeCodeIPv4 (32)`.
#[must_use]
pub fn field_label(field: &Field) -> String {
    match field.enterprise {
        _ if element(field).is_none() => field_name(field),
        0 => format!("{} ({})", field_name(field), field.id),
        pen => format!("{} ({pen}/{})", field_name(field), field.id),
    }
}

/// Where a field lies in a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset from the record's first octet.
    pub start: u32,
    /// Octets.
    pub length: u32,
}

macro_rules! slots {
    ($($name:ident = ($pen:expr, $id:expr),)*) => {
        /// The elements that rules look at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "named like the elements")]
        pub enum Slot { $($name,)* }

        impl Slot {
            /// Enterprise number and id of each slot's element.
            pub const ELEMENTS: &[(u32, u16)] = &[$(($pen, $id),)*];
            /// All slots in order.
            pub const ALL: &[Slot] = &[$(Slot::$name,)*];
        }
    };
}

slots! {
    OctetDelta = (0, 1), PacketDelta = (0, 2), Protocol = (0, 4), Class = (0, 5), TcpFlags = (0, 6),
    SourcePort = (0, 7), SourceV4 = (0, 8), IngressInterface = (0, 10), DestinationPort = (0, 11),
    DestinationV4 = (0, 12), EgressInterface = (0, 14), EndUptime = (0, 21), StartUptime = (0, 22),
    PostOctetDelta = (0, 23), PostPacketDelta = (0, 24), MinimumLength = (0, 25), MaximumLength = (0, 26),
    SourceV6 = (0, 27), DestinationV6 = (0, 28), SourcePrefixV6 = (0, 29), DestinationPrefixV6 = (0, 30),
    FlowLabel = (0, 31), IcmpV4 = (0, 32), SamplingInterval = (0, 34), SamplingAlgorithm = (0, 35),
    ActiveTimeout = (0, 36), IdleTimeout = (0, 37), ExportedOctets = (0, 40), ExportedMessages = (0, 41),
    ExportedRecords = (0, 42), SamplerId = (0, 48), SamplerRandom = (0, 50), MinimumTtl = (0, 52),
    MaximumTtl = (0, 53), FragmentId = (0, 54), SourceMac = (0, 56), PostDestinationMac = (0, 57),
    Vlan = (0, 58), PostVlan = (0, 59), IpVersion = (0, 60), Direction = (0, 61), NextHopV6 = (0, 62),
    ExtensionHeaders = (0, 64), DestinationMac = (0, 80), OctetTotal = (0, 85), PacketTotal = (0, 86),
    FragmentOffset = (0, 88), ApplicationId = (0, 95), EndReason = (0, 136), IcmpV6 = (0, 139),
    TemplateId = (0, 145), FlowId = (0, 148), ObservationDomain = (0, 149),
    StartSeconds = (0, 150), EndSeconds = (0, 151), StartMillis = (0, 152), EndMillis = (0, 153),
    StartMicros = (0, 154), EndMicros = (0, 155), StartNanos = (0, 156), EndNanos = (0, 157),
    StartDelta = (0, 158), EndDelta = (0, 159), SystemInit = (0, 160), DurationMillis = (0, 161),
    DurationMicros = (0, 162), IgnoredPackets = (0, 164), NotSentFlows = (0, 166), NotSentPackets = (0, 167),
    FlowKeyIndicator = (0, 173), IcmpTypeV4 = (0, 176), IcmpCodeV4 = (0, 177), IcmpTypeV6 = (0, 178),
    IcmpCodeV6 = (0, 179), UdpSourcePort = (0, 180), UdpDestinationPort = (0, 181), TcpSourcePort = (0, 182),
    TcpDestinationPort = (0, 183), HeaderLength = (0, 189), TotalLengthV4 = (0, 190),
    PayloadLengthV6 = (0, 191), Ttl = (0, 192), NextHeader = (0, 193), Dscp = (0, 195), Precedence = (0, 196), DestinationPrefixAddressV6 = (0, 169),
    SourcePrefixAddressV6 = (0, 170),
    FragmentFlags = (0, 197), IsMulticast = (0, 206), HeaderWords = (0, 207), Padding = (0, 210),
    NatEvent = (0, 230), FirewallEvent = (0, 233), InitiatorOctets = (0, 231), ResponderOctets = (0, 232), BiflowDirection = (0, 239), Dot1qVlan = (0, 243),
    CustomerVlan = (0, 245), PostDot1qVlan = (0, 254), EtherType = (0, 256), CollectionTime = (0, 258),
    InitiatorPackets = (0, 298), ResponderPackets = (0, 299), SelectorId = (0, 302), InformationElement = (0, 303),
    SelectorAlgorithm = (0, 304), PacketInterval = (0, 305), PacketSpace = (0, 306), SamplingSize = (0, 309),
    SamplingPopulation = (0, 310), SamplingProbability = (0, 311), ElementType = (0, 339),
    ElementName = (0, 341), EnterpriseNumber = (0, 346), LayerTwoOctetDelta = (0, 352),
    HeadersFull = (0, 515), HeaderTypeCounts = (0, 516), HeadersLimit = (0, 517), ChainLength = (0, 518),
    ReverseOctetDelta = (REVERSE_PEN, 1), ReversePacketDelta = (REVERSE_PEN, 2), ReverseTcpFlags = (REVERSE_PEN, 6),
}

/// Field index of an absent slot.
const ABSENT: u16 = u16::MAX;

/// Address families a template's keys speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4 source or destination.
    pub v4: bool,
    /// IPv6 source or destination.
    pub v6: bool,
}

/// A template compiled for checking.
#[derive(Clone, Debug)]
pub struct View {
    /// What its messages speak.
    pub version: Version,
    /// Template ID.
    pub template: u16,
    /// Field specifiers, scopes first.
    pub fields: Vec<Field>,
    /// How many of them are scopes; 0 in a Template, at least 1 in an Options Template.
    pub scopes: usize,
    /// Whether it is an Options Template.
    pub options: bool,
    /// Address families.
    pub families: Families,
    slots: Vec<u16>,
    /// Fields by what must be checked of their value.
    pub typed: Typed,
}

/// Indexes of fields with a check of their own type.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// Booleans.
    pub booleans: Vec<u16>,
    /// Strings.
    pub strings: Vec<u16>,
    /// Fields whose registered range is narrower than their type, with the range.
    pub ranges: Vec<(u16, u64, u64)>,
    /// paddingOctets.
    pub paddings: Vec<u16>,
    /// Counters in fewer octets than their type has.
    pub reduced_counters: Vec<u16>,
    /// NTP timestamps of microsecond elements.
    pub micros: Vec<u16>,
    /// NTP timestamps.
    pub ntp: Vec<u16>,
    /// Timestamps in seconds and milliseconds.
    pub unix: Vec<u16>,
    /// Lists.
    pub lists: Vec<(u16, DataType)>,
}

impl View {
    /// Compiles a template.
    #[must_use]
    pub fn new(
        version: Version,
        template: u16,
        fields: Vec<Field>,
        scopes: usize,
        options: bool,
    ) -> Self {
        let mut slots = vec![ABSENT; Slot::ALL.len()];
        for (index, field) in fields.iter().enumerate() {
            let scope_of_v9 = version == Version::Netflow9 && index < scopes;
            let slot = Slot::ELEMENTS.iter().position(|&e| e == (field.enterprise, field.id));
            if let Some(entry) = slot.and_then(|slot| slots.get_mut(slot))
                && *entry == ABSENT
                && !scope_of_v9
            {
                *entry = index as u16;
            }
        }
        let skipped = if version == Version::Netflow9 { scopes } else { 0 };
        let mut view = Self {
            version,
            template,
            typed: Typed::default(),
            fields,
            scopes,
            options,
            families: Families::default(),
            slots,
        };
        view.families = Families {
            v4: view.has(Slot::SourceV4) || view.has(Slot::DestinationV4),
            v6: view.has(Slot::SourceV6) || view.has(Slot::DestinationV6),
        };
        view.typed = Typed::of(&view.fields, skipped);
        view
    }

    /// Whether the template has the element.
    #[inline]
    #[must_use]
    pub fn has(&self, slot: Slot) -> bool {
        self.field(slot).is_some()
    }

    /// Whether the template has one of the elements.
    #[must_use]
    pub fn has_any(&self, slots: &[Slot]) -> bool {
        slots.iter().any(|&slot| self.has(slot))
    }

    /// Whether the template has all of the elements.
    #[must_use]
    pub fn has_all(&self, slots: &[Slot]) -> bool {
        slots.iter().all(|&slot| self.has(slot))
    }

    /// Index of the first field with the element.
    #[inline]
    #[must_use]
    pub fn field(&self, slot: Slot) -> Option<usize> {
        self.slots
            .get(slot as usize)
            .filter(|&&index| index != ABSENT)
            .map(|&index| usize::from(index))
    }

    /// Length in the template of the element's field.
    #[must_use]
    pub fn length(&self, slot: Slot) -> Option<u16> {
        self.field(slot).and_then(|index| self.fields.get(index)).map(|field| field.length)
    }

    /// Whether its records are flows: not options, and with a flow counter or an address.
    #[must_use]
    pub fn is_flow(&self) -> bool {
        use Slot::{OctetDelta, OctetTotal, PacketDelta, PacketTotal};
        !self.options
            && (self.families.v4
                || self.families.v6
                || self.has_any(&[OctetDelta, PacketDelta, OctetTotal, PacketTotal]))
    }

    /// Octets of the shortest record.
    #[must_use]
    pub fn minimum_length(&self) -> usize {
        let length =
            |f: &Field| if f.length == VARIABLE_LENGTH { 1 } else { usize::from(f.length) };
        self.fields.iter().map(length).sum()
    }

    /// Name and number of the field at `index`.
    #[must_use]
    pub fn label(&self, index: usize) -> String {
        self.fields.get(index).map_or_else(|| format!("field {index}"), field_label)
    }
}

impl Typed {
    fn of(fields: &[Field], skipped: usize) -> Self {
        let mut typed = Self::default();
        for (index, field) in fields.iter().enumerate().skip(skipped) {
            let Some(element) = element(field) else { continue };
            let at = index as u16;
            match element.data_type {
                DataType::Boolean => typed.booleans.push(at),
                DataType::String => typed.strings.push(at),
                DataType::DateTimeMicroseconds => {
                    typed.micros.push(at);
                    typed.ntp.push(at);
                }
                DataType::DateTimeNanoseconds => typed.ntp.push(at),
                DataType::DateTimeSeconds | DataType::DateTimeMilliseconds => typed.unix.push(at),
                kind @ (DataType::BasicList
                | DataType::SubTemplateList
                | DataType::SubTemplateMultiList) => typed.lists.push((at, kind)),
                _ => {}
            }
            if let Some((low, high)) = element.range {
                typed.ranges.push((at, low, high));
            }
            if element.id == 210 && element.enterprise == 0 {
                typed.paddings.push(at);
            }
            let counter = matches!(
                element.semantics,
                ie_registry::Semantics::DeltaCounter | ie_registry::Semantics::TotalCounter
            );
            if counter && field.length < element.default_length {
                typed.reduced_counters.push(at);
            }
        }
        typed
    }
}

/// A data record seen through its template.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The compiled template.
    pub view: &'a View,
    /// The message it came in.
    pub message: &'a Message<'a>,
    /// Its octets.
    pub octets: &'a [u8],
    /// Offset in the message of its first octet.
    pub start: u32,
    /// Place of each field, in the template's order.
    pub spans: &'a [Span],
    /// Number of its Set in the message, from 1.
    pub set: u32,
    /// Its number in the Set, from 1.
    pub number: u32,
    /// systemInitTimeMilliseconds of the session, when an option told it.
    pub system_init: Option<u64>,
    /// Start and end of the flow, once [`Self::with_times`] has read them: many rules look at them.
    pub times: (Option<i64>, Option<i64>),
}

impl<'a> Record<'a> {
    /// With the times of the flow read.
    #[inline]
    #[must_use]
    pub fn with_times(mut self) -> Self {
        self.times = (self.read_start(), self.read_end());
        self
    }

    /// Start of the flow in nanoseconds since 1970.
    #[inline]
    #[must_use]
    pub const fn flow_start(&self) -> Option<i64> {
        self.times.0
    }

    /// End of the flow in nanoseconds since 1970.
    #[inline]
    #[must_use]
    pub const fn flow_end(&self) -> Option<i64> {
        self.times.1
    }

    /// Octets of the field at `index`.
    #[inline]
    #[must_use]
    pub fn field(&self, index: usize) -> &'a [u8] {
        let Some(span) = self.spans.get(index) else { return &[] };
        self.octets
            .get(span.start as usize..(span.start + span.length) as usize)
            .unwrap_or_default()
    }

    /// Octets of the element.
    #[inline]
    #[must_use]
    pub fn octets_of(&self, slot: Slot) -> Option<&'a [u8]> {
        self.view.field(slot).map(|index| self.field(index))
    }

    /// The element as an unsigned number; `None` if absent, empty or longer than 8 octets.
    #[inline]
    #[must_use]
    pub fn unsigned(&self, slot: Slot) -> Option<u64> {
        self.octets_of(slot).and_then(unsigned)
    }

    /// The first of these elements that the template has.
    #[must_use]
    pub fn first_of(&self, slots: &[Slot]) -> Option<(Slot, u64)> {
        slots.iter().find_map(|&slot| Some((slot, self.unsigned(slot)?)))
    }

    /// The element as an IPv6 address.
    #[must_use]
    pub fn ipv6(&self, slot: Slot) -> Option<Ipv6Addr> {
        let octets: [u8; 16] = self.octets_of(slot)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets))
    }

    /// Whether the record is about IPv6: by ipVersion, else by a non-zero IPv6 address, else by its template.
    #[inline]
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        let families = self.view.families;
        if families.v6 && !families.v4 {
            return true;
        }
        if let Some(version) = self.unsigned(Slot::IpVersion) {
            return version == 6;
        }
        let set = |slot| self.octets_of(slot).is_some_and(|octets| octets.iter().any(|&o| o != 0));
        families.v6 && (set(Slot::SourceV6) || set(Slot::DestinationV6))
    }

    /// Octets counted: delta, else total.
    #[inline]
    #[must_use]
    pub fn octet_count(&self) -> Option<u64> {
        self.unsigned(Slot::OctetDelta).or_else(|| self.unsigned(Slot::OctetTotal))
    }

    /// Packets counted: delta, else total.
    #[inline]
    #[must_use]
    pub fn packet_count(&self) -> Option<u64> {
        self.unsigned(Slot::PacketDelta).or_else(|| self.unsigned(Slot::PacketTotal))
    }

    /// Source and destination port, where the template has either.
    #[inline]
    #[must_use]
    pub fn ports(&self) -> Option<(u64, u64)> {
        let source = self.unsigned(Slot::SourcePort);
        let destination = self.unsigned(Slot::DestinationPort);
        if source.is_none() && destination.is_none() {
            return None;
        }
        Some((source.unwrap_or(0), destination.unwrap_or(0)))
    }

    fn read_start(&self) -> Option<i64> {
        self.time(
            [Slot::StartMillis, Slot::StartMicros, Slot::StartNanos, Slot::StartSeconds],
            Slot::StartDelta,
        )
        .or_else(|| self.uptime(Slot::StartUptime))
    }

    fn read_end(&self) -> Option<i64> {
        self.time(
            [Slot::EndMillis, Slot::EndMicros, Slot::EndNanos, Slot::EndSeconds],
            Slot::EndDelta,
        )
        .or_else(|| self.uptime(Slot::EndUptime))
    }

    fn time(&self, [millis, micros, nanos, seconds]: [Slot; 4], delta: Slot) -> Option<i64> {
        if let Some(value) = self.unsigned(millis) {
            return Some(i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(1_000_000));
        }
        if let Some(value) = self.unsigned(micros).or_else(|| self.unsigned(nanos)) {
            return Some(ntp_nanoseconds(value));
        }
        if let Some(value) = self.unsigned(seconds) {
            return Some(i64::try_from(value).unwrap_or(i64::MAX).saturating_mul(1_000_000_000));
        }
        let back = i64::try_from(self.unsigned(delta)?).unwrap_or(i64::MAX);
        Some(i64::from(self.message.export_time) * 1_000_000_000 - back.saturating_mul(1000))
    }

    /// NetFlow: relative to the header's uptime. IPFIX: to systemInitTimeMilliseconds.
    fn uptime(&self, slot: Slot) -> Option<i64> {
        let value = self.unsigned(slot)?;
        if let Some(uptime) = self.message.uptime {
            let back = i64::from(uptime.wrapping_sub(value as u32).cast_signed());
            return Some((i64::from(self.message.export_time) * 1000 - back) * 1_000_000);
        }
        let init = self.unsigned(Slot::SystemInit).or(self.system_init)?;
        Some(
            i64::try_from(init.saturating_add(value)).unwrap_or(i64::MAX).saturating_mul(1_000_000),
        )
    }

    /// The place of the field at `index`.
    #[must_use]
    pub fn place(&self, index: Option<usize>) -> Place {
        let span = index.and_then(|index| self.spans.get(index));
        let span = span.copied().unwrap_or(Span { start: 0, length: self.octets.len() as u32 });
        Place {
            message: self.message.number,
            position: self.message.position,
            set: Some(self.set),
            record: Some(self.number),
            octet: Some(self.start + span.start),
            length: span.length,
        }
    }

    /// Evidence with the field's octets marked.
    #[must_use]
    pub fn example(&self, index: Option<usize>, saw: String, wanted: String) -> Example {
        let place = self.place(index);
        let dump = Dump::around(self.message.octets, place.octet.unwrap_or(0), place.length);
        Example { place, saw, wanted, dump: Some(dump) }
    }

    /// Name and value of the element, for people.
    #[must_use]
    pub fn show(&self, slot: Slot) -> String {
        self.view.field(slot).map_or_else(String::new, |index| self.show_field(index))
    }

    /// Name and value of the field at `index`.
    #[must_use]
    pub fn show_field(&self, index: usize) -> String {
        let Some(field) = self.view.fields.get(index) else { return String::new() };
        format!("{} = {}", field_name(field), show_value(field, self.field(index)))
    }
}

/// Octets as an unsigned number in network byte order.
#[inline]
#[must_use]
pub fn unsigned(octets: &[u8]) -> Option<u64> {
    match *octets {
        [a] => Some(u64::from(a)),
        [a, b] => Some(u64::from(u16::from_be_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_be_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        [] => None,
        _ if octets.len() < 8 => {
            Some(octets.iter().fold(0, |value, &octet| value << 8 | u64::from(octet)))
        }
        _ => None,
    }
}

/// Seconds from 1900 to 1970.
pub const NTP_TO_UNIX: u64 = 2_208_988_800;

/// An NTP timestamp (RFC 7011 section 6.1.9) as nanoseconds since 1970. Seconds that would lie before 1970 are of
/// the era that begins in 2036.
#[inline]
#[must_use]
pub fn ntp_nanoseconds(value: u64) -> i64 {
    let mut seconds = value >> 32;
    if seconds < NTP_TO_UNIX {
        seconds += 1 << 32;
    }
    let nanoseconds = ((value & 0xffff_ffff) * 1_000_000_000) >> 32;
    ((seconds - NTP_TO_UNIX) * 1_000_000_000 + nanoseconds).cast_signed()
}

/// A value for people: numbers in decimal, addresses as such, text in quotes, the rest in hexadecimal.
#[must_use]
pub fn show_value(field: &Field, octets: &[u8]) -> String {
    let data_type = element(field).map(|element| element.data_type);
    match (data_type, octets) {
        (Some(DataType::Ipv4Address), &[a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
        (Some(DataType::Ipv6Address), _) if octets.len() == 16 => {
            let octets: [u8; 16] = octets.try_into().unwrap_or_default();
            Ipv6Addr::from(octets).to_string()
        }
        (Some(DataType::MacAddress), &[a, b, c, d, e, f]) => {
            format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
        }
        (Some(DataType::String), _) => format!("{:?}", String::from_utf8_lossy(octets)),
        (Some(DataType::OctetArray) | None, _) => hexadecimal(octets),
        _ => match unsigned(octets) {
            Some(value) => value.to_string(),
            None => hexadecimal(octets),
        },
    }
}

/// `0x` and the octets, at most 32 of them.
#[must_use]
pub fn hexadecimal(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("0x");
    for octet in octets.iter().take(32) {
        let _ = write!(text, "{octet:02x}");
    }
    if octets.len() > 32 {
        text.push('…');
    }
    text
}

/// A time for people: RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn show_time(nanoseconds: i64) -> String {
    let (days, rest) =
        (nanoseconds.div_euclid(86_400_000_000_000), nanoseconds.rem_euclid(86_400_000_000_000));
    // Days to a civil date, by 400-year eras that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (seconds, millis) = (rest / 1_000_000_000, rest / 1_000_000 % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_find_their_fields() {
        let field = |id, length| Field { enterprise: 0, id, length };
        let reverse = Field { enterprise: REVERSE_PEN, id: 1, length: 8 };
        let view =
            View::new(Version::Ipfix, 256, vec![field(27, 16), field(1, 8), reverse], 0, false);
        assert_eq!(view.field(Slot::SourceV6), Some(0));
        assert_eq!(view.field(Slot::OctetDelta), Some(1));
        assert_eq!(view.field(Slot::ReverseOctetDelta), Some(2));
        assert_eq!(view.field(Slot::FlowLabel), None);
        assert_eq!(view.families, Families { v4: false, v6: true });
        assert_eq!(Slot::ALL.len(), Slot::ELEMENTS.len());
    }

    #[test]
    fn times_and_numbers_read_as_people_expect() {
        assert_eq!(show_time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show_time(951_782_400_123_000_000), "2000-02-29T00:00:00.123Z");
        assert_eq!(ntp_nanoseconds(NTP_TO_UNIX << 32 | 1 << 31), 500_000_000);
        assert_eq!(unsigned(&[1, 2, 3]), Some(0x01_02_03));
        assert_eq!(unsigned(&[0; 9]), None);
    }
}
