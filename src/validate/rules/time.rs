//! Rules about timestamps, durations and why flows ended.

use super::Check::{Record, Session, Tally};
use super::{Rule, SessionFault, value};
use crate::collect::Version;
use crate::validate::finding::Severity::{Error, Note, Warning};
use crate::validate::finding::Subject;
use crate::validate::view::{self, Slot, View};

type Seen<'a> = view::Record<'a>;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 2³² milliseconds: where a 32-bit uptime wraps.
const WRAP: i64 = (1 << 32) * 1_000_000;
/// 1 January 1990: flow export did not exist before.
const OLDEST: i64 = 631_152_000 * SECOND;
/// Seconds from 1900 to 1970.
const NTP_EPOCH: i64 = 2_208_988_800;

const STARTS: &[Slot] = &[
    Slot::StartMillis,
    Slot::StartMicros,
    Slot::StartNanos,
    Slot::StartSeconds,
    Slot::StartDelta,
    Slot::StartUptime,
];
const ENDS: &[Slot] = &[
    Slot::EndMillis,
    Slot::EndMicros,
    Slot::EndNanos,
    Slot::EndSeconds,
    Slot::EndDelta,
    Slot::EndUptime,
];

fn timed(view: &View) -> bool {
    view.is_flow() && view.has_any(STARTS) && view.has_any(ENDS)
}

fn ended(view: &View) -> bool {
    view.is_flow() && view.has_any(ENDS)
}

fn field_of(record: &Seen<'_>, slots: &[Slot]) -> Option<usize> {
    slots.iter().find_map(|&slot| record.view.field(slot))
}

fn exported(record: &Seen<'_>) -> i64 {
    i64::from(record.message.export_time) * SECOND
}

/// Whether the time is one a clock could have shown about when the message was sent.
fn plausible(record: &Seen<'_>, time: i64) -> bool {
    time >= OLDEST && time < exported(record) + 3650 * DAY && exported(record) >= OLDEST
}

/// Whether the time is off by a wrap of a 32-bit uptime, within two days.
fn wrapped(record: &Seen<'_>, time: i64) -> bool {
    (exported(record).saturating_sub(time).saturating_abs() - WRAP).abs() < 2 * DAY
}

fn times(record: &Seen<'_>, _: usize) -> String {
    let show = |time: Option<i64>| time.map_or_else(|| "none".to_owned(), view::show_time);
    let (start, end) = (show(record.flow_start()), show(record.flow_end()));
    format!("start {start}, end {end}, exported {}", view::show_time(exported(record)))
}

/// D8.
pub static UPTIME_WITHOUT_INIT: Rule = Rule {
    id: "TIME-UPTIME-WITHOUT-INIT",
    severity: Error,
    source: "IANA elements 21, 22 and 160; RFC 5153 section 4.7",
    title: "times relative to a start-up time that is not told",
    wanted: "flowStartMilliseconds (152) and flowEndMilliseconds (153), or systemInitTimeMilliseconds (160)",
    meaning: "when a flow was cannot be worked out: an IPFIX header carries no uptime",
    check: Session(|facts| {
        if facts.system_init.is_some() {
            return Vec::new();
        }
        let relative = facts.templates.values().filter(|template| {
            let view = &template.view;
            view.version == Version::Ipfix
                && view.has(Slot::EndUptime)
                && !view.has_any(&[
                    Slot::SystemInit,
                    Slot::EndMillis,
                    Slot::EndSeconds,
                    Slot::EndMicros,
                    Slot::EndNanos,
                ])
                && template.records > 0
        });
        let fault = relative.map(|template| SessionFault {
            subject: Subject::Template(template.view.template),
            count: template.records,
            example: template
                .example("flowEndSysUpTime (21), no systemInitTimeMilliseconds (160) anywhere"),
        });
        fault.collect()
    }),
};

/// D12.
pub static END_BEFORE_START: Rule = Rule {
    id: "TIME-END-BEFORE-START",
    severity: Error,
    source: "RFC 7012 section 5; IANA elements 150 to 157",
    title: "a flow ends before it starts",
    wanted: "start ≤ end",
    meaning: "durations are negative, or huge where they are unsigned",
    check: Record {
        applies: timed,
        broken: |record| {
            let (start, end) = (record.flow_start()?, record.flow_end()?);
            (end < start).then(|| field_of(record, ENDS)).flatten()
        },
        saw: times,
    },
};

