/* Interface: where packets enter and leave a graph.
 *
 * The element has no I/O of its own.  The program binds a device to it by its
 * name ("headgate run GRAPH inside=eth0"; core/include/headgate/device.h),
 * puts what the device receives out of "out", and this element hands what
 * comes in to the device. */
#include <headgate/element.h>

struct interface {
    char *device;           /* Used when the command line names none. */
    char *filter;           /* pcap expression for what is received. */
    hg_counter send_failed; /* Drop reason: the device would not take it. */
};

static void
interface_batch(struct interface *self, struct hg_batch *batch)
{
    hg_transmit(self, batch, &self->send_failed);
}

/* clang-format off */
HG_BATCH_ELEMENT(Interface, struct interface, interface_batch,
    .summary = "receives packets from a device and sends packets to it",
    .doc = "A device is a capture file, a network interface or a generator; "
           "see 'headgate run --help' for all of them.  The command line "
           "binds one by the element's name and wins over 'device'.",
    .example = "Interface lan { device = in.pcap:out.pcap  filter = \"ip\" }\n"
               "connect(\"lan -> Counter -> lan\")\n",
    .flags = HG_CLASS_DEVICE, .inputs = "in?", .outputs = "out?",
    .fields = HG_FIELDS(
        HG_OPTION(device, .doc = "device to use unless the command line "
                                 "names one"),
        HG_OPTION(filter, .doc = "receive only what matches this pcap "
                                 "expression"),
        HG_REASON(send_failed, .doc = "the device could not send it")))
/* clang-format on */
