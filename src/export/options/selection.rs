//! What a collector is told about sampling: PSAMP's reports (RFC 5476 section 6.5, elements of RFC 5477), and the two
//! elements that collectors older than PSAMP look for.
//!
//! There is one Selection Sequence with one Selector. Each worker samples by itself; together they take one packet of N,
//! and their counts are added up.

use super::{Refused, Statistics, id};
use crate::capture::sampling::{Method, Sampling};
use crate::ipfix::{FieldSpecifier, MessageBuilder, Template};
use ie_registry::ie;

/// `selectorAlgorithm` (IANA registry of PSAMP parameters).
mod algorithm {
    /// Systematic count-based sampling.
    pub(super) const COUNT: u16 = 1;
    /// Random n-out-of-N sampling.
    pub(super) const RANDOM: u16 = 3;
}

/// `selectorId`, `selectionSequenceId` and `observationPointId`: there is one of each.
const ONE: u64 = 1;

pub(super) fn templates(sampling: Sampling) -> [Template; 4] {
    let fields = |fields: &[(u16, u16)]| -> Vec<FieldSpecifier> {
        fields.iter().map(|(id, length)| FieldSpecifier::iana(*id, *length)).collect()
    };
    let (first, second) = match sampling.method {
        Method::Count => (ie::SAMPLING_PACKET_INTERVAL, ie::SAMPLING_PACKET_SPACE),
        Method::Random => (ie::SAMPLING_SIZE, ie::SAMPLING_POPULATION),
    };
    let selector = [(ie::SELECTOR_ID, 8), (ie::SELECTOR_ALGORITHM, 2), (first, 4), (second, 4)];
    let sequence =
        [(ie::SELECTION_SEQUENCE_ID, 8), (ie::OBSERVATION_POINT_ID, 8), (ie::SELECTOR_ID, 8)];
    let totals = [
        (ie::SELECTION_SEQUENCE_ID, 8),
        (ie::SELECTOR_ID_TOTAL_PKTS_OBSERVED, 8),
        (ie::SELECTOR_ID_TOTAL_PKTS_SELECTED, 8),
    ];
    let old =
        [(ie::OBSERVATION_DOMAIN_ID, 4), (ie::SAMPLING_INTERVAL, 4), (ie::SAMPLING_ALGORITHM, 1)];
    [
        Template::options(id::SELECTOR, 1, fields(&selector)),
        Template::options(id::SEQUENCE, 1, fields(&sequence)),
        Template::options(id::SELECTED, 1, fields(&totals)),
        Template::options(id::SAMPLING, 1, fields(&old)),
    ]
}

/// Selector Report Interpretation (RFC 5476 section 6.5.2).
pub(in crate::export) fn selector_record(
    builder: &mut MessageBuilder,
    sampling: Sampling,
) -> Result<(), Refused> {
    builder.record(id::SELECTOR, |out| {
        out.u64(ONE);
        match sampling.method {
            Method::Count => {
                out.u16(algorithm::COUNT);
                out.u32(1);
                out.u32(sampling.one_in - 1);
            }
            Method::Random => {
                out.u16(algorithm::RANDOM);
                out.u32(1);
                out.u32(sampling.one_in);
            }
        }
    })
}

/// Selection Sequence Report Interpretation (RFC 5476 section 6.5.1).
pub(in crate::export) fn sequence_record(builder: &mut MessageBuilder) -> Result<(), Refused> {
    builder.record(id::SEQUENCE, |out| {
        out.u64(ONE);
        out.u64(ONE);
        out.u64(ONE);
    })
}

/// Selection Sequence Statistics Report Interpretation (RFC 5476 section 6.5.3).
pub(in crate::export) fn selected_record(
    builder: &mut MessageBuilder,
    statistics: &Statistics,
) -> Result<(), Refused> {
    builder.record(id::SELECTED, |out| {
        out.u64(ONE);
        out.u64(statistics.observed_packets);
        out.u64(statistics.selected_packets);
    })
}

/// The same for collectors older than PSAMP: `samplingInterval` is N of one in N, `samplingAlgorithm` 1 for every N-th
/// and 2 for random (RFC 3954 section 8).
pub(in crate::export) fn sampling_record(
    builder: &mut MessageBuilder,
    domain: u32,
    sampling: Sampling,
) -> Result<(), Refused> {
    builder.record(id::SAMPLING, |out| {
        out.u32(domain);
        out.u32(sampling.one_in);
        out.u8(old_algorithm(sampling.method));
    })
}

/// `samplingAlgorithm` (RFC 3954 section 8).
pub(in crate::export) const fn old_algorithm(method: Method) -> u8 {
    match method {
        Method::Count => 1,
        Method::Random => 2,
    }
}
