/* device.c: which device a spec means, and what all devices share (see
 * device.h). */
#include "device.h"

#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <headgate/diag.h>

volatile sig_atomic_t device_stop;

#define N(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *name;
    device_open_fn *open;
} schemes[] = {
    {"pcap", device_pcap_open}, {"raw", device_raw_open},
    {"tap", device_tap_open},   {"gen", device_gen_open},
    {"echo", device_echo_open}, {"null", device_null_open},
};

/* ---- Specs ------------------------------------------------------------ */

/* The open function of what stands before the first colon; NULL if that is
 * no scheme. */
static device_open_fn *
find_scheme(const char *spec, const char **rest)
{
    const char *colon = strchr(spec, ':');
    size_t i, n = colon ? (size_t)(colon - spec) : 0;

    for (i = 0; i < N(schemes); i++) {
        if (strlen(schemes[i].name) != n ||
            strncmp(schemes[i].name, spec, n) != 0)
            continue;
        *rest = colon + 1;
        return schemes[i].open;
    }
    return NULL;
}

static bool
ends_with(const char *text, size_t n, const char *suffix)
{
    size_t k = strlen(suffix);

    return n >= k && strncmp(text + n - k, suffix, k) == 0;
}

/* Whether the first 'n' bytes name a file by their looks. */
static bool
looks_like_file(const char *text, size_t n)
{
    static const char *const packed[] = {".gz", ".zst"};
    static const char *const suffixes[] = {".pcap", ".cap", ".pcapng"};
    size_t i;

    if ((n == 1 && *text == '-') || memchr(text, '/', n))
        return true;
    for (i = 0; i < N(packed); i++)
        if (ends_with(text, n, packed[i]))
            n -= strlen(packed[i]);
    for (i = 0; i < N(suffixes); i++)
        if (ends_with(text, n, suffixes[i]))
            return true;
    return false;
}

static bool
exists(const char *text, size_t n)
{
    char *path = strndup(text, n);
    bool found = path && access(path, F_OK) == 0;

    free(path);
    return found;
}

/* Whether 'spec' is IN, IN:OUT or :OUT. */
static bool
is_capture(const char *spec)
{
    const char *colon = strrchr(spec, ':');
    size_t n = strlen(spec);

    if (colon == spec || looks_like_file(spec, n) || exists(spec, n))
        return true;
    n = colon ? (size_t)(colon - spec) : 0;
    return n > 0 && (looks_like_file(spec, n) || exists(spec, n));
}

static void
report_unknown(const char *spec, struct hg_error *error)
{
    static const char forms[] =
        "a device is a capture file, IN:OUT, an interface, gen:, echo:, "
        "null:, raw:IF or tap:NAME";
    const char *words[N(schemes)];
    size_t i, n = strcspn(spec, ":");
    const char *near;
    char *word;

    if (!spec[n]) {
        hg_error_set(error,
                     "there is no file and no network interface '%s'; %s",
                     spec, forms);
        return;
    }
    for (i = 0; i < N(schemes); i++)
        words[i] = schemes[i].name;
    word = strndup(spec, n);
    near = word ? hg_nearest(word, words, N(words)) : NULL;
    if (near)
        hg_error_set(error, "no device '%s:'; did you mean '%s:'?", word,
                     near);
    else
        hg_error_set(error, "no device '%.*s:'; %s", (int)n, spec, forms);
    free(word);
}

static device_open_fn *
choose(const char *spec, const char **rest)
{
    device_open_fn *open = find_scheme(spec, rest);

    if (open)
        return open;
    *rest = spec;
    if (*spec && is_capture(spec))
        return device_pcap_open;
    return if_nametoindex(spec) ? device_raw_open : NULL;
}

struct hg_device *
device_open(const char *spec, const struct device_options *options,
            struct hg_error *error)
{
    const char *rest;
    device_open_fn *open = choose(spec, &rest);
    struct hg_device *dev;

    if (!open) {
        report_unknown(spec, error);
        return NULL;
    }
    dev = open(rest, options, error);
    if (!dev)
        return NULL;
    dev->spec = strdup(spec);
    if (dev->spec)
        return dev;
    device_close(dev, NULL);
    hg_error_set(error, "no memory to open '%s'", spec);
    return NULL;
}

bool
device_close(struct hg_device *dev, struct hg_error *error)
{
    return !dev || dev->ops->close(dev, error);
}

/* ---- Options ---------------------------------------------------------- */

/* "no option 'flwos' in 'gen:'; did you mean 'flows'?" */
static bool
unknown_option(const char *scheme, const char *name,
               const struct device_option *options, size_t n,
               struct hg_error *error)
{
    const char *words[32];
    char list[256] = "";
    const char *near;
    size_t i, at = 0;

