/* util.c: memory while building; see graph_internal.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "graph_internal.h"

static void *
check(void *p)
{
    if (!p) {
        fputs("headgate: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

void *
xcalloc(size_t n, size_t size)
{
    return check(calloc(n ? n : 1, size ? size : 1));
}

void *
xrealloc(void *p, size_t size)
{
    return check(realloc(p, size ? size : 1));
}

char *
xstrdup(const char *s)
{
    return (char *)check(strdup(s));
}

char *
xasprintf(const char *format, ...)
{
    va_list args;
    char *s = NULL;

    va_start(args, format);
    if (vasprintf(&s, format, args) < 0)
        s = NULL;
    va_end(args);
    return (char *)check(s);
}
