/* DecTTL: lowers the IPv4 TTL or IPv6 hop limit by one (RFC 1812 5.3.1,
 * RFC 8200 3).
 *
 * Stands where a router forwards.  A packet at or below 'floor' leaves on
 * "expired", usually wired to IcmpError; unwired, it is dropped there. */
#include <headgate/element.h>

struct dec_ttl {
    uint8_t floor;      /* Expire at or below this. */
    hg_counter expired; /* Packets that ran out. */
    hg_counter not_ip;  /* Drop reason: no IP header to look at. */
};

enum { OUT, EXPIRED };

static int
dec_ttl_packet(struct dec_ttl *self, struct hg_packet *p)
{
    uint8_t ttl;

    if (!hg_packet_is_ip(p))
        return hg_drop(&self->not_ip);
    ttl = hg_packet_ttl(p);
    if (ttl <= self->floor) {
        hg_count(&self->expired);
        return EXPIRED;
    }
    hg_packet_set_ttl(p, (uint8_t)(ttl - 1));
    return OUT;
}

HG_ELEMENT(DecTTL, struct dec_ttl, dec_ttl_packet,
           .summary = "lowers the TTL or hop limit by one",
           .example = "Interface lan { }\n"
                      "Interface wan { }\n"
                      "DecTTL    ttl { }\n"
                      "IcmpError late { type = time-exceeded  "
                      "source = 10.0.0.1 }\n"
                      "connect(\"lan -> CheckIP -> ttl -> wan\")\n"
                      "connect(\"ttl[expired] -> late -> lan\")\n",
           .flags = HG_CLASS_ANY_WORKER, .inputs = "in",
           .outputs = "out expired?", .needs = "ip",
           .fields = HG_FIELDS(
               HG_OPTION(floor, .def = "1", .max = 254, .live = true,
                         .doc = "expire packets at or below this TTL"),
               HG_COUNTER(expired, .doc = "packets whose TTL ran out"),
               HG_REASON(not_ip, .doc = "not IP")))
