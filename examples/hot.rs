//! in-memory meter timing (scratch)
use sixtap::capture::*;
use sixtap::meter::flow::*;
fn cpu() -> u128 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u128 * 1_000_000_000 + t.tv_nsec as u128
}
struct Out(Vec<Box<FlowBatch>>, u64);
impl Outlet for Out {
    fn empty(&mut self) -> Option<Box<FlowBatch>> {
        Some(self.0.pop().unwrap_or_else(|| Box::new(FlowBatch::with_room())))
    }
    fn ended(&mut self, mut b: Box<FlowBatch>) {
        self.1 += b.flows.len() as u64;
        b.clear();
        self.0.push(b)
    }
}
fn frame(n: u64, v6: bool) -> Vec<u8> {
    let mut f = vec![2u8, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let k = n.wrapping_mul(0x9e3779b97f4a7c15);
    if v6 {
        f.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 17, 64]);
        f.extend([0x20, 1, 0xd, 0xb8]);
        f.extend(k.to_be_bytes());
        f.extend([0u8; 4]);
        f.extend([0x20, 1, 0xd, 0xb8]);
        f.extend([1u8; 12]);
    } else {
        f.extend([0x08, 0, 0x45, 0, 0, 44, 0, 0, 0, 0, 64, 17, 0, 0]);
        f.extend(&k.to_be_bytes()[..4]);
        f.extend([10, 0, 0, 1]);
    }
    f.extend((n as u16).to_be_bytes());
    f.extend(((n >> 16) as u16).to_be_bytes());
    f.extend([0, 24, 0, 0]);
    f.extend([0u8; 16]);
    f
}
fn main() {
    let mut a = std::env::args().skip(1);
    if let Some(p) = a.next().filter(|p| p.contains('.')) {
        // pcap
        let mut src = pcap::open(&p).unwrap();
        let mut s = Settings::default();
        s.idle = 1_000_000_000_000;
        s.active = s.idle;
        let mut m = FlowMeter::new(s, [7; 96]).unwrap();
        let mut o = Out(vec![], 0);
        let t = cpu();
        loop {
            match src.poll(std::time::Duration::ZERO, &mut |f| m.frames(f, &mut o)).unwrap() {
                Poll::End => break,
                _ => {}
            }
        }
        let d = cpu() - t;
        let n = m.outcomes().metered;
        m.finish(&mut o);
        println!("{n} packets {} flows {:.1} ns/packet", o.1, d as f64 / n as f64);
        return;
    }
    for flows in [1000u64, 100_000, 1_000_000, 8_000_000] {
        for v6 in [true, false] {
            let mut s = Settings::default();
            s.capacity = flows as usize * 5 / 4 + 1000;
            s.idle = 1_000_000_000_000;
            s.active = s.idle;
            let mut m = FlowMeter::new(s, [7; 96]).unwrap();
            let mut o = Out(vec![], 0);
            // pool of frames: chunk generated outside timing
            let mut r = 0x1234567u64;
            let mut rnd = || {
                r ^= r << 13;
                r ^= r >> 7;
                r ^= r << 17;
                r
            };
            for n in 0..flows {
                let f = frame(n, v6);
                m.frames(
                    &[Frame {
                        data: &f,
                        wire_length: f.len() as u32,
                        interface: 1,
                        link: LinkType::Ethernet,
                        time: Timestamp(1_000_000_000_000),
                    }],
                    &mut o,
                );
            }
            let mut tot = 0u128;
            let mut cnt = 0u64;
            for _ in 0..12 {
                let mut arena: Vec<u8> = Vec::with_capacity(1 << 26);
                let mut spans = vec![];
                for _ in 0..262144 {
                    let f = frame(rnd() % flows, v6);
                    spans.push((arena.len(), f.len()));
                    arena.extend(&f);
                }
                let t = cpu();
                let mut buf: Vec<Frame> = Vec::with_capacity(64);
                for ch in spans.chunks(64) {
                    buf.clear();
                    for (o, l) in ch {
                        buf.push(Frame {
                            data: &arena[*o..*o + *l],
                            wire_length: *l as u32,
                            interface: 1,
                            link: LinkType::Ethernet,
                            time: Timestamp(1_000_000_001_000),
                        })
                    }
                    m.frames(&buf, &mut o);
                }
                tot += (cpu() - t);
                cnt += spans.len() as u64;
            }
            println!(
                "{flows} flows v6={v6}: {:.1} ns/packet, live {} {:?}",
                tot as f64 / cnt as f64,
                m.fill().0,
                m.counters()
            );
        }
    }
}
