use super::*;
use crate::capture::Timestamp;
use proptest::prelude::*;
use std::io::{Cursor, Write};

/// A frame as a test writes it and as it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owned {
    data: Vec<u8>,
    wire_length: u32,
    interface: u32,
    link: LinkType,
    time: Timestamp,
}

fn read_all(source: &mut PcapSource) -> (Vec<Owned>, Option<CaptureError>) {
    let mut frames = Vec::new();
    let error = loop {
        let poll = source.poll(Duration::from_millis(10), &mut |batch| {
            assert!(!batch.is_empty() && batch.len() <= BATCH);
            frames.extend(batch.iter().map(|frame| Owned {
                data: frame.data.to_vec(),
                wire_length: frame.wire_length,
                interface: frame.interface,
                link: frame.link,
                time: frame.time,
            }));
        });
        match poll {
            Ok(Poll::Frames(_) | Poll::Idle) => {}
            Ok(Poll::End) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(source.counters().delivered, frames.len() as u64);
    (frames, error)
}

fn read(octets: Vec<u8>) -> (Vec<Owned>, Option<CaptureError>) {
    read_all(&mut from_reader(Cursor::new(octets), "test").unwrap())
}

fn ethernet(seconds: u64, nanoseconds: u32, data: &[u8], wire_length: u32) -> Owned {
    Owned {
        data: data.to_vec(),
        wire_length,
        interface: 0,
        link: LinkType::Ethernet,
        time: Timestamp::new(seconds, nanoseconds),
    }
}

/// Writes captures in either byte order.
struct Writer {
    octets: Vec<u8>,
    big: bool,
}

impl Writer {
    fn new(big: bool) -> Self {
        Self { octets: Vec::new(), big }
    }

    fn word(mut self, value: u32) -> Self {
        let octets = if self.big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.octets.extend(octets);
        self
    }

    fn half(mut self, value: u16) -> Self {
        let octets = if self.big { value.to_be_bytes() } else { value.to_le_bytes() };
        self.octets.extend(octets);
        self
    }

    fn raw(mut self, octets: &[u8]) -> Self {
        self.octets.extend(octets);
        self
    }

    fn header(self, magic: u32, link: u32) -> Self {
        self.word(magic).half(2).half(4).word(0).word(0).word(65535).word(link)
    }

    fn record(self, seconds: u32, fraction: u32, data: &[u8], wire_length: u32) -> Self {
        self.word(seconds).word(fraction).word(data.len() as u32).word(wire_length).raw(data)
    }

    fn block(self, kind: u32, body: &[u8]) -> Self {
        let padding = body.len().next_multiple_of(4) - body.len();
        let length = (12 + body.len() + padding) as u32;
        self.word(kind).word(length).raw(body).raw(&[0; 3][..padding]).word(length)
    }

    fn section(self) -> Self {
        let body = self.body().word(0x1a2b_3c4d).half(1).half(0).word(u32::MAX).word(u32::MAX);
        self.block(0x0a0d_0d0a, &body.octets)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[u8]) -> Self {
        let body = self.body().half(link).half(0).word(snaplen).raw(options);
        self.block(1, &body.octets)
    }

    fn enhanced(self, interface: u32, time: u64, data: &[u8], wire_length: u32) -> Self {
        let body = self
            .body()
            .word(interface)
            .word((time >> 32) as u32)
            .word(time as u32)
            .word(data.len() as u32)
            .word(wire_length)
            .raw(data);
        self.block(6, &body.octets)
    }

    fn option(self, code: u16, value: &[u8]) -> Self {
        let padding = value.len().next_multiple_of(4) - value.len();
        self.half(code).half(value.len() as u16).raw(value).raw(&[0; 3][..padding])
    }

    fn body(&self) -> Self {
        Self::new(self.big)
    }
}

fn sample() -> Vec<u8> {
    let mut writer = Writer::new(false).header(0xa1b2_c3d4, 1);
    for number in 0..200_u32 {
        let data = vec![number as u8; 60 + number as usize];
        writer = writer.record(number, 5, &data, data.len() as u32);
    }
    writer.octets
}

fn sample_pcapng() -> Vec<u8> {
    let mut writer = Writer::new(true).section().interface(1, 0, &[]);
    for number in 0..100_u32 {
        let data = vec![number as u8; 61 + number as usize];
        writer = writer.enhanced(0, u64::from(number), &data, 2000).block(0xbad, &[1; 50]);
    }
    writer.octets
}

#[test]
fn both_byte_orders_and_resolutions_of_pcap() {
    for big in [false, true] {
        let writer = Writer::new(big).header(0xa1b2_c3d4, 1).record(7, 999_999, &[1, 2, 3], 3);
        let (frames, error) = read(writer.octets);
        assert!(error.is_none());
        assert_eq!(frames, [ethernet(7, 999_999_000, &[1, 2, 3], 3)]);

        let writer = Writer::new(big).header(0xa1b2_3c4d, 1).record(7, 999_999_999, &[1], 1500);
        assert_eq!(read(writer.octets).0, [ethernet(7, 999_999_999, &[1], 1500)]);

        let writer = Writer::new(big).header(0xa1b2_cd34, 1);
        let long = writer.word(7).word(1).word(2).word(9).raw(&[0; 8]).raw(&[8, 9]);
        let two = long.word(8).word(1).word(0).word(0).raw(&[0; 8]);
        let expected = [ethernet(7, 1000, &[8, 9], 9), ethernet(8, 1000, &[], 0)];
        assert_eq!(read(two.octets).0, expected);
    }
}

#[test]
fn link_types_of_pcap() {
    for (number, link) in [
        (0, LinkType::Null),
        (1, LinkType::Ethernet),
        (101, LinkType::Raw),
        (12, LinkType::Raw),
        (228, LinkType::Raw),
        (229, LinkType::Raw),
        (108, LinkType::Loop),
        (113, LinkType::LinuxSll),
        (276, LinkType::LinuxSll2),
        (195, LinkType::Other(195)),
    ] {
        let octets = Writer::new(false).header(0xa1b2_c3d4, number).record(0, 0, &[1], 1).octets;
        let mut source = from_reader(Cursor::new(octets), "test").unwrap();
        assert_eq!(source.link_type(), Some(link));
        assert_eq!(read_all(&mut source).0[0].link, link);
    }
}

#[test]
fn frame_check_sequence_is_taken_off() {
    // f = 1, two 16-bit words.
    let link = 1 | 1 << 26 | 2 << 28;
    let octets = Writer::new(true).header(0xa1b2_c3d4, link).record(0, 0, &[5; 64], 64);
    let cut = octets.record(0, 0, &[5; 20], 64).octets;
    let (frames, _) = read(cut);
    assert_eq!((frames[0].data.len(), frames[0].wire_length), (60, 60));
    assert_eq!((frames[1].data.len(), frames[1].wire_length), (20, 60));
}

#[test]
fn pcapng_sections_interfaces_and_block_kinds() {
    let options = |big: bool, resolution: u8, offset: i64| {
        let writer = Writer::new(big).option(2, b"eth0").option(9, &[resolution]);
        let offset = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
        writer.option(14, &offset).option(0, &[]).octets
    };
    let first = Writer::new(false)
        .section()
        .interface(1, 96, &[])
        .block(0x0bad_cafe, &[7; 5])
        .enhanced(0, 3_000_001, &[1; 5], 60)
        .interface(101, 0, &options(false, 9, 100))
        .enhanced(1, 2_000_000_003, &[2; 4], 4)
        .block(3, Writer::new(false).word(200).raw(&[3; 96]).octets.as_slice())
        .block(4, &[0; 8]);
    // Obsolete Packet Block: interface 16 bits, drops 16 bits.
    let obsolete =
        Writer::new(true).half(0).half(9).word(0).word(1 << 10 | 512).word(3).word(3).raw(&[4; 3]);
    // 2^-10 seconds.
    let second = Writer::new(true)
        .section()
        .interface(113, 0, &options(true, 0x8a, -1))
        .block(2, &obsolete.octets);
    let (frames, error) = read([first.octets, second.octets].concat());
    assert!(error.is_none(), "{error:?}");
    let simple = Owned { time: Timestamp::new(102, 3), ..ethernet(0, 0, &[3; 96], 200) };
    let expected = [
        ethernet(3, 1000, &[1; 5], 60),
        Owned { interface: 1, link: LinkType::Raw, ..ethernet(102, 3, &[2; 4], 4) },
        simple,
        Owned { interface: 2, link: LinkType::LinuxSll, ..ethernet(0, 500_000_000, &[4; 3], 3) },
    ];
    assert_eq!(frames, expected);
}

#[test]
fn clock_resolutions() {
    for (resolution, units, nanoseconds) in [
        (0, 3, 3_000_000_000),
        (3, 5, 5_000_000),
        (6, 5, 5000),
        (9, 5, 5),
        (12, 1_000_000_005_999, 1_000_000_005),
        (0x80, 3, 3_000_000_000),
        (0xa0, 1 << 31, 500_000_000),
        (0xbf, 1 << 62, 500_000_000),
    ] {
        let clock = pcapng::Clock::new(resolution).unwrap();
        assert_eq!(clock.nanoseconds(units), nanoseconds, "if_tsresol {resolution:#x}");
    }
    assert_eq!(pcapng::Clock::new(20), None);
    assert_eq!(pcapng::Clock::new(0xc0), None);
}

#[test]
fn large_blocks_are_passed_over_and_large_frames_lent() {
    let frame = vec![9; LARGEST_FRAME as usize];
    let octets = Writer::new(false)
        .section()
        .block(10, &vec![1; 5_000_000])
        .interface(1, 0, &[])
        .enhanced(0, 1, &frame, LARGEST_FRAME)
        .block(10, &vec![1; 700_001])
        .enhanced(0, 1, &[1], 1)
        .octets;
    let (frames, error) = read(octets);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].data, frame);

    let octets = Writer::new(false).header(0xa1b2_c3d4, 1).record(0, 0, &frame, LARGEST_FRAME);
    let two = octets.record(0, 0, &frame, LARGEST_FRAME).octets;
    assert_eq!(read(two).0.len(), 2);
}

