/* Classifier: sorts packets by filters in pcap syntax.
 *
 * Filters are compiled by libpcap when the graph is built and tried from top
 * to bottom on the Ethernet frame as it is here; the first that matches names
 * the output, what none matches leaves on "rest".  Hash and Switch are the
 * ways to choose an output without looking at the packet's meaning. */
#include <stdlib.h>

#include <pcap/pcap.h>

#include <headgate/element.h>

struct match {
    char *output; /* Title of the subsection, and name of the output. */
    char *filter;
};

struct classifier {
    HG_ROWS_OF(struct match) match;
    struct bpf_program *programs; /* One for each match. */
    size_t n_programs;            /* Those that compiled. */
};

enum { REST };

static bool
compile(struct classifier *self, pcap_t *pcap)
{
    size_t i;
    bool ok = true;

    for (i = 0; i < self->match.n; i++) {
        const struct match *row = &self->match.row[i];

        if (hg_declare_output(self, row->output, false) < 0) {
            ok = false;
        } else if (pcap_compile(pcap, &self->programs[self->n_programs],
                                row->filter, 1, PCAP_NETMASK_UNKNOWN)) {
            hg_config_error(self, "match", (int)i,
                            "'%s' is no filter in pcap syntax: %s",
                            row->filter, pcap_geterr(pcap));
            ok = false;
        } else {
            self->n_programs++;
        }
    }
    return ok;
}

static bool
classifier_configure(void *self_)
{
    struct classifier *self = self_;
    pcap_t *pcap = pcap_open_dead(DLT_EN10MB, HG_PACKET_MAX);
    bool ok;

    self->programs = calloc(self->match.n, sizeof *self->programs);
    if (!pcap || !self->programs)
        ok = hg_config_error(self, NULL, -1, "no memory to compile filters");
    else
        ok = compile(self, pcap);
    if (pcap)
        pcap_close(pcap);
    return ok;
}

static void
classifier_free(void *self_)
{
    struct classifier *self = self_;
    size_t i;

    for (i = 0; i < self->n_programs; i++)
        pcap_freecode(&self->programs[i]);
    free(self->programs);
}

static int
classifier_packet(struct classifier *self, struct hg_packet *p)
{
    size_t i;

    for (i = 0; i < self->n_programs; i++)
        if (bpf_filter(self->programs[i].bf_insns, p->data, p->wire_len,
                       p->len))
            return (int)i + 1;
    return REST;
}

static const struct hg_field match_fields[] = {
    HG_ROW_OPTION(struct match, output, .title = true, .required = true,
                  .doc = "name of the output"),
    HG_ROW_OPTION(struct match, filter, .required = true,
                  .doc = "pcap expression, as of tcpdump"),
};

/* clang-format off */
HG_ELEMENT(Classifier, struct classifier, classifier_packet,
    .summary = "sends packets to the output of the first pcap filter "
               "that matches",
    .doc = "Packets in a VLAN match filters that say 'vlan' only, as "
           "with tcpdump.",
    .example = "Interface  lan { }\n"
               "Classifier kind {\n"
               "    match web { filter = \"tcp port 80 or 443\" }\n"
               "    match dns { filter = \"udp port 53\" }\n"
               "}\n"
               "connect(\"lan -> kind\")\n"
               "connect(\"kind[web] -> lan\")\n"
               "connect(\"kind[dns] -> Discard\")\n",
    .flags = HG_CLASS_ANY_WORKER,
    .inputs = "in", .outputs = "rest? *", .configure = classifier_configure,
    .free = classifier_free,
    .fields = HG_FIELDS(HG_ROWS(match, match_fields, .min_n = 1, .max_n = 1024,
                                .doc = "an output and what leaves there")))
/* clang-format on */
