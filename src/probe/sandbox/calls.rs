//! Which system calls are left, by seccomp filters (seccomp(2)).
//!
//! Three filters; of their verdicts the kernel takes the hardest:
//! - what only an intruder needs ends the process ([`DEADLY`]);
//! - what is in the list goes through ([`PLAIN`], and some with conditions on their arguments: [`conditions`]);
//! - everything else is refused with EPERM, as a service manager does, so that a C library of next year degrades and does
//!   not die. For tests it ends the process.
//!
//! clone3 is answered with ENOSYS: its flags are in memory where no filter can read them. The C library falls back to clone,
//! of which only threads go through.

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// Allowed whatever the arguments.
#[rustfmt::skip]
const PLAIN: &[c_long] = &[
    // Memory.
    libc::SYS_brk, libc::SYS_madvise, libc::SYS_membarrier, libc::SYS_mincore, libc::SYS_mlock, libc::SYS_mremap, libc::SYS_munlock,
    libc::SYS_munmap,
    // Files; which ones is Landlock's.
    libc::SYS_chdir, libc::SYS_close, libc::SYS_close_range, libc::SYS_copy_file_range, libc::SYS_dup, libc::SYS_dup3, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_fadvise64, libc::SYS_fallocate, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fcntl,
    libc::SYS_fdatasync, libc::SYS_flock, libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_fsync, libc::SYS_ftruncate, libc::SYS_getcwd,
    libc::SYS_getdents64, libc::SYS_ioctl, libc::SYS_linkat, libc::SYS_lseek, libc::SYS_mkdirat, libc::SYS_newfstatat, libc::SYS_openat,
    libc::SYS_openat2, libc::SYS_pipe2, libc::SYS_pread64, libc::SYS_preadv, libc::SYS_preadv2, libc::SYS_pwrite64, libc::SYS_pwritev,
    libc::SYS_pwritev2, libc::SYS_read, libc::SYS_readlinkat, libc::SYS_readv, libc::SYS_renameat, libc::SYS_renameat2,
    libc::SYS_sendfile, libc::SYS_statfs, libc::SYS_statx, libc::SYS_sync_file_range, libc::SYS_umask, libc::SYS_unlinkat,
    libc::SYS_utimensat, libc::SYS_write, libc::SYS_writev,
    // Sockets; of which families is a condition.
    libc::SYS_accept, libc::SYS_accept4, libc::SYS_bind, libc::SYS_connect, libc::SYS_getpeername, libc::SYS_getsockname,
    libc::SYS_getsockopt, libc::SYS_listen, libc::SYS_recvfrom, libc::SYS_recvmmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg,
    libc::SYS_sendmsg, libc::SYS_sendto, libc::SYS_setsockopt, libc::SYS_shutdown,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_ppoll,
    libc::SYS_pselect6, libc::SYS_timerfd_create, libc::SYS_timerfd_gettime, libc::SYS_timerfd_settime,
    // Time.
    libc::SYS_clock_getres, libc::SYS_clock_gettime, libc::SYS_clock_nanosleep, libc::SYS_gettimeofday, libc::SYS_nanosleep,
    // Threads and signals. clone3 comes this far and is answered by its own filter.
    libc::SYS_clone3, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_futex, libc::SYS_get_robust_list, libc::SYS_getcpu,
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_restart_syscall, libc::SYS_rseq, libc::SYS_rt_sigaction,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_sched_getaffinity, libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler, libc::SYS_sched_setaffinity, libc::SYS_sched_yield, libc::SYS_set_robust_list,
    libc::SYS_set_tid_address, libc::SYS_sigaltstack, libc::SYS_tgkill,
    // What the process knows of itself and the machine.
    libc::SYS_capget, libc::SYS_getegid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getrandom, libc::SYS_getrusage,
    libc::SYS_getuid, libc::SYS_prlimit64, libc::SYS_sysinfo, libc::SYS_times, libc::SYS_uname,
];

/// The older forms, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: &[c_long] = &[
    libc::SYS_access, libc::SYS_arch_prctl, libc::SYS_chmod, libc::SYS_dup2, libc::SYS_epoll_create, libc::SYS_epoll_wait,
    libc::SYS_getdents, libc::SYS_link, libc::SYS_lstat, libc::SYS_mkdir, libc::SYS_open, libc::SYS_pipe, libc::SYS_poll,
    libc::SYS_readlink, libc::SYS_rename, libc::SYS_rmdir, libc::SYS_select, libc::SYS_stat, libc::SYS_time, libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Nothing in the probe makes these after set-up; what tries is not the probe any more.