fn damage(octets: Vec<u8>) -> (usize, String, u64) {
    match read(octets) {
        (frames, Some(CaptureError::Damaged { what, offset })) => (frames.len(), what, offset),
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn damage_is_named_and_what_came_before_it_is_lent() {
    let good = Writer::new(false).header(0xa1b2_c3d4, 1).record(1, 1, &[1; 10], 10).octets;
    let place = good.len() as u64;
    let and = |more: &[u8]| [good.as_slice(), more].concat();

    let (frames, what, offset) = damage(and(&[0; 9]));
    assert_eq!((frames, offset), (1, place));
    assert_eq!(what, "test: the file ends inside a record (9 of 16 octets)");

    let cut = Writer::new(false).record(2, 2, &[2; 50], 50).octets;
    let (frames, what, offset) = damage(and(&cut[..30]));
    assert_eq!((frames, offset), (1, place));
    assert_eq!(what, "test: the file ends inside a record (30 of 66 octets)");

    let long = Writer::new(false).word(0).word(0).word(262_145).word(300_000).octets;
    let (frames, what, offset) = damage(and(&long));
    assert_eq!((frames, offset), (1, place));
    assert_eq!(what, "test: a record says it holds 262145 octets, more than 262144");

    let longer = Writer::new(false).word(0).word(0).word(11).word(10).raw(&[0; 11]).octets;
    assert_eq!(damage(and(&longer)).1, "test: a record says it holds 11 octets of a frame of 10");
}

#[test]
fn damage_in_pcapng_is_named() {
    let start = || Writer::new(false).section().interface(1, 0, &[]);
    let place = start().octets.len() as u64;
    for (octets, expected) in [
        (start().enhanced(1, 0, &[0], 1).octets, "a frame of interface 1, which is not described"),
        (start().word(6).word(33).octets, "a block says it is 33 octets long"),
        (start().word(9).word(3).octets, "a block says it is 3 octets long"),
        (
            start().word(9).word(400).raw(&[0; 8]).octets,
            "the file ends inside a block (384 octets missing)",
        ),
        (
            start().word(6).word(32).raw(&[0; 20]).word(36).octets,
            "a block says it is 32 octets long in front and 36 behind",
        ),
        (start().word(6).octets, "the file ends inside a record (4 of 8 octets)"),
    ] {
        let (_, what, offset) = damage(octets);
        assert_eq!(what, format!("test: {expected}"));
        if !expected.contains("missing") {
            assert_eq!(offset, place);
        }
    }
}

#[test]
fn the_end_stays_the_end() {
    let mut source = from_reader(Cursor::new(sample()[..110].to_vec()), "test").unwrap();
    assert!(read_all(&mut source).1.is_some());
    assert_eq!(source.counters().damaged, 1);
    assert_eq!(source.poll(Duration::ZERO, &mut |_| panic!("a frame")).unwrap(), Poll::End);
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_files_of_several_parts() {
    let plain = sample();
    let (head, tail) = plain.split_at(plain.len() / 3);
    let expected = read(plain.clone()).0;
    assert_eq!(expected.len(), 200);
    let gzipped = [gzip(head), gzip(tail)].concat();
    assert_eq!(read(gzipped.clone()).0, expected);
    let zstandard =
        [zstd::encode_all(head, 3).unwrap(), zstd::encode_all(tail, 3).unwrap()].concat();
    assert_eq!(read(zstandard.clone()).0, expected);

    for cut in [gzipped, zstandard] {
        let (frames, what, _) = damage(cut[..cut.len() - 20].to_vec());
        assert!((60..200).contains(&frames), "{frames}");
        assert!(what.contains("ends"), "{what}");
    }
}

#[test]
fn what_is_not_a_capture_is_named() {
    for (octets, expected) in [
        (&b""[..], "an empty file"),
        (b"\0\x0a\0\x20 and so on", "IPFIX messages"),
        (b"\0\x09\0\x02 and so on", "NetFlow datagrams"),
        (b"{\"a\": 1}", "JSON"),
        (b"hello, world", "text"),
        (b"snoop\0\0\0\0\0\0\x02", "a snoop capture"),
        (b"\xfd7zXZ\0", "an xz file"),
        (b"\x01\x02\x03\x04", "a file that begins with 01 02 03 04"),
        (b"\x0a\x0d\x0d\x0a\x1c\0\0\0abcd", "a file that begins with 0a 0d 0d 0a"),
    ] {
        match from_reader(Cursor::new(octets.to_vec()), "name") {
            Err(CaptureError::Usage(message)) => {
                assert!(message.starts_with(&format!("name: {expected}")), "{message}");
            }
            other => panic!("{expected}: {other:?}"),
        }
    }
    let cut = from_reader(Cursor::new(sample()[..20].to_vec()), "name");
    assert!(matches!(cut, Err(CaptureError::Damaged { offset: 20, .. })), "{cut:?}");
}

#[test]
fn files_directories_and_missing_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pcap");
    std::fs::write(&path, sample()).unwrap();
    let mut source = open(&path).unwrap();
    assert!(source.progress().is_some());
    assert_eq!(read_all(&mut source).0.len(), 200);
    let size = sample().len() as u64;
    assert_eq!(source.progress(), Some((size, size)));
    assert!(matches!(open(directory.path()), Err(CaptureError::Usage(_))));
    assert!(matches!(open(directory.path().join("none")), Err(CaptureError::Usage(_))));
}

/// A live capture in a pipe: what has come is lent at once, and a pause is `Idle`, within the time given.
#[test]
fn a_pipe_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    for compress in [false, true] {
        let path = directory.path().join(format!("pipe{compress}"));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let (next, wait) = std::sync::mpsc::channel::<()>();
        let target = path.clone();
        let feeder = std::thread::spawn(move || {
            let mut pipe = std::fs::File::create(target).unwrap();
            let plain = sample();
            let parts: Vec<Vec<u8>> = [&plain[..100], &plain[100..150], &plain[150..]]
                .into_iter()
                .map(|part| if compress { gzip(part) } else { part.to_vec() })
                .collect();
            pipe.write_all(&parts[0]).unwrap();
            wait.recv().unwrap();
            pipe.write_all(&parts[1]).unwrap();
            wait.recv().unwrap();
            pipe.write_all(&parts[2]).unwrap();
        });
        let mut source = open(&path).unwrap();
        let timeout = Duration::from_millis(20);
        let mut frames = 0;
        let mut poll = |source: &mut PcapSource| {
            source.poll(timeout, &mut |batch| frames += batch.len()).unwrap()
        };
        assert_eq!(poll(&mut source), Poll::Frames(1));
        assert_eq!(poll(&mut source), Poll::Idle);
        next.send(()).unwrap();
        assert_eq!(poll(&mut source), Poll::Idle);
        next.send(()).unwrap();
        while poll(&mut source) != Poll::End {}
        assert_eq!(frames, 200);
        assert_eq!(source.progress(), None);
        feeder.join().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..400), start in 0..5_usize) {
        let starts: [&[u8]; 5] = [
            &[],
            &sample()[..24],
            &sample_pcapng()[..48],
            &[0x1f, 0x8b, 8, 0],
            &[0x28, 0xb5, 0x2f, 0xfd],
        ];
        let whole = [starts[start], &octets].concat();
        if let Ok(mut source) = from_reader(Cursor::new(whole), "test") {
            read_all(&mut source);
        }
    }

    /// A file cut or changed anywhere gives the frames before that place, and an end.
    #[test]
    fn cut_and_changed_files(
        ng in any::<bool>(),
        cut in 0.0..1.0_f64,
        changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 0..4),
    ) {
        let good = if ng { sample_pcapng() } else { sample() };
        let expected = read(good.clone()).0;
        let place = |part: f64| (part * good.len() as f64) as usize;
        let mut changed = good.clone();
        for (part, octet) in &changes {
            changed[place(*part)] = *octet;
        }
        changed.truncate(place(cut));
        let untouched = changes.iter().map(|(part, _)| place(*part)).min().unwrap_or(good.len());
        let untouched = untouched.min(changed.len());
        if let Ok(mut source) = from_reader(Cursor::new(changed), "test") {
            let (frames, _) = read_all(&mut source);
            let mut whole = Writer::new(ng).octets;
            whole.extend(&good[..untouched]);
            let before = from_reader(Cursor::new(whole), "test").map_or(0, |mut source| {
                read_all(&mut source).0.len()
            });
            prop_assert_eq!(&frames[..before], &expected[..before]);
        }
    }
}
