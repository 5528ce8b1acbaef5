/* headgate/device.h: what an Interface is bound to.
 *
 * A device brings packets in and takes them out: a capture file, a network
 * interface, a generator.  The core only knows this interface; the runtime
 * implements it (runtime/device_*.c) and binds devices to the Interface
 * elements of a graph.
 *
 * Thread-safety: a device belongs to one worker. */
#ifndef HEADGATE_DEVICE_H
#define HEADGATE_DEVICE_H 1

#include <headgate/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hg_device;

/* One device each for several workers, all of the same source: each receives
 * the packets whose owner it is, and passes over the others, which costs it
 * next to nothing. */
struct hg_share {
    /* Whose a packet is that was parsed; packets of one flow have one owner.
     * 'aux' is that below. */
    unsigned (*owner)(void *aux, struct hg_packet *);
    /* Of 'n' Ethernet frames, at most 64: bit i says that frame[i] is mine,
     * as its addresses tell; bit i of '*unsaid' that they do not, and it has
     * to be parsed. */
    uint64_t (*glance)(void *aux, const struct hg_frame *frame, unsigned n,
                       uint64_t *unsaid);
    void *aux;
    unsigned mine;
};

struct hg_device_ops {
    const char *scheme; /* "pcap", "raw", "gen" ... */

    /* When the next packet arrives: its timestamp, or HG_NEVER if there will
     * be none (offline) or none is waiting (live).  A live device returns 0
     * or the timestamp when packets wait. */
    uint64_t (*next_ns)(struct hg_device *);

    /* Takes up to 'max' packets that arrive at or before 'until_ns' and
     * returns how many; the caller owns them.  data, len, wire_len and
     * time_ns are set, the frame is Ethernet; parsing is the caller's.  With
     * a share it also ends where n_passed is max_passed. */
    unsigned (*receive)(struct hg_device *, struct hg_pool *,
                        struct hg_packet **out, unsigned max,
                        uint64_t until_ns);

    /* Sends packets and takes ownership of all of them; returns how many
     * could be sent.  The first 'sent' of them were. */
    unsigned (*send)(struct hg_device *, struct hg_packet *const *,
                     unsigned n);

    /* Called after each round of the run loop: live devices push out what
     * send() collected.  May be NULL. */
    void (*flush)(struct hg_device *);

    /* Finishes (flushes files) and frees.  False, and why, if what was sent
     * could not be stored.  Without an error the device is given up before
     * anything ran: nothing is to be written. */
    bool (*close)(struct hg_device *, struct hg_error *);
};

struct hg_device {
    const struct hg_device_ops *ops;
    char *spec; /* As the user wrote it; owned. */
    bool live;  /* Its clock is the kernel's. */
    bool can_receive;
    bool can_send;
    bool failed;           /* Reading or writing ended early; see 'error'. */
    int fd;                /* Live: readable when packets wait; else -1. */
    uint64_t min_delay_ns; /* Of a device that answers (echo:): no reply
                            * arrives sooner than this; else HG_NEVER. */
    uint64_t rx_packets;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t tx_bytes;
    uint64_t rx_filtered;  /* Refused by the filter; not in rx_packets. */
    uint64_t rx_unusable;  /* Not made into Ethernet, or no memory. */
    uint64_t rx_missed;    /* Lost by the kernel (live). */
    uint64_t tx_failed;    /* Could not be sent. */
    uint64_t rx_backwards; /* Timestamps before their predecessor's. */
    uint64_t input_size;   /* Bytes of the file, 0 if unknown (progress). */
    uint64_t input_done;   /* Bytes of it read so far. */
    struct hg_error error;

    /* Sources that are shared. */
    bool can_share;               /* Opened again, it gives the same. */
    const struct hg_share *share; /* NULL: all packets are its own. */
    uint64_t n_passed;            /* Packets received or passed over, ... */
    uint64_t passed_ns;           /* ... when the last one arrived, and ... */
    uint64_t max_passed;          /* ... how many there may be. */
};

#ifdef __cplusplus
}
#endif
#endif
