/* Hash: spreads packets over its outputs by flow.
 *
 * Both directions of a flow take the same output (hg_packet_hash); fragments
 * go by addresses and protocol alone, so that all of a datagram's stay
 * together, though not with the rest of their flow. */
#include <headgate/element.h>

struct hash {
    uint32_t outputs; /* How many; they are called 0, 1, ... */
};

static bool
hash_configure(void *self_)
{
    struct hash *self = self_;

    return hg_declare_numbered_outputs(self, self->outputs);
}

static int
hash_packet(struct hash *self, struct hg_packet *p)
{
    /* The hash as a fraction of 2^32, times the number of outputs. */
    return (int)((uint64_t)hg_packet_hash(p) * self->outputs >> 32);
}

HG_ELEMENT(Hash, struct hash, hash_packet,
           .summary = "spreads flows evenly over its outputs",
           .example = "Interface lan { }\n"
                      "Hash      spread { outputs = 2 }\n"
                      "Counter   left { }\n"
                      "Counter   right { }\n"
                      "connect(\"lan -> spread\")\n"
                      "connect(\"spread[0] -> left -> lan\")\n"
                      "connect(\"spread[1] -> right -> lan\")\n",
           .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "*",
           .configure = hash_configure,
           .fields = HG_FIELDS(
               HG_OPTION(outputs, .def = "2", .min = 1, .max = 1024,
                         .doc = "number of outputs, called 0, 1 and so on")))
