// SPDX-License-Identifier: MIT OR Apache-2.0
//
// In: every frame of the interface, before the kernel makes a socket buffer of it.
// Out: the frame in the AF_XDP socket of its receive queue, or on its way to the kernel where no socket is.
// Invariants: counters.seen = redirected + passed + failed for each queue, at any time the queue is quiet.
// src/capture/xdp/program.rs holds the same layout of `struct counters`; it asserts the size at load time.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct counters {
	__u64 seen;       // frames the program was run for
	__u64 redirected; // frames given to a socket of this queue
	__u64 passed;     // frames left to the kernel: the queue has no socket
	__u64 failed;     // frames neither redirected nor passed
};

// One entry a receive queue; user space sets max_entries to the number of queues the interface can have.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} queues SEC(".maps");

// "xdp.frags": frames that span several buffers (jumbo frames) are taken too.
SEC("xdp.frags")
int sixtap(struct xdp_md *frame)
{
	__u32 queue = frame->rx_queue_index;
	struct counters *counters = bpf_map_lookup_elem(&queues, &queue);
	long verdict;

	if (!counters)
		return XDP_PASS;

	// No other context of this CPU runs the program at the same time, so plain additions are enough.
	counters->seen++;
	verdict = bpf_redirect_map(&sockets, queue, XDP_PASS);
	// Three additions, each at its own fixed offset: with branches the compiler makes one of them at a computed offset, and the
	// kernel refuses that to a process without CAP_PERFMON.
	counters->redirected += verdict == XDP_REDIRECT;
	counters->passed += verdict == XDP_PASS;
	counters->failed += verdict != XDP_REDIRECT && verdict != XDP_PASS;
	return verdict;
}

char _license[] SEC("license") = "Dual MIT/GPL";
