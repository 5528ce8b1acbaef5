/* route_text.c: see route_text.h. */
#include <string.h>

#include <headgate/route_text.h>

static bool
set_name(char *to, size_t size, const char *name, const char *value,
         struct hg_error *error)
{
    if (strlen(value) >= size)
        return hg_error_set(error, "%s '%.40s...' is longer than %zu bytes",
                            name, value, size - 1);
    strcpy(to, value);
    return true;
}

/* The place of a word among words separated by spaces, or -1. */
static int
word_index(const char *words, const char *word)
{
    size_t n = strlen(word);
    int i = 0;

    for (; n && *words; i++) {
        size_t len = strcspn(words, " ");

        if (len == n && !memcmp(words, word, n))
            return i;
        words += len;
        words += strspn(words, " ");
    }
    return -1;
}

static bool
set_number(uint32_t *to, const char *name, const char *value, uint32_t max,
           struct hg_error *error)
{
    uint64_t n;

    if (!hg_number_parse(value, &n) || n > max)
        return hg_error_set(error, "%s '%s' is not a number up to %u", name,
                            value, max);
    *to = (uint32_t)n;
    return true;
}

static bool
set_type(struct hg_route_text *route, const char *value,
         struct hg_error *error)
{
    route->propagated = !strcmp(value, "propagated");
    return route->propagated || !strcmp(value, "static") ||
           hg_error_set(error, "type '%s' is neither static nor propagated",
                        value);
}

static bool
set_source(struct hg_route_text *route, const char *value,
           struct hg_error *error)
{
    int i = word_index(HG_ROUTE_SOURCES, value);

    if (i < 0)
        return hg_error_set(error, "source '%s' is none of: %s", value,
                            HG_ROUTE_SOURCES);
    route->source = (uint8_t)i;
    return true;
}

bool
hg_route_text_set(struct hg_route_text *route, const char *name,
                  const char *value, struct hg_error *error)
{
    if (!strcmp(name, "destination"))
        return set_name(route->destination, sizeof route->destination, name,
                        value, error);
    if (!strcmp(name, "target"))
        return set_name(route->target, sizeof route->target, name, value,
                        error);
    if (!strcmp(name, "table"))
        return set_name(route->table, sizeof route->table, name, value, error);
    if (!strcmp(name, "origin"))
        return set_name(route->origin, sizeof route->origin, name, value,
                        error);
    if (!strcmp(name, "type"))
        return !*value || set_type(route, value, error);
    if (!strcmp(name, "source"))
        return !*value || set_source(route, value, error);
    if (!strcmp(name, "as-path"))
        return !*value ||
               set_number(&route->as_path, name, value, 0xffff, error);
    if (!strcmp(name, "med")) {
        route->med_given = *value != '\0';
        return !*value ||
               set_number(&route->med, name, value, UINT32_MAX, error);
    }
    return hg_error_set(error,
                        "no '%s' in a route; it has destination, target, "
                        "table, type, origin, source, as-path and med",
                        name);
}

bool
hg_route_text_parse(struct hg_route_text *route, const char *text,
                    struct hg_error *error)
{
    char copy[1024], *at = copy, *word, *value;

    *route = (struct hg_route_text){.source = HG_ROUTE_OTHER};
    if (!set_name(copy, sizeof copy, "route", text, error))
        return false;
    while ((word = strsep(&at, " \t\r")) != NULL) {
        if (!*word)
            continue;
        value = strchr(word, '=');
        if (value)
            *value++ = '\0';
        else if (*route->destination)
            return hg_error_set(error, "'%s' is not NAME=VALUE", word);
        if (!hg_route_text_set(route, value ? word : "destination",
                               value ? value : word, error))
            return false;
    }
    return *route->destination ||
           hg_error_set(error, "no destination; a route is written 10.0.0.0/8 "
                               "target=NAME");
}

uint64_t
hg_route_preference(const struct hg_route_text *route,
                    enum hg_route_order order)
{
    static const uint8_t rank[2][HG_ROUTE_PEERING + 1] = {
        [HG_ROUTE_VGW] = {[HG_ROUTE_DIRECT_CONNECT] = 0,
                          [HG_ROUTE_STATIC_VPN] = 1,
                          [HG_ROUTE_BGP_VPN] = 2,
                          [HG_ROUTE_PRIVATE_IP_VPN] = 2,
                          [HG_ROUTE_CONNECT] = 3,
                          [HG_ROUTE_VPC] = 3,
                          [HG_ROUTE_PEERING] = 3,
                          [HG_ROUTE_OTHER] = 3},
        [HG_ROUTE_TGW] = {[HG_ROUTE_STATIC_VPN] = 0,
                          [HG_ROUTE_VPC] = 1,
                          [HG_ROUTE_DIRECT_CONNECT] = 2,
                          [HG_ROUTE_CONNECT] = 3,
                          [HG_ROUTE_PRIVATE_IP_VPN] = 4,
                          [HG_ROUTE_BGP_VPN] = 5,
                          [HG_ROUTE_PEERING] = 6,
                          [HG_ROUTE_OTHER] = 7}};
    bool vpn = route->source == HG_ROUTE_STATIC_VPN ||
               route->source == HG_ROUTE_PRIVATE_IP_VPN ||
               route->source == HG_ROUTE_BGP_VPN ||
               route->source == HG_ROUTE_CONNECT;
    uint32_t med = route->med_given ? route->med : vpn ? 100 : 0;

    return (uint64_t)rank[order][route->source] << 48 |
           (uint64_t)route->as_path << 32 | med;
}

bool
hg_route_shareable(enum hg_route_source source)
{
    return source != HG_ROUTE_VPC && source != HG_ROUTE_STATIC_VPN &&
           source != HG_ROUTE_PEERING;
}
