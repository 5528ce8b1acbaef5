/* EtherRewrite: sets the MAC addresses of a frame, as a router does on its
 * way out (IEEE 802.3 3.2).
 *
 * VLAN tags, type and everything behind stay as they are. */
#include <string.h>

#include <headgate/element.h>

struct ether_rewrite {
    struct hg_mac src; /* All zero: stays. */
    struct hg_mac dst;
    bool swap;            /* First exchange the two. */
    hg_counter too_short; /* Drop reason: no Ethernet header. */
};

enum { OUT };

static bool
is_set(const struct hg_mac *mac)
{
    static const struct hg_mac zero;

    return memcmp(mac, &zero, sizeof zero) != 0;
}

static bool
ether_rewrite_configure(void *self_)
{
    struct ether_rewrite *self = self_;

    if (is_set(&self->src) || is_set(&self->dst) || self->swap)
        return true;
    return hg_config_error(self, NULL, -1,
                           "it would change nothing; give 'src', 'dst' or "
                           "'swap = true'");
}

static int
ether_rewrite_packet(struct ether_rewrite *self, struct hg_packet *p)
{
    struct hg_eth *eth = hg_packet_eth(p);

    if (!eth)
        return hg_drop(&self->too_short);
    if (self->swap) {
        struct hg_mac mac = eth->src;

        eth->src = eth->dst;
        eth->dst = mac;
    }
    if (is_set(&self->src))
        eth->src = self->src;
    if (is_set(&self->dst))
        eth->dst = self->dst;
    return OUT;
}

HG_ELEMENT(EtherRewrite, struct ether_rewrite, ether_rewrite_packet,
           .summary = "sets or swaps a frame's MAC addresses",
           .example = "Interface    lan { }\n"
                      "Interface    wan { }\n"
                      "EtherRewrite hop {\n"
                      "    src = 02:00:00:00:00:01\n"
                      "    dst = 02:00:00:00:00:fe\n"
                      "}\n"
                      "connect(\"lan -> hop -> wan\")\n",
           .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "out",
           .configure = ether_rewrite_configure,
           .fields = HG_FIELDS(
               HG_OPTION(src, .live = true,
                         .doc = "new source; not given or all zero: stays"),
               HG_OPTION(dst, .live = true,
                         .doc = "new destination; not given or all zero: "
                                "stays"),
               HG_OPTION(swap, .live = true, .doc = "exchange the two first"),
               HG_REASON(too_short, .doc = "shorter than an Ethernet header")))
