//! What a packet has beside the plain facts, on its way into the flow's second record.

use crate::capture::Frame;
use crate::meter::flow::chains::Chains;
use crate::meter::flow::fragments::Verdict;
use crate::meter::flow::{Extra, FlowRecord, feature};
use crate::meter::packet::{self, Detail, Facts};

/// What a packet has beside the plain facts.
#[derive(Clone, Copy)]
pub(super) enum More<'a> {
    /// Nothing.
    Nothing,
    /// A short chain of extension headers, which the facts have; what stands in them can be read again from the frame.
    Chain(Option<&'a Frame<'a>>),
    /// A detail, and what became of it as a fragment.
    Detail(&'a Detail, &'a Verdict),
}

impl More<'_> {
    pub(super) fn detail(&self) -> Option<&Detail> {
        if let Self::Detail(detail, _) = self { Some(detail) } else { None }
    }

    /// Takes it into the flow's extra. `record` has counted the packet.
    pub(super) fn count(
        &self,
        record: &mut FlowRecord,
        extra: &mut Extra,
        facts: &Facts,
        options: &packet::Options,
        chains: &mut Chains,
    ) {
        match self {
            Self::Nothing => {}
            Self::Detail(detail, verdict) => {
                extra.forward_last = extra.forward_last.max(facts.time);
                extra.count(record, facts, detail, verdict, chains, options.detail);
            }
            Self::Chain(frame) => {
                let wanted = facts.features & !extra.seen;
                if wanted & (feature::SPI | feature::SEGMENTS) != 0
                    && let Some((_, detail)) =
                        frame.and_then(|frame| packet::outermost(frame, options))
                {
                    extra.count(record, facts, &detail, &NO_VERDICT, chains, options.detail);
                } else {
                    extra.count_short(facts, chains);
                }
                record.chain = facts.chain;
            }
        }
    }
}

/// Of a packet that is no fragment.
pub(super) const NO_VERDICT: Verdict = Verdict {
    duplicate: false,
    overlap: false,
    out_of_order: false,
    begins: false,
    completes: false,
    rewritten_port: None,
};
