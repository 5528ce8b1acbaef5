/* Tee: sends a copy of every packet to each of its outputs.
 *
 * Copies are whole, so that what follows may rewrite them; the packet itself
 * leaves by the last output, behind its copies. */
#include <headgate/element.h>

struct tee {
    uint32_t outputs;      /* How many; they are called 0, 1, ... */
    hg_counter not_copied; /* Copies not made for want of memory. */
};

static bool
tee_configure(void *self_)
{
    struct tee *self = self_;

    return hg_declare_numbered_outputs(self, self->outputs);
}

static int
tee_packet(struct tee *self, struct hg_packet *p)
{
    unsigned port, last = self->outputs - 1;

    for (port = 0; port < last; port++) {
        struct hg_packet *copy = hg_clone(self, p);

        if (copy)
            hg_emit(self, port, copy);
        else
            hg_count(&self->not_copied);
    }
    return (int)last;
}

HG_ELEMENT(Tee, struct tee, tee_packet,
           .summary = "copies every packet to each of its outputs",
           .example = "Interface lan { }\n"
                      "Interface tap { }\n"
                      "Tee       tee { outputs = 2 }\n"
                      "connect(\"lan -> tee\")\n"
                      "connect(\"tee[0] -> tap\")\n"
                      "connect(\"tee[1] -> lan\")\n",
           .flags = HG_CLASS_ANY_WORKER, .inputs = "in", .outputs = "*",
           .configure = tee_configure,
           .fields = HG_FIELDS(
               HG_OPTION(outputs, .def = "2", .min = 1, .max = 64,
                         .doc = "number of outputs, called 0, 1 and so on"),
               HG_COUNTER(not_copied,
                          .doc = "copies not made for want of memory")))