/// D12.
pub static AFTER_EXPORT: Rule = Rule {
    id: "TIME-AFTER-EXPORT",
    severity: Error,
    source: "RFC 7011 section 3.1; IANA elements 150 to 157",
    title: "a flow is later than the message that reports it",
    wanted: "an end no later than the message's Export Time (2 s are allowed)",
    meaning: "clocks disagree inside the exporter: flows land in the wrong interval",
    check: Record {
        applies: ended,
        broken: |record| {
            let end = record.flow_end()?;
            let late = end > exported(record) + 2 * SECOND;
            let other = !plausible(record, end) || wrapped(record, end);
            (late && !other).then(|| field_of(record, ENDS)).flatten()
        },
        saw: times,
    },
};

/// D9.
pub static UPTIME_WRAP: Rule = Rule {
    id: "TIME-UPTIME-WRAP",
    severity: Error,
    source: "IANA elements 21 and 22; RFC 3954 section 5.1",
    title: "times are off by 49.7 days",
    wanted: "times that allow for the wrap of a 32-bit count of milliseconds",
    meaning: "flows are dated seven weeks away",
    check: Record {
        applies: ended,
        broken: |record| {
            let end = record.flow_end()?;
            wrapped(record, end).then(|| field_of(record, ENDS)).flatten()
        },
        saw: times,
    },
};

/// D10.
pub static EPOCH: Rule = Rule {
    id: "TIME-EPOCH",
    severity: Error,
    source: "RFC 7011 sections 6.1.7 to 6.1.10",
    title: "a time counted from the wrong epoch, in the wrong unit or in the wrong byte order",
    wanted: "seconds or milliseconds since 1970, or an NTP timestamp since 1900, in network byte order",
    meaning: "flows are dated 1970, or decades ahead",
    check: Record {
        applies: |view| view.is_flow() && view.has_any(&ENDS[..4]),
        broken: |record| {
            strange(record).filter(|strange| strange.read_as.is_some()).map(|s| s.index)
        },
        saw: |record, index| {
            let read_as = strange(record).and_then(|strange| strange.read_as).unwrap_or_default();
            format!("{}, right {read_as}: {}", record.show_field(index), times(record, index))
        },
    },
};

/// Times about 1970, which no wrong unit explains.
pub static NEAR_1970: Rule = Rule {
    id: "TIME-1970",
    severity: Note,
    source: "RFC 7011 sections 6.1.7 to 6.1.10",
    title: "times about the beginning of 1970",
    wanted: "the time of the packets",
    meaning: "the exporter has no clock, leaves times out, or metered a capture without one",
    check: Record {
        applies: |view| view.is_flow() && view.has_any(&ENDS[..4]),
        broken: |record| {
            strange(record).filter(|s| s.time < OLDEST && s.read_as.is_none()).map(|s| s.index)
        },
        saw: |record, index| format!("{}: {}", record.show_field(index), times(record, index)),
    },
};

/// Times decades ahead, which no wrong unit explains.
pub static FUTURE: Rule = Rule {
    id: "TIME-FUTURE",
    severity: Note,
    source: "RFC 7011 section 3.1; IANA elements 150 to 157",
    title: "times more than ten years after the export",
    wanted: "the time of the packets",
    meaning: "the clock that stamps packets is set wrong, or a capture with such a clock was metered",
    check: Record {
        applies: |view| view.is_flow() && view.has_any(&ENDS[..4]),
        broken: |record| {
            strange(record).filter(|s| s.time >= OLDEST && s.read_as.is_none()).map(|s| s.index)
        },
        saw: |record, index| format!("{}: {}", record.show_field(index), times(record, index)),
    },
};

/// A time that no clock could have shown about when the message was sent.
struct Strange {
    /// Index of the field.
    index: usize,
    /// As exported, nanoseconds since 1970.
    time: i64,
    /// The reading under which it is a time shortly before the export.
    read_as: Option<&'static str>,
}

/// The first such time of a record.
///
/// A reading explains it only if it lands within a month of the export: a capture whose clock was wrong, faithfully
/// metered, lands anywhere else.
fn strange(record: &Seen<'_>) -> Option<Strange> {
    if exported(record) < OLDEST {
        return None;
    }
    let mut both =
        [(record.flow_start(), &STARTS[..4]), (record.flow_end(), &ENDS[..4])].into_iter();
    both.find_map(|(time, slots)| {
        let time = time.filter(|&time| !plausible(record, time))?;
        let index = field_of(record, slots)?;
        Some(Strange { index, time, read_as: reading(record, index) })
    })
}

