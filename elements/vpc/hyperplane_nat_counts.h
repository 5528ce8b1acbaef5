/* hyperplane_nat_counts.h: what comes in by HyperplaneNAT and what becomes of
 * it, counted a batch at a time: at once if all its packets are of one kind,
 * as mostly, else in runs of those that are. */
#ifndef HYPERPLANE_NAT_COUNTS_H
#define HYPERPLANE_NAT_COUNTS_H 1

#include <string.h>

#include "hyperplane_nat_gateways.h"

/* ---- What comes in ---------------------------------------------------- */

/* When the window of the peaks ends that this time is in. */
static uint64_t
window_end(uint64_t now_ns)
{
    const uint64_t length = PEAK_SECONDS * HG_SEC;

    return (now_ns / length + 1) * length;
}

/* Counts 'n' packets within one window. */
static void
add_to_peak(struct nat_peak *peak, uint64_t now_ns, unsigned n, uint64_t bytes)
{
    if (now_ns >= peak->window_end_ns) {
        peak->window_end_ns = window_end(now_ns);
        peak->bytes = peak->packets = 0;
    }
    peak->bytes += bytes;
    peak->packets += n;
    if (peak->bytes > peak->most_bytes)
        peak->most_bytes = peak->bytes;
    if (peak->packets > peak->most_packets)
        peak->most_packets = peak->packets;
}

/* Counts packets that came in for one gateway, or for none, within one
 * window of the peaks, and from one side. */
static void
count_in(struct hyperplane_nat *self, struct gateway *gw,
         const struct hg_packet *first, unsigned n, uint64_t bytes)
{
    if (first->in_port != OUTSIDE) {
        METRIC(self, gw, packets_in_from_source, n);
        METRIC(self, gw, bytes_in_from_source, bytes);
    } else {
        METRIC(self, gw, packets_in_from_destination, n);
        METRIC(self, gw, bytes_in_from_destination, bytes);
    }
    add_to_peak(&self->peak, first->time_ns, n, bytes);
    if (gw)
        add_to_peak(&gw->peak, first->time_ns, n, bytes);
}

static void
count_arrivals(struct hyperplane_nat *self, const struct hg_batch *batch,
               struct gateway *const *gateway)
{
    unsigned at = 0, i;

    for (i = 0; at < batch->n; at = i) {
        const struct hg_packet *first = batch->p[at];
        uint64_t end_ns = window_end(first->time_ns), bytes = 0;

        for (;
             i < batch->n && gateway[i] == gateway[at] &&
             batch->p[i]->time_ns < end_ns &&
             (batch->p[i]->in_port != OUTSIDE) == (first->in_port != OUTSIDE);
             i++)
            bytes += hg_packet_ip_bytes(batch->p[i]);
        count_in(self, gateway[at], first, i - at, bytes);
    }
}

/* Finds the gateways of a batch and counts what came in.  Returns the bytes of
 * all if they are of one gateway and side, as mostly, else 0. */
static uint64_t
receive(struct hyperplane_nat *self, const struct hg_batch *batch,
        struct gateway **gateway)
{
    const struct hg_packet *first = batch->p[0];
    const unsigned n = batch->n;
    unsigned other_ports = 0, i;
    uint64_t bytes = 0;
    bool alike = batch->p[n - 1]->time_ns < window_end(first->time_ns);

    for (i = 0; i < n; i++) {
        other_ports |= batch->p[i]->in_port ^ first->in_port;
        bytes += hg_packet_ip_bytes(batch->p[i]);
    }
    if (!other_ports && first->in_port != OUTSIDE && self->one_for_all) {
        for (i = 0; i < n; i++)
            gateway[i] = self->gateways;
    } else {
        for (i = 0; i < n; i++) {
            gateway[i] = gateway_of(self, batch->p[i]);
            alike &= gateway[i] == gateway[0];
        }
    }
    if (!alike || other_ports) {
        count_arrivals(self, batch, gateway);
        return 0;
    }
    count_in(self, gateway[0], first, n, bytes);
    return bytes;
}

/* ---- What becomes of it ----------------------------------------------- */

static void
count_verdicts(struct hyperplane_nat *self, const struct hg_batch *batch,
               struct gateway *const *gateway, const int16_t *verdict)
{
    unsigned at = 0, i;

    for (i = 0; at < batch->n; at = i) {
        uint64_t bytes = 0;

        for (; i < batch->n && gateway[i] == gateway[at] &&
               verdict[i] == verdict[at];
             i++)
            if (verdict[at] >= 0)
                bytes += hg_packet_ip_bytes(batch->p[i]);
        if (verdict[at] >= 0)
            count_out(self, gateway[at], (unsigned)verdict[at], i - at, bytes);
        else if (verdict[at] == HG_DROPPED)
            METRIC(self, gateway[at], packets_drop_count, i - at);
    }
}

/* Counts what became of them; 'bytes' as above. */
static void
count_fates(struct hyperplane_nat *self, const struct hg_batch *batch,
            struct gateway *const *gateway, const int16_t *verdict,
            uint64_t bytes)
{
    bool alike =
        bytes && verdict[0] >= 0 && !self->has_gone && !self->has_resized &&
        !memcmp(verdict, verdict + 1, (batch->n - 1u) * sizeof(*verdict));

    if (alike)
        count_out(self, gateway[0], (unsigned)verdict[0], batch->n, bytes);
    else
        count_verdicts(self, batch, gateway, verdict);
}

#endif