#[rustfmt::skip]
const DEADLY: &[c_long] = &[
    libc::SYS_add_key, libc::SYS_chroot, libc::SYS_delete_module, libc::SYS_execve, libc::SYS_execveat, libc::SYS_finit_module,
    libc::SYS_init_module, libc::SYS_io_uring_setup, libc::SYS_kexec_load, libc::SYS_keyctl, libc::SYS_mount, libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open, libc::SYS_pivot_root, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_ptrace,
    libc::SYS_reboot, libc::SYS_request_key, libc::SYS_setgid, libc::SYS_setns, libc::SYS_setuid, libc::SYS_swapon, libc::SYS_umount2,
    libc::SYS_unshare, libc::SYS_userfaultfd,
];

/// `bpf(2)` with what is open already, by the numbers of linux/bpf.h: reading a map (the XDP program's counters), putting a
/// socket into one and taking it out (BPF_MAP_LOOKUP_ELEM, _UPDATE_ELEM, _DELETE_ELEM), and ending the intake
/// (BPF_LINK_DETACH). Nothing can be loaded or attached.
const BPF: [u64; 4] = [1, 2, 3, 34];

/// `prctl(2)`, where the vDSO is: linux/prctl.h, since Linux 6.4. The clocks are read there.
const PR_GET_AUXV: libc::c_int = 0x4155_5856;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Made<T> = Result<T, seccompiler::BackendError>;

fn when(argument: u8, is: SeccompCmpOp, value: u64) -> Made<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?;
    SeccompRule::new(vec![condition])
}

/// Argument `argument` has none of these bits.
fn without(argument: u8, bits: i32) -> Made<SeccompRule> {
    when(argument, SeccompCmpOp::MaskedEq(bits as u64), 0)
}

/// Calls that go through with some arguments only. Each list is an "or".
fn conditions() -> Made<Rules> {
    let equal = |argument, values: &[u64]| {
        values
            .iter()
            .map(|value| when(argument, SeccompCmpOp::Eq, *value))
            .collect::<Made<Vec<_>>>()
    };
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]
        .map(|family| family as u64);
    let thread = libc::CLONE_THREAD as u64;
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA, PR_GET_AUXV]
        .map(|option| option as u64);
    Ok(BTreeMap::from([
        (libc::SYS_bpf, equal(0, &BPF)?),
        // Threads, no processes.
        (libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), thread)?]),
        // Libraries for name services are mapped to be executed; nothing is both written and executed.
        (libc::SYS_mmap, vec![without(2, libc::PROT_EXEC)?, without(2, libc::PROT_WRITE)?]),
        (libc::SYS_mprotect, vec![without(2, libc::PROT_EXEC)?]),
        (libc::SYS_prctl, equal(0, &names)?),
        (libc::SYS_socket, equal(0, &families)?),
        (libc::SYS_socketpair, equal(0, &[libc::AF_UNIX as u64])?),
    ]))
}

fn program(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Made<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()
}

fn programs(strict: bool) -> Made<[BpfProgram; 3]> {
    let each = |calls: &[c_long]| calls.iter().map(|call| (*call, Vec::new())).collect::<Rules>();
    let refused = match strict {
        true => SeccompAction::KillProcess,
        false => SeccompAction::Errno(libc::EPERM as u32),
    };
    let mut allowed = each(PLAIN);
    allowed.extend(each(OLDER));
    allowed.extend(conditions()?);
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok([
        program(each(&[libc::SYS_clone3]), SeccompAction::Allow, unknown)?,
        program(each(DEADLY), SeccompAction::Allow, SeccompAction::KillProcess)?,
        // The last one in: from here on seccomp(2) itself is refused.
        program(allowed, refused, SeccompAction::Allow)?,
    ])
}

/// Confines the calling thread.
pub(super) fn confine(strict: bool) -> Result<String, String> {
    let programs = programs(strict).map_err(|error| error.to_string())?;
    for program in &programs {
        seccompiler::apply_filter(program).map_err(|error| error.to_string())?;
    }
    Ok(format!("{} left", PLAIN.len() + OLDER.len()))
}
