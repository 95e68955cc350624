// SPDX-License-Identifier: MIT OR Apache-2.0
//
// In: every frame of the interface, before the kernel makes a socket buffer of it.
// Out: the frame in the AF_XDP socket of its receive queue, or on its way to the kernel where no socket is.
// One of the two programs is loaded. "xdp.frags": frames that span several buffers (jumbo frames) are taken too.

#include "sixtap.h"

// The worker stamps a batch.
SEC("xdp.frags")
int sixtap(struct xdp_md *frame)
{
	__u32 queue = frame->rx_queue_index;
	struct counters *counters = bpf_map_lookup_elem(&queues, &queue);

	if (!counters)
		return XDP_PASS;
	return counted(counters, bpf_redirect_map(&sockets, queue, XDP_PASS));
}

// Each frame is stamped here, with CLOCK_MONOTONIC.
SEC("xdp.frags")
int sixtap_clock(struct xdp_md *frame)
{
	return stamped(frame, bpf_ktime_get_ns());
}

char _license[] SEC("license") = "Dual MIT/GPL";
