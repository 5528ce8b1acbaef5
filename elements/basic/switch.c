/* Switch: sends everything to one of its outputs, which can be changed while
 * it runs.
 *
 * Hash spreads packets over outputs, Classifier chooses by what they are. */
#include <string.h>

#include <headgate/element.h>

struct switch_ {
    struct hg_string_list outputs; /* Their names. */
    char *to;                      /* NULL: the first. */
    unsigned port;                 /* The output in use. */
};

static bool
find_output(const struct switch_ *self, const char *name, unsigned *port)
{
    unsigned i;

    for (i = 0; i < self->outputs.n; i++)
        if (!strcmp(self->outputs.v[i], name)) {
            *port = i;
            return true;
        }
    return false;
}

static bool
switch_configure(void *self_)
{
    struct switch_ *self = self_;
    size_t i;

    for (i = 0; i < self->outputs.n; i++)
        if (hg_declare_output(self, self->outputs.v[i], false) < 0)
            return false;
    if (self->to && !find_output(self, self->to, &self->port))
        return hg_config_error(
            self, "to", -1, "no output '%s'; 'outputs' names them", self->to);
    return true;
}

static bool
switch_read_to(void *self_, const char *argument, FILE *out,
               struct hg_error *error)
{
    const struct switch_ *self = self_;

    if (*argument)
        return hg_error_set(error, "'to' takes no argument, not '%s'",
                            argument);
    fprintf(out, "%s\n", self->outputs.v[self->port]);
    return true;
}

static bool
switch_write_to(void *self_, const char *value, struct hg_error *error)
{
    struct switch_ *self = self_;

    return find_output(self, value, &self->port) ||
           hg_error_set(error, "no output '%s'; 'outputs' names them", value);
}

static void
switch_batch(struct switch_ *self, struct hg_batch *batch)
{
    hg_pass(self, self->port, batch);
}

/* clang-format off */
HG_BATCH_ELEMENT(Switch, struct switch_, switch_batch,
    .summary = "sends everything to one output, chosen while it runs",
    .doc = "Write the handler 'to' to change over, for instance with "
           "'headgate run --write SWITCH.to=OUTPUT'.",
    .example = "Interface lan { }\n"
               "Interface main { }\n"
               "Interface spare { }\n"
               "Switch    uplink { outputs = { main, spare }  to = main }\n"
               "connect(\"lan -> uplink\")\n"
               "connect(\"uplink[main] -> main\")\n"
               "connect(\"uplink[spare] -> spare\")\n",
    .flags = HG_CLASS_ANY_WORKER,
    .inputs = "in", .outputs = "*", .configure = switch_configure,
    .fields = HG_FIELDS(
        HG_OPTION(outputs, .required = true, .min_n = 1, .max_n = 1024,
                  .doc = "names of the outputs"),
        HG_OPTION(to, .doc = "output to start with; not given: the first")),
    .handlers = HG_HANDLERS({.name = "to",
                             .doc = "the output in use",
                             .read = switch_read_to,
                             .write = switch_write_to}))
/* clang-format on */
