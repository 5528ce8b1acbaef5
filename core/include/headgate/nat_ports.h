/* headgate/nat_ports.h: how many flows lead from each external address of a
 * NAT to each remote endpoint, and in which order ports are tried.
 *
 *     dest = hg_nat_dest_open(ports, &key)
 *     if (hg_nat_dest_n(ports, dest) < hg_nat_dest_limit(ports))
 *         hg_nat_port_first(ports, &walk), then hg_nat_port_next(&walk)
 *         until one is free; hg_nat_dest_take(ports, dest)
 *     hg_nat_dest_close(ports, dest)
 *     ...
 *     hg_nat_dest_give_back(ports, dest)            when the flow has ended
 *
 * Where flows are is not known here (that which keeps them knows which ports
 * are free); so the limit is exact if each flow is given back when it ends.
 *
 * Of several workers each has such an account of its own, over a part of the
 * ports (owner.h).
 *
 * Memory: 27 to 37 bytes for each destination now in use; running out of it
 * ends the program.
 *
 * Thread-safety: belongs to one worker. */
#ifndef HEADGATE_NAT_PORTS_H
#define HEADGATE_NAT_PORTS_H 1

#include <headgate/owner.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_nat_ports;

/* A remote endpoint as one external address sees it.  Hashed as bytes, so
 * 'zero' must be. */
struct hg_nat_dest_key {
    uint32_t address; /* Number of the external address. */
    uint32_t remote;  /* Host order. */
    uint16_t remote_port;
    uint8_t protocol;
    uint8_t zero;
};

/* 'n_addresses' external addresses, of each of which a flow gets a port in one
 * of 'parts', which have some; each at most 'per_destination' flows for a
 * remote endpoint and protocol.  'seed' keys all hashes; with it, 'worker'
 * chooses ports.  NULL without memory. */
HG_API struct hg_nat_ports *
hg_nat_ports_create(unsigned n_addresses, const struct hg_port_parts *parts,
                    uint32_t per_destination, uint64_t seed, unsigned worker);
HG_API void hg_nat_ports_destroy(struct hg_nat_ports *);

/* Begins the cache misses of hg_nat_dest_open() for 'n' keys together. */
HG_API void hg_nat_dest_fetch(const struct hg_nat_ports *,
                              const struct hg_nat_dest_key *, unsigned n);

/* The number of the destination, never 0, which stays until it is closed or
 * given back with no flows left. */
HG_API uint32_t hg_nat_dest_open(struct hg_nat_ports *,
                                 const struct hg_nat_dest_key *);
HG_API void hg_nat_dest_close(struct hg_nat_ports *, uint32_t dest);

HG_API const struct hg_nat_dest_key *
hg_nat_dest_key(const struct hg_nat_ports *, uint32_t dest);

/* Flows there now, and how many there may be: the smaller of per_destination
 * and the ports of a part. */
HG_API uint32_t hg_nat_dest_n(const struct hg_nat_ports *, uint32_t dest);
HG_API uint32_t hg_nat_dest_limit(const struct hg_nat_ports *);

/* One more, one less. */
HG_API void hg_nat_dest_take(struct hg_nat_ports *, uint32_t dest);
HG_API void hg_nat_dest_give_back(struct hg_nat_ports *, uint32_t dest);

/* Flows of an external address, whatever their destination, and of its
 * destination that has most of them (an upper bound: it does not fall while
 * the address has flows). */
HG_API uint64_t hg_nat_ports_in_use(const struct hg_nat_ports *,
                                    uint32_t address);
HG_API uint32_t hg_nat_ports_peak(const struct hg_nat_ports *,
                                  uint32_t address);

/* The ports of a part in a random order that visits each once (RFC 6056
 * 3.3.1): a keyed hash of how many walks there were before gives the first. */
struct hg_nat_port_walk {
    const struct hg_port_parts *parts;
    unsigned part;
    uint32_t at;
    uint32_t step;
    uint32_t left;
};

HG_API void hg_nat_port_first(struct hg_nat_ports *, unsigned part,
                              struct hg_nat_port_walk *);

/* The port with which the walk begins that comes after the next 'n'. */
HG_API uint16_t hg_nat_port_ahead(const struct hg_nat_ports *, unsigned part,
                                  unsigned n);

/* The next to try; false after the last. */
HG_API bool hg_nat_port_next(struct hg_nat_port_walk *, uint16_t *port);

/* A number below 'n' for an inside address, always the same: which external
 * address it is paired with (RFC 4787 REQ-2). */
HG_API uint32_t hg_nat_ports_pair(const struct hg_nat_ports *,
                                  const void *inside, size_t size, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
