//! Which of several sockets gets a packet (PACKET_FANOUT, packet(7)).
//!
//! The kernel's own choices do not do. PACKET_FANOUT_HASH takes ports into the hash, so the fragments of a flow, and with IPv6
//! its packets with extension headers, go to another socket than the rest of it. PACKET_FANOUT_FLAG_DEFRAG hides IPv4 fragments by
//! putting them together, and leaves IPv6 alone. So the choice is a filter program of our own: a hash of the two addresses, the same
//! in both directions. Everything of a pair of hosts meets in one socket.

use std::io;
use std::os::fd::BorrowedFd;

use super::option::{self, Instruction};

const PACKET_FANOUT: i32 = 18;
const PACKET_FANOUT_DATA: i32 = 22;
const PACKET_FANOUT_CBPF: u32 = 6;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const ETHERTYPE_VLAN: u32 = 0x8100;
const ETHERTYPE_QINQ: u32 = 0x88a8;

/// Operations of the classic BPF machine (`linux/filter.h`).
mod op {
    pub(super) const LOAD_WORD: u16 = 0x20;
    pub(super) const LOAD_HALF: u16 = 0x28;
    pub(super) const LOAD_WORD_X: u16 = 0x40;
    pub(super) const X_IMMEDIATE: u16 = 0x01;
    pub(super) const STORE: u16 = 0x02;
    pub(super) const LOAD_MEMORY: u16 = 0x60;
    pub(super) const X_FROM_MEMORY: u16 = 0x61;
    pub(super) const JUMP: u16 = 0x05;
    pub(super) const JUMP_EQUAL: u16 = 0x15;
    pub(super) const XOR_X: u16 = 0xac;
    pub(super) const MULTIPLY: u16 = 0x24;
    pub(super) const SHIFT_RIGHT: u16 = 0x74;
    pub(super) const RETURN_A: u16 = 0x16;
    pub(super) const RETURN: u16 = 0x06;
    pub(super) const A_TO_X: u16 = 0x07;
}

/// The whole program that takes no packet.
pub(super) const NOTHING: Instruction = Instruction { code: op::RETURN, jt: 0, jf: 0, k: 0 };

/// Offsets from here on are counted from the network header (SKF_NET_OFF).
const NETWORK: u32 = 0xfff0_0000;
/// The Ethertype, with a VLAN tag that the NIC took out left aside (SKF_AD_OFF + SKF_AD_PROTOCOL).
const PROTOCOL: u32 = 0xffff_f000;

/// Makes a group for the packets of the socket's interface; gives its number, which the kernel chooses so that it is nobody else's.
///
/// # Errors
/// The kernel's errno.
pub(super) fn found(socket: BorrowedFd<'_>) -> io::Result<u16> {
    const PACKET_FANOUT_FLAG_UNIQUEID: u32 = 0x2000;
    enter(socket, (PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_UNIQUEID) << 16)?;
    let value = option::read::<4>(socket, libc::SOL_PACKET, PACKET_FANOUT)?;
    // The lower half of the value.
    Ok((u32::from_ne_bytes(value) & 0xffff) as u16)
}

/// Joins the group `id` of the same interface.
///
/// # Errors
/// The kernel's errno.
pub(super) fn join(socket: BorrowedFd<'_>, id: u16) -> io::Result<()> {
    enter(socket, u32::from(id) | PACKET_FANOUT_CBPF << 16)
}

fn enter(socket: BorrowedFd<'_>, value: u32) -> io::Result<()> {
    option::set(socket, libc::SOL_PACKET, PACKET_FANOUT, &value.to_ne_bytes())?;
    option::set_program(socket, libc::SOL_PACKET, PACKET_FANOUT_DATA, &by_addresses())
}

/// The program: XOR of all words of both addresses, mixed.
fn by_addresses() -> Vec<Instruction> {
    const TYPE_CELL: u32 = 0;
    const SUM_CELL: u32 = 1;
    let mut program = Program::default();
    // X: octets between the start of the network header and the IP header (0, or 4 behind a second VLAN tag).
    program.push(op::X_IMMEDIATE, 0);
    program.push(op::LOAD_WORD, PROTOCOL);
    program.push(op::STORE, TYPE_CELL);
    let untagged = program.skip_unless_any([ETHERTYPE_VLAN, ETHERTYPE_QINQ]);
    program.push(op::LOAD_HALF, NETWORK + 2);
    program.push(op::STORE, TYPE_CELL);
    program.push(op::X_IMMEDIATE, 4);
    program.land(untagged);
    program.push(op::LOAD_MEMORY, TYPE_CELL);
    let not_ipv4 = program.skip_unless_any([ETHERTYPE_IPV4, ETHERTYPE_IPV4]);
    program.xor_words(12, 2, SUM_CELL);
    program.push_mix();
    program.land(not_ipv4);
    program.push(op::LOAD_MEMORY, TYPE_CELL);
    let not_ipv6 = program.skip_unless_any([ETHERTYPE_IPV6, ETHERTYPE_IPV6]);
    program.xor_words(8, 8, SUM_CELL);
    program.push_mix();
    program.land(not_ipv6);
    program.push(op::RETURN, 0);
    program.0
}

#[derive(Default)]
struct Program(Vec<Instruction>);

impl Program {
    fn push(&mut self, code: u16, k: u32) {
        self.0.push(Instruction { code, jt: 0, jf: 0, k });
    }

    /// Goes on when A is one of two values; otherwise jumps to where [`Self::land`] will be called.
    fn skip_unless_any(&mut self, values: [u32; 2]) -> usize {
        self.0.push(Instruction { code: op::JUMP_EQUAL, jt: 2, jf: 0, k: values[0] });
        self.0.push(Instruction { code: op::JUMP_EQUAL, jt: 1, jf: 0, k: values[1] });
        self.push(op::JUMP, 0);
        self.0.len() - 1
    }

    fn land(&mut self, jump: usize) {
        self.0[jump].k = (self.0.len() - jump - 1) as u32;
    }

    /// A = XOR of `count` words from `offset` of the IP header on. Every word is read relative to X, so X is kept in memory
    /// while XOR uses it.
    fn xor_words(&mut self, offset: u32, count: u32, sum: u32) {
        const BASE_CELL: u32 = 2;
        const STORE_X: u16 = 0x03;
        self.push(STORE_X, BASE_CELL);
        for word in 0..count {
            self.push(op::X_FROM_MEMORY, BASE_CELL);
            self.push(op::LOAD_WORD_X, NETWORK + offset + 4 * word);
            if word > 0 {
                self.push(op::X_FROM_MEMORY, sum);
                self.push(op::XOR_X, 0);
            }
            self.push(op::STORE, sum);
        }
        self.push(op::LOAD_MEMORY, sum);
    }

    /// Returns A, mixed so that its low bits depend on all of it (Fibonacci hashing).
    fn push_mix(&mut self) {
        self.push(op::A_TO_X, 0);
        self.push(op::SHIFT_RIGHT, 15);
        self.push(op::XOR_X, 0);
        self.push(op::MULTIPLY, 0x9e37_79b1);
        self.push(op::SHIFT_RIGHT, 16);
        self.push(op::RETURN_A, 0);
    }
}
