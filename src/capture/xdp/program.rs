//! The XDP program: loaded, attached by a `bpf_link`, its maps.
//!
//! In: queue numbers and socket descriptors. Out: the program's counters.
//! Invariants: the link is the only thing that keeps the program on the interface, and it is a file descriptor of
//! this process: however the process ends, the kernel detaches. Nothing is pinned.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use super::stamp::Timestamps;
use libbpf_rs::{MapCore, MapFlags, MapHandle, ObjectBuilder, PrintLevel, libbpf_sys};

/// libbpf reads the object as 64-bit ELF structures in place.
#[repr(C, align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/sixtap.bpf.o")));
static NIC_OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/sixtap_nic.bpf.o")));

/// `struct counters` of bpf/sixtap.h.
const COUNTERS: usize = 4 * size_of::<u64>();

/// Where the program sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attach {
    Native,
    Generic,
}

/// What the program counted on one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProgramCounters {
    pub(super) seen: u64,
    pub(super) redirected: u64,
    pub(super) passed: u64,
    pub(super) failed: u64,
}

/// The loaded program with its maps; attached while `link` is there.
#[derive(Debug)]
pub(super) struct Program {
    link: Mutex<Option<OwnedFd>>,
    program: OwnedFd,
    sockets: MapHandle,
    queues: MapHandle,
}

impl Program {
    /// Loads the program for an interface with at most that many receive queues.
    pub(super) fn load(
        interface: u32,
        queues: u32,
        timestamps: Timestamps,
    ) -> Result<Self, libbpf_rs::Error> {
        static PRINT: Once = Once::new();
        PRINT.call_once(|| {
            libbpf_rs::set_print(Some((PrintLevel::Info, |_, line| {
                tracing::debug!(target: "libbpf", "{}", line.trim_end());
            })));
        });
        let (octets, name) = match timestamps {
            Timestamps::Batch => (&OBJECT.0, "sixtap"),
            Timestamps::Packet => (&OBJECT.0, "sixtap_clock"),
            Timestamps::Nic(_) => (&NIC_OBJECT.0, "sixtap_nic"),
        };
        let mut object = ObjectBuilder::default().open_memory(octets)?;
        for mut program in object.progs_mut() {
            program.set_autoload(program.name() == name);
            if let Timestamps::Nic(_) = timestamps {
                // It calls a function of that device's driver.
                program.set_ifindex(interface);
                program.set_flags(libbpf_sys::BPF_F_XDP_DEV_BOUND_ONLY);
            }
        }
        for mut map in object.maps_mut() {
            map.set_max_entries(queues)?;
        }
        let object = object.load()?;
        let map = |name: &str| {
            let map = object.maps().find(|map| map.name() == name);
            map.ok_or_else(|| libbpf_rs::Error::from(io::Error::from(io::ErrorKind::NotFound)))
                .and_then(|map| MapHandle::try_from(&map))
        };
        let (sockets, counters) = (map("sockets")?, map("queues")?);
        if counters.value_size() as usize != COUNTERS {
            return Err(
                io::Error::other("struct counters has another size than program.rs says").into()
            );
        }
        let program = object
            .progs_mut()
            .find(|program| program.name() == name)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?
            .as_fd()
            .try_clone_to_owned()?;
        Ok(Self { link: Mutex::new(None), program, sockets, queues: counters })
    }

    /// Attaches to the interface. libbpf-rs has no XDP attach that both makes a link and takes the mode.
    pub(super) fn attach(&self, interface: u32, attach: Attach) -> io::Result<()> {
        let flags = match attach {
            Attach::Native => libbpf_sys::XDP_FLAGS_DRV_MODE,
            Attach::Generic => libbpf_sys::XDP_FLAGS_SKB_MODE,
        };
        let options = libbpf_sys::bpf_link_create_opts {
            sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
            flags,
            ..Default::default()
        };
        let index = i32::try_from(interface).map_err(io::Error::other)?;
        // SAFETY: `program` is an open descriptor, and `options` is a whole, zero-filled structure of the size it states
        // that lives until the call returns; the kernel keeps no pointer into it.
        let link = unsafe {
            libbpf_sys::bpf_link_create(
                self.program.as_raw_fd(),
                index,
                libbpf_sys::BPF_XDP,
                &raw const options,
            )
        };
        if link < 0 {
            return Err(io::Error::from_raw_os_error(-link));
        }
        // SAFETY: the call made `link` for us just now and nobody else knows it.
        let link = unsafe { OwnedFd::from_raw_fd(link) };
        *self.link() = Some(link);
        Ok(())
    }

    /// Detaches. Sockets keep what they already have.
    pub(super) fn detach(&self) {
        self.link().take();
    }

    fn link(&self) -> MutexGuard<'_, Option<OwnedFd>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames of `queue` go to `socket` from now on.
    pub(super) fn give(&self, queue: u32, socket: RawFd) -> Result<(), libbpf_rs::Error> {
        self.sockets.update(&queue.to_ne_bytes(), &socket.to_ne_bytes(), MapFlags::ANY)
    }

    /// Frames of `queue` go to the kernel from now on. Harmless when they already do.
    pub(super) fn take(&self, queue: u32) {
        let _ = self.sockets.delete(&queue.to_ne_bytes());
    }

    /// Sum over all CPUs.
    pub(super) fn counters(&self, queue: u32) -> Result<ProgramCounters, libbpf_rs::Error> {
        let cpus =
            self.queues.lookup_percpu(&queue.to_ne_bytes(), MapFlags::ANY)?.unwrap_or_default();
        Ok(cpus.iter().fold(ProgramCounters::default(), |sum, cpu| {
            let word = |number: usize| {
                let octets =
                    cpu.get(number * 8..number * 8 + 8).and_then(|word| word.try_into().ok());
                octets.map_or(0, u64::from_ne_bytes)
            };
            ProgramCounters {
                seen: sum.seen + word(0),
                redirected: sum.redirected + word(1),
                passed: sum.passed + word(2),
                failed: sum.failed + word(3),
            }
        }))
    }
}

/// Name of a loaded program, for messages. `None` without privilege or when it is gone.
pub(super) fn name_of(id: u32) -> Option<String> {
    libbpf_rs::query::ProgInfoIter::default()
        .find(|program| program.id == id)
        .map(|program| program.name.to_string_lossy().into_owned())
        .filter(|name| !name.is_empty())
}
