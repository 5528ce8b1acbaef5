/* classbench.c: hg_rules_read_classbench() of rules.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../graph_internal.h"

#include <headgate/rules.h>

/* Where reading is in a line. */
struct cursor {
    const char *line;
    const char *at;
    const char *why; /* What was expected where it stopped. */
};

static bool
take_prefix(struct cursor *c, struct hg_prefix *prefix)
{
    char text[HG_PREFIX_STRLEN];
    int n = 0;

    c->why = "a prefix such as 10.0.0.0/8";
    c->at += strspn(c->at, " \t");
    if (sscanf(c->at, "%49s%n", text, &n) != 1 ||
        !hg_prefix_parse(text, prefix))
        return false;
    c->at += n;
    return true;
}

static bool
take_ports(struct cursor *c, struct hg_port_range *range)
{
    unsigned low, high;
    int n = 0;

    c->why = "ports such as 0 : 65535";
    c->at += strspn(c->at, " \t");
    if (sscanf(c->at, "%5u : %5u%n", &low, &high, &n) != 2 || low > high ||
        high > UINT16_MAX)
        return false;
    c->at += n;
    range->low = (uint16_t)low;
    range->high = (uint16_t)high;
    return true;
}

static bool
take_protocol(struct cursor *c, int16_t *protocol)
{
    unsigned value, mask;
    int n = 0;

    c->why = "a protocol such as 0x06/0xFF, or 0x00/0x00 for any";
    c->at += strspn(c->at, " \t");
    if (sscanf(c->at, "%4x/%4x%n", &value, &mask, &n) != 2 || value > 255 ||
        (mask != 255 && mask != 0))
        return false;
    c->at += n;
    *protocol = mask ? (int16_t)value : HG_RULE_ANY;
    return true;
}

/* The flags, if there are any, and then nothing more. */
static bool
take_end(struct cursor *c)
{
    unsigned value, mask;
    int n = 0;

    c->why = "flags such as 0x0000/0x0000 or the end of the line";
    c->at += strspn(c->at, " \t\r\n");
    if (!*c->at)
        return true;
    if (sscanf(c->at, "%6x/%6x%n", &value, &mask, &n) != 2)
        return false;
    c->at += n;
    c->at += strspn(c->at, " \t\r\n");
    return !*c->at;
}

static bool
read_rule(struct cursor *c, struct hg_rule *rule)
{
    hg_rule_init(rule);
    c->why = "'@'";
    if (*c->at != '@')
        return false;
    c->at++;
    return take_prefix(c, &rule->src) && take_prefix(c, &rule->dst) &&
           take_ports(c, &rule->sport) && take_ports(c, &rule->dport) &&
           take_protocol(c, &rule->protocol) && take_end(c);
}

static bool
read_lines(FILE *file, const char *path, struct hg_rule **rules, size_t *n,
           struct hg_error *error)
{
    size_t room = 0, size = 0, line_number = 0;
    char *line = NULL;
    bool ok = true;

    while (ok && getline(&line, &size, file) >= 0) {
        struct cursor c = {line, line, NULL};

        line_number++;
        if (!line[strspn(line, " \t\r\n")])
            continue;
        if (*n == room) {
            room = room ? room * 2 : 64;
            *rules = xrealloc(*rules, room * sizeof **rules);
        }
        if (read_rule(&c, &(*rules)[*n]))
            (*n)++;
        else
            ok = hg_error_set(error, "%s:%zu:%td: expected %s", path,
                              line_number, c.at - line + 1, c.why);
    }
    free(line);
    return ok;
}

bool
hg_rules_read_classbench(const char *path, struct hg_rule **rules, size_t *n,
                         struct hg_error *error)
{
    FILE *file = fopen(path, "r");
    bool ok;

    *rules = NULL;
    *n = 0;
    if (!file)
        return hg_error_set(error, "cannot open '%s': %s", path,
                            strerror(errno));
    ok = read_lines(file, path, rules, n, error);
    if (ok && ferror(file))
        ok =
            hg_error_set(error, "cannot read '%s': %s", path, strerror(errno));
    fclose(file);
    if (!ok) {
        free(*rules);
        *rules = NULL;
        *n = 0;
    }
    return ok;
}
