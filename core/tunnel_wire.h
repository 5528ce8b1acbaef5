/* tunnel_wire.h: what tunnel.c, tunnel_build.c and tunnel_store.c share: the
 * tunnel headers as they are on the wire, and the checksums over them. */
#ifndef TUNNEL_WIRE_H
#define TUNNEL_WIRE_H 1

#include <headgate/tunnel.h>

/* RFC 8926 3.4. */
struct geneve {
    uint8_t version_length; /* Two bits; options in units of four bytes. */
    uint8_t flags;
    hg_be16 type;
    hg_be32 vni_reserved;
};

enum { GENEVE_CONTROL = 0x80, GENEVE_CRITICAL = 0x40 };

/* RFC 8926 3.5. */
struct geneve_option {
    hg_be16 option_class;
    uint8_t type;   /* The high bit: critical. */
    uint8_t length; /* Five bits, of the data in units of four bytes. */
};

/* RFC 7348 5. */
struct vxlan {
    hg_be32 flags_reserved;
    hg_be32 vni_reserved;
};

enum { VXLAN_I = 0x08000000 };

/* RFC 2784 2.1; checksum, key and sequence number follow as flags say. */
struct gre {
    hg_be16 flags;
    hg_be16 type;
};

enum {
    GRE_CHECKSUM = 0x8000,
    GRE_ROUTING = 0x4000,
    GRE_KEY = 0x2000,
    GRE_SEQUENCE = 0x1000,
    GRE_REFUSED = 0x4c00, /* RFC 2784 2.3, without RFC 2890's two. */
    GRE_VERSION = 7
};

enum { ETHER_TYPE_MIN = 0x0600, VLAN_ID = 0x0fff };

/* The sum over UDP pseudo-header, header and payload; 0 after folding if the
 * checksum in it is right. */
uint32_t tunnel_udp_sum(const uint8_t *l3, const uint8_t *udp, uint32_t len);

#endif
