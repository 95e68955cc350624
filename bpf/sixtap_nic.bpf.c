// SPDX-License-Identifier: MIT OR Apache-2.0
//
// As sixtap.bpf.c, with the time at which the NIC received the frame, by the NIC's own clock; 0 where it has none.
// An object of its own, because a program that calls a driver's function is loaded for one device, natively, and needs the kernel's
// BTF (Linux 6.3).

#include "sixtap.h"

extern int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *frame, __u64 *time) __ksym;

SEC("xdp.frags")
int sixtap_nic(struct xdp_md *frame)
{
	__u64 time = 0;

	if (bpf_xdp_metadata_rx_timestamp(frame, &time))
		time = 0;
	return stamped(frame, time);
}

char _license[] SEC("license") = "Dual MIT/GPL";
