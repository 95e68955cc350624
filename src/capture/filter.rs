//! Capture filters: tcpdump's expressions, run in user space.
//!
//! In: an expression and a link type. Out: whether a frame is selected. libpcap compiles; the program is run here,
//! because libpcap's own offline call knows only the captured length, so that `greater 1000` would go wrong on
//! frames cut by the snap length. Invariant: a program ends after at most [`MOST_STEPS`] instructions (`protochain`
//! makes loops).

use super::selection::{Selected, Selector};
use super::{CaptureError, Frame, LinkType, Source, SourceCounters};
use arrayvec::ArrayVec;

/// Most link types that one filtered source may have.
const MOST_LINKS: usize = 8;

/// One instruction of classic BPF (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to pass over if the test holds.
    pub jump_true: u8,
    /// Instructions to pass over if it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// A compiled expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    program: Vec<Instruction>,
    link: LinkType,
}

impl Filter {
    /// Compiles a tcpdump expression for frames of a link type. An empty one selects every frame.
    ///
    /// `snaplen`: octets returned for a selected frame, and no more than that (it does not change what is
    /// selected); 0 means no limit.
    ///
    /// # Errors
    /// [`CaptureError::Usage`] with libpcap's message, or if this build has no libpcap.
    pub fn compile(expression: &str, link: LinkType, snaplen: u32) -> Result<Self, CaptureError> {
        let mut program = compiled(expression, link)?;
        for instruction in &mut program {
            if instruction.code == code::RETURN && instruction.operand != 0 && snaplen != 0 {
                instruction.operand = snaplen;
            }
        }
        check(&program)
            .map_err(|what| CaptureError::Usage(format!("filter {expression:?}: {what}")))?;
        Ok(Self { program, link })
    }

    /// The program, for `SO_ATTACH_FILTER`.
    #[must_use]
    pub fn instructions(&self) -> &[Instruction] {
        &self.program
    }

    /// The link type it was compiled for.
    #[must_use]
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Whether the frame is selected. The frame must be of this filter's link type.
    #[must_use]
    pub fn matches(&self, frame: &Frame<'_>) -> bool {
        run(&self.program, frame.data, frame.wire_length) != 0
    }
}

#[cfg(feature = "filter")]
fn compiled(expression: &str, link: LinkType) -> Result<Vec<Instruction>, CaptureError> {
    let wrong = |error| {
        let message = match error {
            pcap::Error::PcapError(message) => message,
            other => other.to_string(),
        };
        CaptureError::Usage(format!("filter {expression:?}: {message}"))
    };
    let handle = pcap::Capture::dead(pcap::Linktype(data_link(link))).map_err(wrong)?;
    let program = handle.compile(expression, true).map_err(wrong)?;
    program
        .get_instructions()
        .iter()
        .map(|instruction| {
            // The fields are private; the text is "code jt jf k".
            let text = instruction.to_string();
            let mut fields = text.split(' ').map(str::parse::<u32>);
            let mut next = || fields.next().and_then(Result::ok);
            let fields = (next(), next(), next(), next());
            let (Some(code), Some(jump_true), Some(jump_false), Some(operand)) = fields else {
                let what = format!("filter {expression:?}: libpcap made the instruction {text:?}");
                return Err(CaptureError::Usage(what));
            };
            Ok(Instruction {
                code: code as u16,
                jump_true: jump_true as u8,
                jump_false: jump_false as u8,
                operand,
            })
        })
        .collect()
}

#[cfg(not(feature = "filter"))]
fn compiled(expression: &str, _link: LinkType) -> Result<Vec<Instruction>, CaptureError> {
    if expression.trim().is_empty() {
        let all =
            Instruction { code: code::RETURN, jump_true: 0, jump_false: 0, operand: u32::MAX };
        return Ok(vec![all]);
    }
    Err(CaptureError::Usage(format!(
        "filter {expression:?}: this build has no capture filters (feature `filter`, needs libpcap)"
    )))
}

/// The DLT_ value of a link type on Linux. It differs from the LINKTYPE_ of files for raw IP.
#[cfg(feature = "filter")]
const fn data_link(link: LinkType) -> i32 {
    match link {
        LinkType::Null => 0,
        LinkType::Ethernet => 1,
        LinkType::Raw => 12,
        LinkType::Loop => 108,
        LinkType::LinuxSll => 113,
        LinkType::LinuxSll2 => 276,
        LinkType::Other(number) => number as i32,
    }
}