/// How the field must be read to be a time shortly before the export.
fn reading(record: &Seen<'_>, index: usize) -> Option<&'static str> {
    let octets = record.field(index);
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let value = signed(view::unsigned(octets)?);
    let turned: Vec<u8> = octets.iter().rev().copied().collect();
    let turned = signed(view::unsigned(&turned)?);
    let words = octets.split_at(octets.len() / 2);
    let exchanged = signed(view::unsigned(&[words.1, words.0].concat())?);
    let readings = [
        ("as seconds since 1970", value.saturating_mul(SECOND)),
        ("as milliseconds since 1970", value.saturating_mul(1_000_000)),
        ("as microseconds since 1970", value.saturating_mul(1000)),
        ("as nanoseconds since 1970", value),
        ("as an NTP timestamp counted from 1970", (value >> 32).saturating_mul(SECOND)),
        ("as an NTP timestamp", (value >> 32).saturating_sub(NTP_EPOCH).saturating_mul(SECOND)),
        ("as seconds since 1900", value.saturating_sub(NTP_EPOCH).saturating_mul(SECOND)),
        (
            "as milliseconds since 1900",
            value.saturating_sub(NTP_EPOCH * 1000).saturating_mul(1_000_000),
        ),
        ("as seconds in little-endian order", turned.saturating_mul(SECOND)),
        ("as milliseconds in little-endian order", turned.saturating_mul(1_000_000)),
        ("as milliseconds with the halves exchanged", exchanged.saturating_mul(1_000_000)),
    ];
    let near =
        |time: i64| (exported(record) - 31 * DAY..exported(record) + 2 * DAY).contains(&time);
    readings.into_iter().find(|&(_, time)| near(time)).map(|(name, _)| name)
}

/// D11.
pub static NTP_FRACTION: Rule = Rule {
    id: "TIME-NTP-FRACTION",
    severity: Error,
    source: "RFC 7011 section 6.1.10",
    title: "a count of nanoseconds in place of an NTP fraction",
    wanted: "the fraction in units of 2⁻³² s",
    meaning: "times within the second are short by a factor of 4.29",
    check: Tally {
        applies: |view| view.is_flow() && !view.typed.ntp.is_empty(),
        observe: |record, tally| {
            for &index in &record.view.typed.ntp {
                let fraction =
                    view::unsigned(record.field(usize::from(index))).unwrap_or(0) & 0xffff_ffff;
                if fraction != 0 {
                    tally.n[0] += 1;
                    tally.n[1] += u64::from(fraction >= 1_000_000_000);
                }
            }
            tally.keep(record, Slot::StartNanos);
        },
        judge: |tally, _| {
            (tally.n[0] > 100 && tally.n[1] == 0).then(|| {
                format!(
                    "all {} fractions are below 1000000000; three in four should not be",
                    tally.n[0]
                )
            })
        },
    },
};

/// D12.
pub static OLD: Rule = Rule {
    id: "TIME-OLD",
    severity: Warning,
    source: "RFC 7011 section 3.1; RFC 6728 section 4.4",
    title: "flows that ended more than an hour ago come behind flows that ended just now",
    wanted: "export soon after the idle timeout",
    meaning: "the collector has closed that hour: the flow is lost to it or comes as a surprise",
    check: Tally {
        applies: ended,
        observe: |record, tally| {
            let Some(end) = record.flow_end() else { return };
            tally.n[0] += 1;
            let age = exported(record).saturating_sub(end);
            if (-2 * SECOND..3600 * SECOND).contains(&age) {
                tally.n[2] += 1;
            } else if tally.n[2] > 0 && plausible(record, end) && !wrapped(record, end) && age > 0 {
                tally.n[1] += 1;
                tally.keep(record, Slot::EndMillis);
            }
        },
        // Only an exporter that meters live is late. All flows of a capture that is metered later are old, or old
        // first and young last.
        judge: |tally, _| {
            let [all, late, live, ..] = tally.n;
            (late > 0 && live >= late).then(|| format!("{late} of {all} flows"))
        },
    },
};

/// D13.
pub static DURATION_ZERO: Rule = Rule {
    id: "TIME-DURATION-ZERO",
    severity: Warning,
    source: "RFC 7012 section 5",
    title: "flows of several packets that take no time",
    wanted: "start and end of the flow's own packets",
    meaning: "rates are infinite",
    check: Tally {
        applies: timed,
        observe: |record, tally| {
            if record.packet_count().unwrap_or(0) >= 2
                && let (Some(start), Some(end)) = (record.flow_start(), record.flow_end())
            {
                tally.n[0] += 1;
                if start == end {
                    tally.n[1] += 1;
                    tally.keep(record, Slot::EndMillis);
                }
            }
        },
        judge: |tally, _| {
            (tally.n[0] >= 50 && tally.n[1] == tally.n[0])
                .then(|| format!("start = end in all {} flows of two packets or more", tally.n[0]))
        },
    },
};

/// D16.
pub static ACTIVE_EXCEEDED: Rule = Rule {
    id: "TIME-ACTIVE-EXCEEDED",
    severity: Warning,
    source: "IANA element 36; RFC 6728 section 4.4",
    title: "a flow lasted longer than the active timeout it announces",
    wanted: "a record at least every flowActiveTimeout seconds",
    meaning: "long flows come late, in one lump",
    check: Record {
        applies: |view| timed(view) && view.has(Slot::ActiveTimeout),
        broken: |record| {
            let timeout = i64::try_from(record.unsigned(Slot::ActiveTimeout)?).ok()?;
            let (start, end) = (record.flow_start()?, record.flow_end()?);
            let longer = timeout > 0 && end.saturating_sub(start) > (timeout * 3 / 2 + 60) * SECOND;
            longer.then(|| record.view.field(Slot::ActiveTimeout)).flatten()
        },
        saw: |record, index| format!("{}; {}", record.show_field(index), times(record, index)),
    },
};

/// D15.
pub static REASON_RANGE: Rule = Rule {
    id: "TIME-REASON-RANGE",
    severity: Warning,
    source: "IANA element 136",
    title: "flowEndReason has no assigned value",
    wanted: "1 idle, 2 active, 3 end of flow, 4 forced, 5 lack of resources",
    meaning: "why the flow ended, and whether it goes on, is not known",
    check: Record {
        applies: |view| view.has(Slot::EndReason),
        broken: |record| {
            let reason = record.unsigned(Slot::EndReason)?;
            (reason == 0 || reason > 5).then(|| record.view.field(Slot::EndReason)).flatten()
        },
        saw: value,
    },
};

/// D15.
pub static REASON_CONSTANT: Rule = Rule {
    id: "TIME-REASON-CONSTANT",
    severity: Note,
    source: "IANA element 136",
    title: "flowEndReason is always the same",
    wanted: "the reason of each flow",
    meaning: "the element may carry nothing",
    check: Tally {
        applies: |view| view.has(Slot::EndReason),
        observe: |record, tally| {
            let reason = record.unsigned(Slot::EndReason).unwrap_or(0);
            tally.n[0] += 1;
            tally.n[1] |= 1 << reason.min(63);
            tally.keep(record, Slot::EndReason);
        },
        judge: |tally, _| {
            (tally.n[0] > 1000 && tally.n[1].count_ones() == 1)
                .then(|| format!("{} in all {} records", tally.n[1].trailing_zeros(), tally.n[0]))
        },
    },
};

/// D15.
pub static REASON_WITHOUT_FIN: Rule = Rule {
    id: "TIME-REASON-WITHOUT-FIN",
    severity: Warning,
    source: "IANA elements 6 and 136",
    title: "end of a TCP flow detected without FIN or RST",
    wanted: "reason 3 only where the flags show the end",
    meaning: "either the flags or the reason are wrong",
    check: Record {
        applies: |view| view.has_all(&[Slot::EndReason, Slot::TcpFlags, Slot::Protocol]),
        broken: |record| {
            let tcp = record.unsigned(Slot::Protocol) == Some(6)
                && record.unsigned(Slot::EndReason) == Some(3);
            let flags = record.unsigned(Slot::TcpFlags)?
                | record.unsigned(Slot::ReverseTcpFlags).unwrap_or(0);
            (tcp && flags & 5 == 0).then(|| record.view.field(Slot::EndReason)).flatten()
        },
        saw: |record, index| {
            format!("{}, {}", record.show_field(index), record.show(Slot::TcpFlags))
        },
    },
};
