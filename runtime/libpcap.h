/* libpcap.h: libpcap, which is loaded when something needs it: captures that
 * are no classic pcap files of Ethernet, filters, names of link layers.  With
 * the libraries that it brings (D-Bus, systemd, cryptography) it takes a third
 * of the time in which the program starts.
 *
 * Thread-safety: any thread may ask for it. */
#ifndef RUNTIME_LIBPCAP_H
#define RUNTIME_LIBPCAP_H 1

#include <headgate/types.h>
#include <pcap/pcap.h>

#define LIBPCAP_FUNCTIONS(F)                                                  \
    F(close)                                                                  \
    F(compile)                                                                \
    F(datalink)                                                               \
    F(datalink_val_to_name)                                                   \
    F(fopen_offline_with_tstamp_precision)                                    \
    F(freecode)                                                               \
    F(geterr)                                                                 \
    F(next_ex)                                                                \
    F(open_dead)

/* Its functions, without "pcap_". */
struct libpcap {
#define LIBPCAP_MEMBER(name) __typeof__(pcap_##name) *name;
    LIBPCAP_FUNCTIONS(LIBPCAP_MEMBER)
#undef LIBPCAP_MEMBER
    __typeof__(bpf_filter) *filter;
};

/* NULL, and why, if it cannot be loaded. */
const struct libpcap *libpcap_load(struct hg_error *);

#endif