/// Operations of classic BPF (McCanne and Jacobson 1993; numbers of Linux's `filter.h`).
mod code {
    pub(super) const LOAD_WORD_AT: u16 = 0x20;
    pub(super) const LOAD_HALF_AT: u16 = 0x28;
    pub(super) const LOAD_BYTE_AT: u16 = 0x30;
    pub(super) const LOAD_WORD_INDEXED: u16 = 0x40;
    pub(super) const LOAD_HALF_INDEXED: u16 = 0x48;
    pub(super) const LOAD_BYTE_INDEXED: u16 = 0x50;
    pub(super) const LOAD_LENGTH: u16 = 0x80;
    pub(super) const LOAD_IMMEDIATE: u16 = 0x00;
    pub(super) const LOAD_MEMORY: u16 = 0x60;
    pub(super) const LOAD_X_IMMEDIATE: u16 = 0x01;
    pub(super) const LOAD_X_MEMORY: u16 = 0x61;
    pub(super) const LOAD_X_LENGTH: u16 = 0x81;
    pub(super) const LOAD_X_HEADER: u16 = 0xb1;
    pub(super) const STORE: u16 = 0x02;
    pub(super) const STORE_X: u16 = 0x03;
    pub(super) const JUMP: u16 = 0x05;
    pub(super) const RETURN: u16 = 0x06;
    pub(super) const RETURN_A: u16 = 0x16;
    pub(super) const A_TO_X: u16 = 0x07;
    pub(super) const X_TO_A: u16 = 0x87;
    pub(super) const NEGATE: u16 = 0x84;
    /// Class of arithmetic and of conditional jumps: the low 3 bits.
    pub(super) const CLASS: u16 = 0x07;
    pub(super) const ARITHMETIC: u16 = 0x04;
    pub(super) const CONDITION: u16 = 0x05;
    /// The operand is X, not the constant.
    pub(super) const WITH_X: u16 = 0x08;
}

/// Most instructions run for one frame. `protochain` needs some ten for each header of the chain.
const MOST_STEPS: usize = 100_000;

/// Scratch memory words.
const MEMORY: usize = 16;

/// Holds what `run` relies on: jumps stay inside, and the last instruction is no way out.
fn check(program: &[Instruction]) -> Result<(), String> {
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        if instruction.code == code::JUMP {
            if target(at + 1, instruction.operand).is_none_or(|target| target >= program.len()) {
                return Err(format!("instruction {at} leads out of the program"));
            }
            continue;
        }
        let furthest = match instruction.code {
            code if code & code::CLASS == code::CONDITION => {
                usize::from(instruction.jump_true.max(instruction.jump_false))
            }
            code::RETURN | code::RETURN_A => continue,
            code::STORE | code::STORE_X | code::LOAD_MEMORY | code::LOAD_X_MEMORY
                if instruction.operand as usize >= MEMORY =>
            {
                return Err(format!("instruction {at} uses memory that does not exist"));
            }
            _ => 0,
        };
        if furthest >= left {
            return Err(format!("instruction {at} leads out of the program"));
        }
    }
    if program.is_empty() { Err("no instructions".to_owned()) } else { Ok(()) }
}

/// Where an unconditional jump leads, which may be backwards.
fn target(next: usize, operand: u32) -> Option<usize> {
    next.checked_add_signed(operand.cast_signed() as isize)
}

