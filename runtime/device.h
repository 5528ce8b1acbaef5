/* device.h: opening what an Interface is bound to, and what devices share.
 *
 * headgate/device.h says what a device is; here are the ways to make one.
 * Each device_X.c implements one scheme and exports its open function;
 * device.c chooses among them and holds the parts they have in common.  The
 * filter of a device narrows what is received; what is sent is not looked at.
 *
 * Thread-safety: a device belongs to one worker. */
#ifndef RUNTIME_DEVICE_H
#define RUNTIME_DEVICE_H 1

#include <signal.h>

#include <headgate/device.h>

#include "libpcap.h"

struct device_options {
    const char *filter; /* pcap syntax, or NULL: everything. */
    uint64_t seed;      /* For what is drawn at random (gen:). */
    uint32_t snaplen;   /* Bytes kept of each frame; 0: all of them. */
    bool promiscuous;   /* Live: frames for other MACs are received too. */
    const struct hg_share *share; /* NULL, or a source is opened once more
                                   * for one who shares it: it stores nothing
                                   * that is sent. */
};

/* Set by a signal that ends the run: a device that makes packets
 * which its filter refuses looks no further. */
extern volatile sig_atomic_t device_stop;

/* Opens what 'spec' names:
 *     PATH  pcap:PATH   capture file that is read, '-' is standard input
 *     IN:OUT  :OUT      the same, and the file that takes what is sent
 *     gen:K=V,...       synthetic traffic          (device_gen.c)
 *     echo:[delay=T]    answers what it is sent    (device_echo.c)
 *     null:             swallows everything        (device_null.c)
 *     raw:IF or IF      network interface          (device_raw.c)
 *     tap:NAME          TAP interface              (device_tap.c)
 * Strings are copied.  NULL, with the reason in 'error', if it cannot be. */
struct hg_device *device_open(const char *spec, const struct device_options *,
                              struct hg_error *error);

/* Closes any device: false, and why, if what was sent could not be stored.
 * Without 'error' it is given up, and files of which nothing was written yet
 * stay as they were.  device_close(NULL) does nothing and is true. */
bool device_close(struct hg_device *, struct hg_error *error);

/* The open function of each scheme: 'rest' is what follows the colon.  They
 * leave hg_device.spec to device_open(). */
typedef struct hg_device *device_open_fn(const char *rest,
                                         const struct device_options *,
                                         struct hg_error *error);
device_open_fn device_pcap_open;
device_open_fn device_gen_open;
device_open_fn device_echo_open;
device_open_fn device_null_open;
device_open_fn device_raw_open;
device_open_fn device_tap_open;

/* Sets a zeroed device to what most are: offline, fd -1, receiving and
 * sending, no answers. */
void device_init(struct hg_device *, const struct hg_device_ops *);

/* Frees what device_init() and device_open() gave it (not the struct). */
void device_uninit(struct hg_device *);

/* The device fails from now on with this sentence; the first one stays. */
void device_fail(struct hg_device *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A send() that counts the packets and forgets them. */
unsigned device_swallow(struct hg_device *, struct hg_packet *const *,
                        unsigned n);

/* With a share: how many packets, of 'max', may be passed; counts one that
 * arrived at 'ns' and was; whether what belongs to no worker (frames refused
 * by a filter) is counted here; and whose a frame is, this device's or not. */
static inline unsigned
device_max(const struct hg_device *dev, unsigned max)
{
    uint64_t left = dev->max_passed - dev->n_passed;

    return dev->share && left < max ? (unsigned)left : max;
}

static inline void
device_pass(struct hg_device *dev, uint64_t ns)
{
    dev->n_passed++;
    dev->passed_ns = ns;
}

static inline bool
device_counts(const struct hg_device *dev)
{
    return !dev->share || dev->share->mine == 0;
}

/* Bit i says whether frame[i] is for the device that has this share; there are
 * 0 < 'n' <= DEVICE_OWN_MAX of them. */
enum { DEVICE_OWN_MAX = 64 };
uint64_t device_own(const struct hg_share *, const struct hg_frame *frame,
                    unsigned n);

/* The timestamp a packet gets: never before that of its predecessor, whose
 * is kept in '*last_ns'.  Counts rx_backwards. */
static inline uint64_t
device_clock(struct hg_device *dev, uint64_t *last_ns, uint64_t ns)
{
    if (ns < *last_ns) {
        dev->rx_backwards += device_counts(dev);
        return *last_ns;
    }
    return *last_ns = ns;
}

/* An option of a device: NAME=VALUE among others, separated by commas. */
struct device_option {
    const char *name;
    const char *rule; /* What a value looks like, for messages. */
    bool (*set)(void *self, const char *value);
};

/* Gives the options in 'text' to 'self'.  False, and a sentence, if one is
 * unknown, wrong or given twice. */
bool device_set_options(const char *scheme, const char *text,
                        const struct device_option *, size_t n, void *self,
                        struct hg_error *error);

/* A filter over Ethernet frames.  device_filter_init() with no text accepts
 * everything; false, and why, if the text is wrong. */
struct device_filter {
    const struct libpcap *pcap;
    struct bpf_program program;
    bool active;
};
bool device_filter_init(struct device_filter *, const char *text,
                        struct hg_error *error);
void device_filter_uninit(struct device_filter *);

/* Whether the frame passes.  'wire_len' is what "len" means in a filter. */
bool device_filter_pass(const struct device_filter *, const uint8_t *data,
                        uint32_t len, uint32_t wire_len);

#endif
