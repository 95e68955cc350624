//! Memory on the NIC's side of the machine.
//!
//! Frames lie in the memory of the NUMA node that the NIC hangs on: the NIC writes them, and a worker on a processor of that node
//! reads them, without crossing to another. The kernel places pages by the policy of the thread that touches them first, and UMEM
//! is touched when it is made; so the policy is set for that moment.

use std::io;

const MPOL_DEFAULT: i32 = 0;
const MPOL_PREFERRED: i32 = 1;
/// Bits of a mask of nodes.
const NODES: u32 = 1024;
const WORD: u32 = usize::BITS;

/// The calling thread's new memory comes from a node, if there is room, until this is dropped.
#[derive(Debug)]
pub(super) struct Near(());

impl Near {
    /// `None` where there is nothing to choose, or somebody (`numactl`) has chosen already.
    pub(super) fn node(node: u32) -> Option<Self> {
        if node >= NODES || policy().ok()? != MPOL_DEFAULT {
            return None;
        }
        let mut mask = [0usize; (NODES / WORD) as usize];
        mask[(node / WORD) as usize] = 1 << (node % WORD);
        set_policy(MPOL_PREFERRED, &mask).ok()?;
        Some(Self(()))
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        // It can be refused only where it could not have been set.
        let _ = set_policy(MPOL_DEFAULT, &[]);
    }
}

fn policy() -> io::Result<i32> {
    let mut mode = -1;
    let none = std::ptr::null_mut::<usize>();
    // SAFETY: get_mempolicy writes one int to `mode`; no mask, no address, no flags are given.
    let result = unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, none, 0, none, 0) };
    if result == 0 { Ok(mode) } else { Err(io::Error::last_os_error()) }
}

fn set_policy(mode: i32, mask: &[usize]) -> io::Result<()> {
    let (address, bits) = match mask {
        [] => (std::ptr::null(), 0),
        // The kernel reads one bit less than it is told.
        mask => (mask.as_ptr(), mask.len() * WORD as usize + 1),
    };
    // SAFETY: set_mempolicy reads at most `bits` - 1 bits, all of `mask`, and keeps no pointer to it.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, address, bits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_holds_for_a_time() {
        // On a thread of its own: the policy is a thread's.
        std::thread::spawn(|| {
            let Ok(before) = policy() else {
                println!(
                    "not run: the_policy_holds_for_a_time: this kernel has no memory policies"
                );
                return;
            };
            assert_eq!(before, MPOL_DEFAULT);
            let near = Near::node(0).expect("node 0 is everywhere");
            assert_eq!(policy().expect("policy"), MPOL_PREFERRED);
            // What somebody has chosen stays.
            assert!(Near::node(0).is_none());
            drop(near);
            assert_eq!(policy().expect("policy"), MPOL_DEFAULT);
            assert!(Near::node(NODES).is_none());
        })
        .join()
        .expect("joined");
    }
}
