// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Maps and counting, the same for all programs of sixtap.
// Invariant: counters.seen = redirected + passed + failed for each queue, at any time the queue is quiet.
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

// No other context of this CPU runs the program at the same time, so plain additions are enough.
// Three additions, each at its own fixed offset: with branches the compiler makes one of them at a computed offset, and the
// kernel refuses that to a process without CAP_PERFMON.
static __always_inline int counted(struct counters *counters, long verdict)
{
	counters->seen++;
	counters->redirected += verdict == XDP_REDIRECT;
	counters->passed += verdict == XDP_PASS;
	counters->failed += verdict != XDP_REDIRECT && verdict != XDP_PASS;
	return verdict;
}

// Puts `time` before the frame, 8 octets in this machine's byte order, and gives both to the socket. A frame that no socket takes
// stays as it is. XDP metadata would be the other place; not every driver has room for it, all have it for more headers.
static __always_inline int stamped(struct xdp_md *frame, __u64 time)
{
	__u32 queue = frame->rx_queue_index;
	struct counters *counters = bpf_map_lookup_elem(&queues, &queue);
	long verdict = XDP_PASS;

	if (!counters)
		return XDP_PASS;
	if (bpf_map_lookup_elem(&sockets, &queue)) {
		verdict = XDP_DROP;
		if (!bpf_xdp_adjust_head(frame, -(int)sizeof(time))) {
			__u64 *stamp = (void *)(long)frame->data;

			if ((void *)(stamp + 1) <= (void *)(long)frame->data_end) {
				*stamp = time;
				verdict = bpf_redirect_map(&sockets, queue, XDP_DROP);
			}
		}
	}
	return counted(counters, verdict);
}