    for (i = 0; i < n && i < N(words); i++) {
        words[i] = options[i].name;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s",
                               i ? ", " : "", words[i]);
    }
    near = hg_nearest(name, words, i);
    if (near)
        return hg_error_set(error,
                            "no option '%s' in '%s:'; did you mean "
                            "'%s'?",
                            name, scheme, near);
    return hg_error_set(error, "no option '%s' in '%s:'; there is %s", name,
                        scheme, list);
}

static bool
set_option(const char *scheme, char *text, const struct device_option *options,
           size_t n, uint64_t *given, void *self, struct hg_error *error)
{
    char *value = strchr(text, '=');
    size_t i;

    if (!value)
        return hg_error_set(error,
                            "'%s' in '%s:' has no value; write "
                            "NAME=VALUE,NAME=VALUE",
                            text, scheme);
    *value++ = '\0';
    for (i = 0; i < n; i++)
        if (strcmp(options[i].name, text) == 0)
            break;
    if (i == n)
        return unknown_option(scheme, text, options, n, error);
    if (*given & UINT64_C(1) << i)
        return hg_error_set(error, "'%s=%s' gives '%s' in '%s:' a second time",
                            text, value, text, scheme);
    *given |= UINT64_C(1) << i;
    if (!options[i].set(self, value))
        return hg_error_set(error, "'%s' is no '%s' for '%s:'; it is %s",
                            value, text, scheme, options[i].rule);
    return true;
}

bool
device_set_options(const char *scheme, const char *text,
                   const struct device_option *options, size_t n, void *self,
                   struct hg_error *error)
{
    char *copy = strdup(text), *rest = copy, *word;
    uint64_t given = 0;
    bool right = true;

    if (!copy)
        return hg_error_set(error, "no memory for '%s:%s'", scheme, text);
    while (right && *text && (word = strsep(&rest, ",")))
        right = set_option(scheme, word, options, n, &given, self, error);
    free(copy);
    return right;
}

/* ---- Shared parts ----------------------------------------------------- */

void
device_init(struct hg_device *dev, const struct hg_device_ops *ops)
{
    dev->ops = ops;
    dev->fd = -1;
    dev->can_receive = true;
    dev->can_send = true;
    dev->min_delay_ns = HG_NEVER;
}

void
device_uninit(struct hg_device *dev)
{
    free(dev->spec);
    dev->spec = NULL;
}

void
device_fail(struct hg_device *dev, const char *format, ...)
{
    va_list args;

    if (dev->failed)
        return;
    dev->failed = true;
    va_start(args, format);
    vsnprintf(dev->error.text, sizeof dev->error.text, format, args);
    va_end(args);
}

/* Whose a frame is that has to be parsed for that. */
static unsigned
owner_parsed(const struct hg_share *share, const struct hg_frame *f)
{
    enum { HALF = offsetof(struct hg_packet, src_eni) };
    struct hg_packet view;

    /* In two: one memset() of both becomes a slow "rep stos". */
    memset(&view, 0, HALF);
    memset((uint8_t *)&view + HALF, 0,
           offsetof(struct hg_packet, meta) - HALF);
    view.data = (uint8_t *)(uintptr_t)f->data;
    view.len = f->len;
    view.wire_len = f->wire_len;
    hg_packet_parse(&view);
    return share->owner(share->aux, &view);
}

uint64_t
device_own(const struct hg_share *share, const struct hg_frame *frame,
           unsigned n)
{
    uint64_t left, own = share->glance(share->aux, frame, n, &left);

    for (left &= UINT64_MAX >> (DEVICE_OWN_MAX - n); left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint64_t is_mine = owner_parsed(share, &frame[i]) == share->mine;

        own |= is_mine << i;
    }
    return own;
}

unsigned
device_swallow(struct hg_device *dev, struct hg_packet *const *p, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        dev->tx_bytes += p[i]->len;
    dev->tx_packets += n;
    hg_packet_free_many(p, n);
    return n;
}

/* ---- Filters ---------------------------------------------------------- */

bool
device_filter_init(struct device_filter *f, const char *text,
                   struct hg_error *error)
{
    pcap_t *pcap;

    f->active = false;
    if (!text)
        return true;
    f->pcap = libpcap_load(error);
    if (!f->pcap)
        return false;
    pcap = f->pcap->open_dead(DLT_EN10MB, HG_PACKET_MAX);
    if (!pcap)
        return hg_error_set(error, "no memory for filter '%s'", text);
    f->active = f->pcap->compile(pcap, &f->program, text, 1,
                                 PCAP_NETMASK_UNKNOWN) == 0;
    if (!f->active)
        hg_error_set(error, "wrong filter '%s': %s", text,
                     f->pcap->geterr(pcap));
    f->pcap->close(pcap);
    return f->active;
}

void
device_filter_uninit(struct device_filter *f)
{
    if (f->active)
        f->pcap->freecode(&f->program);
    f->active = false;
}

bool
device_filter_pass(const struct device_filter *f, const uint8_t *data,
                   uint32_t len, uint32_t wire_len)
{
    return !f->active ||
           f->pcap->filter(f->program.bf_insns, data, wire_len, len) != 0;
}
