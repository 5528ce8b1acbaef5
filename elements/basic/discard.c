/* Discard: ends every packet that reaches it, and counts it.
 *
 * An output that may stay unwired does the same; this says that it is
 * meant. */
#include <headgate/element.h>

struct discard {
    hg_counter discarded; /* Drop reason. */
};

static int
discard_packet(struct discard *self, struct hg_packet *p)
{
    (void)p;
    return hg_drop(&self->discarded);
}

HG_ELEMENT(Discard, struct discard, discard_packet,
           .summary = "drops every packet",
           .example = "Interface lan { }\n"
                      "connect(\"lan -> Discard\")\n",
           .flags = HG_CLASS_ANY_WORKER, .inputs = "in",
           .fields = HG_FIELDS(HG_REASON(discarded, .doc = "came here")))
