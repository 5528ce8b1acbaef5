/* libpcap.c: see libpcap.h. */
#include "libpcap.h"

#include <dlfcn.h>
#include <pthread.h>

static struct libpcap functions;
static struct hg_error failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The function 'name', or NULL. */
static void *
find(void *library, const char *name)
{
    void *function = library ? dlsym(library, name) : NULL;

    if (!function && !*failure.text)
        hg_error_set(&failure, "libpcap is needed for this: %s", dlerror());
    return function;
}

static void
load(void)
{
    void *library = dlopen(HEADGATE_LIBPCAP, RTLD_NOW | RTLD_LOCAL);

#define LIBPCAP_FIND(name)                                                    \
    *(void **)&functions.name = find(library, "pcap_" #name);
    LIBPCAP_FUNCTIONS(LIBPCAP_FIND)
#undef LIBPCAP_FIND
    *(void **)&functions.filter = find(library, "bpf_filter");
}

const struct libpcap *
libpcap_load(struct hg_error *error)
{
    pthread_once(&once, load);
    if (!*failure.text)
        return &functions;
    *error = failure;
    return NULL;
}
