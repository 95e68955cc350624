//! The second meter: slow, simple, and on its own.
//!
//! In: frames. Out: one [`Flow`] a flow record, with every fact by name, and a count of every frame that is in none.
//! It shares no code with `meter` or `export`, so that it does not share their mistakes; maps are ordered maps, datagrams
//! are reassembled in full, nothing is bounded but by the input. What follows are the definitions that both meters
//! implement, one rule a fact. `[choice]` marks what the standards leave open.
//!
//! # 1 Frame to IP packet
//!
//! - Ethernet: 14 octets, then any number of tags (EtherType 0x8100, 0x88a8, 0x9100; 4 octets each). The first tag is
//!   the outer (`dot1qVlanId`, `dot1qPriority`), the second the inner (`dot1qCustomerVlanId`, `dot1qCustomerPriority`),
//!   more are passed over and only counted. 0x0800 is IPv4, 0x86dd IPv6. 0x8847 and 0x8848 are MPLS: entries up to and with the
//!   one whose S bit is set, then the first four bits of what follows say 4 or 6, anything else is `not IP`.
//!   0x8864 is PPPoE (RFC 2516): octet 0x11, code 0, 6 octets in all, then PPP protocol 0x0021 or 0x0057.
//! - Linux cooked: 16 octets, EtherType in octets 14–15; version 2: 20 octets, EtherType in octets 0–1. The EtherType is
//!   walked as on Ethernet. No MAC address elements `[choice]`: there is no pair of them.
//! - Null and loop: four octets with the address family, taken in the byte order that gives a number below 65536: 2 is IPv4;
//!   10, 24, 28 and 30 are IPv6. Raw: the first four bits say 4 or 6, anything else is
//!   `bad version`.
//! - `layer2OctetDeltaCount` is Σ `wire_length` of Ethernet frames; the other link types' headers were never on a wire.
//! - The family named by the link header must equal the version field, else `bad version`.
//!
//! ## Frames that are in no flow
//! Each frame is in a flow or counted by exactly one of these, tested in this order:
//! `link type` (not known), `link cut` (the link header, a tag, label or PPPoE header goes beyond the captured octets),
//! `not IP`, `IP cut` (fewer captured octets than 20 for IPv4, 40 for IPv6; also none at all after the link header),
//! `bad version`, `bad header length` (IPv4 IHL below 5), `bad total length` (IPv4 length, section 2, below IHL × 4).
//! Frames in = frames metered + Σ reasons, and frames metered = Σ `packetDeltaCount` (tunnel mode `both` counts the
//! outermost level only).
//!
//! # 2 Length of a packet
//!
//! - IPv4: total length. 0 (segmentation offload): the octets of the wire from the IP header on.
//! - IPv6: 40 + payload length. If that field is 0 and Next Header is 0 and the first option of type 194 in that
//!   Hop-by-Hop header has length 4 and a value above 65535 (RFC 2675): 40 + that value, at most 2^32 - 1. If the field is 0 otherwise and the wire
//!   has more than 65535 octets behind the fixed header (offload): the octets of the wire from the IP header on. Else 40: the
//!   packet is empty, and octets behind it are padding.
//! - *End of the packet* is IP header + that length; *end of what is seen* is the lesser of it and the captured octets. A
//!   read beyond the end of the packet is *short* (the sender's doing), beyond only the captured octets *cut*.
//! - A length that claims more than the wire had is believed (as tcpdump, softflowd and nfdump do) `[choice]`.
//!
//! # 3 The chain (RFC 8200 section 4, RFC 9740)
//!
//! Start with the Next Header of the fixed header, at octet 40. Repeat for the number `n` at offset `o`:
//!
//! 1. `n` is not one of 0, 43, 44, 50, 51, 60, 135, 139, 140, 147, 253, 254: it is the upper layer. 59 sets bit 2 (`NoNxt`) of
//!    IE 515; 148 to 252 and 255 (no upper layer assigned) set bit 3 (`UNK`). Stop, complete.
//! 2. A limit of headers is set and reached: stop, *incomplete*. The default is no limit.
//! 3. `n` joins the runs (IE 516: adjacent equal numbers are one run, at most 255 in a run, then the next begins) and sets its bit of
//!    515: DST 60 → 0, HOP 0 → 1, RH 43 → 5, MOB 135 → 7, ESP 50 → 8, AH 51 → 9, HIP 139 → 10, SHIM6 140 → 11, 253 → 12, 254 → 13, 147 → 3 (`UNK`: an extension header without a bit);
//!    44 sets FRA0 (4) if its offset is 0 (atomic ones too), FRA1 (6) if not, neither if its 8 octets are not seen.
//! 4. 147, 253 and 254: stop, incomplete. Nothing says how long they are (RFC 6564's format binds new headers only), and a
//!    guess would read payload as ports `[choice]`.
//! 5. ESP: 8 octets in IE 518, stop, complete: all that can be read is listed `[choice]`. SPI is the first 4 octets, if seen.
//! 6. Its first octets (2; Fragment 8) are not seen: 0 octets in IE 518, stop, incomplete.
//! 7. Its length is added to IE 518: (octet 1 + 1) × 8; AH (octet 1 + 2) × 4; Fragment 8. SPI of AH is octets 4–7, if seen.
//! 8. `n` = its octet 0. Fragment with an offset that is not 0: stop, complete; the rest is payload of something unknown.
//! 9. The header reaches beyond the end of what is seen: go to rule 1 with the new `n`, but if that is an extension header it
//!    joins runs and bits (rule 3; 44 sets neither bit) and the walk stops. In either case *incomplete*.
//!
//! `protocolIdentifier` is the last `n`. `nextHeaderIPv6` is the fixed header's. A Hop-by-Hop header that is not first is
//! walked like any other; the order shows in IE 516. Runs are kept up to 24; a chain with more is incomplete, but
//! the walk goes on: bits, length, protocol and ports are still those of all headers.
//!
//! A packet *has a chain* if it sets a bit of 515 or has a run. Chains are told apart by (bits, length, runs, complete).
//! Of a flow: IE 515 and 64 are OR-ed over its packets, IE 517 is true if no packet's chain is incomplete, IE 518 is of
//! the first chain seen, the distinct chains are kept in order of appearance up to 8, and their number is exact up to 8; 9 means more.
//!
//! IE 64, in the registry's last numbering, bit n = 1 << n: 515's bits 0, 1, 3, 4, 5, 6 stay where they are; MOB 12, ESP 13, AH 14; PAY 15
//! is set when `protocolIdentifier` is 108; bits 2 and 10 to 13 of 515 have none.
//!
//! IPv4: the protocol field is `protocolIdentifier`; AH (51) is not walked through, its SPI and that of ESP (50) are read.
//! `IPSecSPI` is that of the first ESP or AH header of the first packet that has one.
//!
//! SRH (RFC 8754): the first Routing header of type 4 of the flow whose first 8 octets are seen. Segments are 16 octets
//! from octet 8; the header holds min(Last Entry + 1, octet 1 / 2) of them; those wholly seen are kept, up to 8. The active
//! segment is the packet's destination address. The whole header is kept if it is wholly seen and has at most 176 octets.
//!
//! # 4 The upper layer
//!
//! Read unless the packet is a fragment that is not first, or the walk stopped before the upper layer.
//! - TCP 6, UDP 17, DCCP 33, SCTP 132, UDP-Lite 136: ports are the first 4 octets. ICMP (1, in IPv4) and ICMPv6 (58, in IPv6): type and
//!   code are the first 2; in the key they stand as type × 256 + code for the destination port, source port 0.
//!   If they are not seen, the *ports are unknown*: 0, and the key has a mark of its own. Other protocols: ports 0, no mark.
//! - Ports are unknown, too, when the walk stopped before the upper layer (rules 2, 4, 6, 9) or at a Fragment header with an offset (rule 8); a later
//!   fragment has those of its datagram (section 6).
//! - `tcpControlBits`: octets 12–13 without the data offset (12 bits, RFC 9565), if both are seen; OR-ed. Absent if no
//!   bit was seen and they were not seen in some packet.
//! - TCP options: from octet 20 to data offset × 4, as far as seen. A kind sets its bit of IE 520 as soon as it is read; 0 ends; a length below 2, or beyond the options or what is seen, ends. Kinds 253 and 254 that are
//!   wholly seen with a length of 4 or more give no bit but an ExID: the
//!   4-octet 0xE2D4C3D9 (the one assigned) if length is 6 or more and it is there, else the first 2 octets. If a flow has an ExID, its
//!   bits 253 and 254 are 0 (RFC 9740 section 4.1). Four distinct ExIDs of each size are kept, in order of appearance.
//!
//! # 5 Flow, record, and its end
//!
//! Key: IP version, addresses, `protocolIdentifier`, ports (or type and code), the mark of section 4, outer and inner VLAN
//! identifier (12 bits, 0 without a tag), tunnel level and what carries the packet (section 7); with the option: flow label and traffic class; the packet's chain.
//! The interface is no key.
//!
//! Records of a key follow each other. A packet observed at `t` meets the open record of its key, in this order:
//!
//! 1. The record is closing and t − last > `tcp_end` (5 s): it ends with flowEndReason 3.
//! 2. t − last > `idle` (30 s): it ends with 1.
//! 3. t − first > `active` (300 s): it ends with 2. Active is judged on the arrival of a packet only `[choice]`: without one the
//!    record ends idle, at most `idle` later.
//! 4. Otherwise the packet is counted in it. Ended or none: the packet begins a new record.
//!
//! Differences are 0 when negative. FIN or RST makes the record *closing*; packets within 5 s of the last (the final ACK,
//! a retransmission, also a SYN) are still its own, and extend the 5 s. At the end of input, T being the latest observation of any
//! frame: closing 3, else T − last > idle 1, else 4. A meter that sweeps may end by rules 1 and 2 at any time after they
//! became true: the records are the same.
//!
//! `flowStart` is the earliest, `flowEnd` the latest observation of the record's packets. First-packet values (flow label, traffic
//! class, hop limit, 193, MAC addresses, VLAN priorities, MPLS labels, interface) are of the first packet *counted*. OR: 6, 64, 515, 520. Minimum and maximum: 25/26 packet length, 52/53 TTL or hop limit.
//! Sum: 1, 2, 352. Distinct values of flow label (IPv6 only), traffic class or TOS, hop limit or TTL: number exact to 8, 9 means more; minimum and
//! maximum over all packets.
//!
//! # 6 Fragments (RFC 8200 section 4.5, RFC 791, RFC 6946, RFC 5722, RFC 7112)
//!
//! **Which header.** IPv4: a packet with MF or an offset. IPv6: the packet's first Fragment header that is not atomic, else its first
//! one. *Atomic*: IPv6, offset 0 and M 0. An atomic fragment is a whole packet, and touches no datagram (RFC 6946). *First*:
//! offset 0, M 1. *Later*: offset not 0.
//!
//! **Range.** Octets [offset × 8, offset × 8 + length) of the datagram, length being the octets from behind the (Fragment or
//! IPv4) header to the end of the packet, captured or not.
//!
//! **Datagram.** Known by (IP version, source, destination, identification, both VLAN identifiers, tunnel level and what carries it; IPv4: protocol). It lives for
//! `reassembly` (15 s, and never longer than `idle`) from its first-arriving fragment; RFC 8200 allows 60, but held packets delay
//! the export `[choice]`. Before a frame of time `t` is looked at, datagrams with t − begun > `reassembly` end, oldest first.
//! A first fragment that comes when the datagram is *complete* begins a new one (identification reuse).
//!
//! **Whose.** The first *first fragment* that arrives gives the datagram protocol and ports (known or not), from its own
//! headers. If its ports are unknown, a further first fragment whose are not gives them from then on. Every later fragment, and every further first fragment, takes these from the datagram; the rest of its key is its own.
//! Fragments that come before it are held; when it comes they are metered in their order of arrival, at their own times, and then it.
//! When the datagram ends without it they are metered as *orphans*, in order: protocol as their own Fragment header (IPv4
//! header) names it, ports unknown.
//!
//! **Each fragment is judged once, on arrival, held or not,** against those that arrived before it:
//! 1. *Duplicate*: same offset, length and M as one before, unless it shows one of the port octets (below) with another value.
//! 2. else *overlap*: its range and the union of the ranges before it have an octet in common, or it is as 1 but for the ports.
//! 3. else *out of order*: its offset is below the largest offset before it.
//!
//! The verdict is counted in the record that counts the packet.
//!
//! **Ports rewritten.** The port octets are those of the datagram's first first fragment with ports (ports protocols only, not
//! ICMP), at their place in the datagram. A fragment that arrives after it, is an overlap, and shows at least one of these octets with another value, sets *ports rewritten*; the rewritten port is the destination port with the octets that
//! it shows in place of the old ones. A record keeps that of its first rewrite. Of each piece the first 32 octets are
//! looked at, if captured: a meter at line rate cannot keep more `[choice]`.
//!
//! **Complete**: offset 0 seen, a fragment with M 0 seen, and the ranges cover 0 to the end of (the first of) those. *Incomplete
//! datagrams* of a record: +1 when the first packet of a datagram is counted in it, −1 (not below 0) when a packet counted in it
//! completes the datagram. So it says how many were not complete when the record ended.
//!
//! **Tiny**: a first fragment in which the chain or the port octets (ICMP: type and code) are *short* (section 2).
//!
//! **Counted in the record**: fragment packets (atomic ones too), atomic, duplicates, overlaps, out of order, tiny, incomplete,
//! smallest offset that is not 0, ports rewritten and the port. IEs 54, 88 (8-octet units) and 197 (0x40 DF, 0x20 M) are of the first
//! fragment counted, atomic ones too.
//!
//! # 7 Tunnels
//!
//! `outer` (default): the outermost IP header only. `inner`: the innermost that can be read, among the first three. `both`: every level is a
//! packet of its own flow, its key telling the level. A fragment that is not atomic is not looked into, nor is a packet whose ports are unknown.
//! An inner header is taken if section 1 would meter it; else the level above is the innermost. Recognised:
//! protocol 4 and 41; GRE (47; version 0, no routing bit; 0x0800, 0x86dd, and 0x6558 Ethernet); UDP to 4789
//! VXLAN (I bit; Ethernet), to 6081 Geneve (version 0; as GRE), to 2152 GTP-U (version 1, PT 1, message 255; extension headers passed over), from or to 5072 AYIYA (opcode 1, Next Header 41 or 4), in IPv4 from or to 3544 Teredo (authentication and origin indications passed over).
//! An inner flow has its own lengths, from its own header, bounded by what is seen of the outer; VLAN identifiers and MPLS labels of an
//! inner Ethernet frame, else none; no MAC addresses and no layer-2 octets (they are the outer's); and what carried it: kind, outer addresses,
//! network identifier (VNI), GRE key or tunnel endpoint identifier.
//!
//! # 8 Cut captures
//!
//! Lengths come from the headers, so octet counts do not depend on the snapshot length. A cut chain makes 517 false and the ports
//! unknown; cut ports make a port-less flow; a cut TCP header gives no flags.

mod chain;
mod elements;
mod facts;
mod flow;
mod fragments;
mod link;
mod metering;
mod octets;
mod tunnel;

pub use chain::{Chain, FragmentField, RUNS, Segments};
pub use elements::{DISTINCT, Elements};
pub use facts::{Facts, Ports, TcpOptions, of_frame};
pub use flow::{Flow, FragmentCounts, Key};
pub use link::{Link, Reason};
pub use metering::{Metered, Options, Reference, TunnelMode};
pub use tunnel::Carrier;
