/* fuzz_rules.c: any bytes as a ClassBench file, and, line by line, as changes
 * to an ACL.  Whatever is accepted must be found as a scan finds it. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <headgate/acl.h>

/* Looks each rule's own corner up in all forms, each time with the
 * instructions of another kind of processor, if this one has them. */
static void
compare(const struct hg_rule *rules, size_t n)
{
    static unsigned variant;
    struct hg_rules *scan = hg_rules_create(rules, n, HG_RULES_SCAN);
    struct hg_rules *bits, *trees;
    size_t i;

    hg_rules_use((enum hg_rules_variant)(variant++ % 4));
    bits = hg_rules_create(rules, n, HG_RULES_BITS);
    trees = hg_rules_create(rules, n, HG_RULES_TREES);
    for (i = 0; i < n; i++) {
        const struct hg_rule *r = &rules[i];
        struct hg_rule_key key;
        uint32_t found;

        hg_rule_key_init(&key, &r->src.addr, &r->dst.addr,
                         (uint8_t)r->protocol);
        hg_rule_key_set_ports(&key, r->sport.low, r->dport.high);
        found = hg_rules_first(scan, &key);
        if (hg_rules_first(bits, &key) != found ||
            hg_rules_first(trees, &key) != found ||
            (found < n && !hg_rule_matches(&rules[found], &key)) ||
            (hg_rule_matches(r, &key) && found > i))
            abort();
    }
    hg_rules_destroy(bits);
    hg_rules_destroy(trees);
    hg_rules_destroy(scan);
}

static void
try_classbench(const uint8_t *data, size_t size)
{
    int fd = memfd_create("rules", 0);
    struct hg_error error = {""};
    struct hg_rule *rules;
    char path[64];
    size_t n;

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (hg_rules_read_classbench(path, &rules, &n, &error))
        compare(rules, n);
    else if (!strchr(error.text, ':'))
        abort();
    free(rules);
    close(fd);
}

static void
try_changes(const uint8_t *data, size_t size)
{
    char *text = calloc(1, size + 1), *rest = text, *line;
    struct hg_acl_set set = {.quota = 20};
    struct hg_error error = {""};

    if (!text)
        return;
    if (size)
        memcpy(text, data, size);
    if (hg_acl_set_add(&set, "default", &error) == HG_ACL_NONE)
        abort();
    hg_acl_set_compile(&set);
    while ((line = strsep(&rest, "\n"))) {
        if (!hg_acl_set_change(&set, HG_ACL_ADD, line, &error) && !*error.text)
            abort();
        hg_acl_set_change(&set, HG_ACL_REPLACE, line, &error);
        if (size % 2)
            hg_acl_set_change(&set, HG_ACL_REMOVE, line, &error);
    }
    hg_acl_set_uninit(&set);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_classbench(data, size);
    try_changes(data, size);
    return 0;
}