/// Runs a checked program. Returns 0 (not selected) or the octets to keep.
fn run(program: &[Instruction], data: &[u8], wire_length: u32) -> u32 {
    let (mut a, mut x, mut memory) = (0_u32, 0_u32, [0_u32; MEMORY]);
    let mut at = 0;
    for _ in 0..MOST_STEPS {
        let Some(&Instruction { code, jump_true, jump_false, operand }) = program.get(at) else {
            return 0;
        };
        at += 1;
        let indexed = || x.checked_add(operand);
        let slot = operand as usize % MEMORY;
        match code {
            code::LOAD_WORD_AT | code::LOAD_WORD_INDEXED => {
                let place = if code == code::LOAD_WORD_AT { Some(operand) } else { indexed() };
                let Some(word) = place.and_then(|place| octets::<4>(data, place)) else { return 0 };
                a = u32::from_be_bytes(word);
            }
            code::LOAD_HALF_AT | code::LOAD_HALF_INDEXED => {
                let place = if code == code::LOAD_HALF_AT { Some(operand) } else { indexed() };
                let Some(half) = place.and_then(|place| octets::<2>(data, place)) else { return 0 };
                a = u32::from(u16::from_be_bytes(half));
            }
            code::LOAD_BYTE_AT | code::LOAD_BYTE_INDEXED => {
                let place = if code == code::LOAD_BYTE_AT { Some(operand) } else { indexed() };
                let Some([byte]) = place.and_then(|place| octets::<1>(data, place)) else {
                    return 0;
                };
                a = u32::from(byte);
            }
            code::LOAD_X_HEADER => {
                let Some([byte]) = octets::<1>(data, operand) else { return 0 };
                x = u32::from(byte & 0xf) * 4;
            }
            code::LOAD_LENGTH => a = wire_length,
            code::LOAD_X_LENGTH => x = wire_length,
            code::LOAD_IMMEDIATE => a = operand,
            code::LOAD_X_IMMEDIATE => x = operand,
            code::LOAD_MEMORY => a = memory[slot],
            code::LOAD_X_MEMORY => x = memory[slot],
            code::STORE => memory[slot] = a,
            code::STORE_X => memory[slot] = x,
            code::A_TO_X => x = a,
            code::X_TO_A => a = x,
            code::NEGATE => a = a.wrapping_neg(),
            code::RETURN => return operand,
            code::RETURN_A => return a,
            code::JUMP => match target(at, operand) {
                Some(target) => at = target,
                None => return 0,
            },
            _ => {
                let other = if code & code::WITH_X == 0 { operand } else { x };
                match code & code::CLASS {
                    code::CONDITION => {
                        let holds = condition(code, a, other);
                        at += usize::from(if holds { jump_true } else { jump_false });
                    }
                    code::ARITHMETIC => match arithmetic(code, a, other) {
                        Some(result) => a = result,
                        None => return 0,
                    },
                    _ => return 0,
                }
            }
        }
    }
    0
}

const fn condition(code: u16, a: u32, other: u32) -> bool {
    match code & 0xf0 {
        0x10 => a == other,
        0x20 => a > other,
        0x30 => a >= other,
        _ => a & other != 0,
    }
}

/// `None` where the machine rejects the frame: division by zero.
const fn arithmetic(code: u16, a: u32, other: u32) -> Option<u32> {
    Some(match code & 0xf0 {
        0x00 => a.wrapping_add(other),
        0x10 => a.wrapping_sub(other),
        0x20 => a.wrapping_mul(other),
        0x30 => return a.checked_div(other),
        0x40 => a | other,
        0x50 => a & other,
        0x60 => {
            if other < 32 {
                a << other
            } else {
                0
            }
        }
        0x70 => {
            if other < 32 {
                a >> other
            } else {
                0
            }
        }
        0x90 => return a.checked_rem(other),
        0xa0 => a ^ other,
        _ => return None,
    })
}

fn octets<const N: usize>(data: &[u8], at: u32) -> Option<[u8; N]> {
    data.get(at as usize..)?.first_chunk::<N>().copied()
}

/// A source that lends only the frames an expression selects, and counts the others.
pub type Filtered<S> = Selected<S, Expression>;

/// An expression, compiled again for every link type that a pcapng file mixes in.
#[derive(Debug)]
pub struct Expression {
    text: String,
    filters: ArrayVec<Filter, MOST_LINKS>,
}

impl<S: Source> Filtered<S> {
    /// Filters `source`, whose first frames are of type `link`.
    ///
    /// # Errors
    /// As [`Filter::compile`].
    pub fn new(source: S, expression: &str, link: LinkType) -> Result<Self, CaptureError> {
        let mut filters = ArrayVec::new();
        filters.push(Filter::compile(expression, link, 0)?);
        Ok(Self::of(source, Expression { text: expression.to_owned(), filters }))
    }
}

impl Expression {
    /// The filter for a link type, compiled at first sight.
    fn filter(&mut self, link: LinkType) -> Result<&Filter, CaptureError> {
        let index = match self.filters.iter().position(|filter| filter.link == link) {
            Some(index) => index,
            None if self.filters.is_full() => {
                return Err(CaptureError::Usage(format!(
                    "filter {:?}: the capture mixes more than {MOST_LINKS} link types; split it",
                    self.text
                )));
            }
            None => {
                self.filters.push(Filter::compile(&self.text, link, 0)?);
                self.filters.len() - 1
            }
        };
        Ok(&self.filters[index])
    }
}

impl Selector for Expression {
    #[inline]
    fn selects(&mut self, frame: &Frame<'_>) -> Result<bool, CaptureError> {
        Ok(self.filter(frame.link)?.matches(frame))
    }

    fn count(selected: u64, passed_over: u64, counters: &mut SourceCounters) {
        counters.delivered = selected;
        counters.filtered += passed_over;
    }
}

#[cfg(all(test, feature = "filter"))]
mod tests;
