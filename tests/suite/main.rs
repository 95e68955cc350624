//! The tests of the whole: the library's public face, the command line, and what other programs read of it.
//!
//! One binary, because linking a test binary costs more than most of them run; `cargo nextest` still gives each test a
//! process of its own. Apart stay `architecture` (reads sources only) and `allocations` (counts with an allocator of its own).
//! Read along the data flow: capture, packets to facts, facts to records, records to messages, what collectors read, the
//! instruments, operations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end so")]

// What others use: frames and both meters; a collector that keeps datagrams; a veth pair in a namespace of its own.
mod meters;
mod sink;
mod wire;

// Capture.
#[cfg(feature = "xdp")]
mod af_xdp;
mod capture_model;
mod packet_socket;

// Packets to facts.
mod agreement;
mod attacks;
mod chains;
mod corpus;
mod craft_truth;
mod elements;
mod own_elements;
mod traffic;
mod tshark_agreement;

// Records and messages, and where they go.
mod export_files;
mod export_path;
mod interop;
mod outlets;
mod records;

// The instruments.
mod collect_corpus;
mod collect_tshark;
mod craft_send;
mod lab;
mod short_way;
mod show;
mod validate;

// Operations.
mod configuration;
mod doctor;
mod documents;
mod errors;
mod packaging;
#[cfg(feature = "xdp")]
mod probe_live;
#[cfg(feature = "xdp")]
mod service;
mod telemetry;
