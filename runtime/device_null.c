/* device_null.c: swallows what it is sent and never receives. */
#include "device.h"

#include <stdlib.h>

static uint64_t
null_next_ns(struct hg_device *dev)
{
    (void)dev;
    return HG_NEVER;
}

static unsigned
null_receive(struct hg_device *dev, struct hg_pool *pool,
             struct hg_packet **out, unsigned max, uint64_t until_ns)
{
    (void)dev;
    (void)pool;
    (void)out;
    (void)max;
    (void)until_ns;
    return 0;
}

static bool
null_close(struct hg_device *dev, struct hg_error *error)
{
    (void)error;
    device_uninit(dev);
    free(dev);
    return true;
}

static const struct hg_device_ops null_ops = {
    .scheme = "null",
    .next_ns = null_next_ns,
    .receive = null_receive,
    .send = device_swallow,
    .close = null_close,
};

struct hg_device *
device_null_open(const char *rest, const struct device_options *options,
                 struct hg_error *error)
{
    struct device_filter filter;
    struct hg_device *dev;

    if (*rest) {
        hg_error_set(error, "'null:' takes no options, not '%s'", rest);
        return NULL;
    }
    /* It has nothing to do, but a wrong one is a mistake here as well. */
    if (!device_filter_init(&filter, options->filter, error))
        return NULL;
    device_filter_uninit(&filter);
    dev = calloc(1, sizeof *dev);
    if (!dev) {
        hg_error_set(error, "no memory to open 'null:'");
        return NULL;
    }
    device_init(dev, &null_ops);
    dev->can_receive = false;
    dev->can_share = true;
    return dev;
}
