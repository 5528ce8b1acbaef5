/* test_hyperplane_nat_handlers.c: HyperplaneNAT's flows listed, deleted and
 * imported, and options that are refused. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "nat_table.h"

#define S (HG_SEC)

#define FLOW                                                                  \
    "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.5\",\"port\":40000},"   \
    "\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"                 \
    "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":53},"                      \
    "\"state\":\"query\",\"expires\":1700000350000000000}"

/* The same as the table has it. */
static const char *
stored_flow(void)
{
    static char text[] = FLOW;

    memcpy(strstr(text, ":17000003") + 1, ENDS, strlen(ENDS));
    return text;
}

TEST(flows_are_listed_counted_and_deleted)
{
    struct bench *b = NAT();

    bench_push(b, "inside", "udp 10.0.0.5:40000 > 203.0.113.9:53", 0);
    bench_push(b, "inside", "tcp 10.0.0.6:40000 > 203.0.113.9:53 S", 0);
    bench_forget(b, NULL);
    CHECK_STR(bench_read(b, "flows", "udp 10.0.0.5"), stored_flow());
    CHECK_STR(bench_read(b, "export", "203.0.113.9:53 udp"), stored_flow());
    CHECK_STR(bench_read(b, "count", ""), "2");
    CHECK_STR(bench_read(b, "count", "10.0.0.0/24 tcp"), "1");
    bench_write(b, "delete", "tcp");
    CHECK_STR(bench_read(b, "count", "all"), "1");
    CHECK_EQ(bench_counter(b, "active_connection_count"), 1);
    bench_push(b, "outside", "tcp 203.0.113.9:53 > 198.51.100.1:7000 S.", 0);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    bench_destroy(b);
}

TEST(an_imported_flow_lets_the_first_packet_in)
{
    struct bench *b = NAT();

    bench_write(b, "import", FLOW);
    bench_push(b, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000", 0);
    bench_expect(b, "inside", "udp 203.0.113.9:53 > 10.0.0.5:40000");
    CHECK_STR(bench_read(b, "export", ""), stored_flow());
    bench_advance(b, 352 * S);
    CHECK_EQ(bench_counter(b, "active_connection_count"), 0);
    bench_destroy(b);
}

#define GATEWAYS(options)                                                     \
    "TestSource inside {} TestSource outside {}\n"                            \
    "TestSink to-inside {} TestSink to-outside {}\n"                          \
    "HyperplaneNAT dut { " options " }\n"                                     \
    "connect(\"inside -> [inside]dut[outside] -> to-outside\")\n"             \
    "connect(\"outside -> [outside]dut[inside] -> to-inside\")\n"

static void
import_refused(struct bench *b, const char *text, const char *why)
{
    struct hg_error error = {""};

    CHECK(!hg_element_write(hg_graph_find(bench_graph(b), "dut"), "import",
                            text, &error));
    CHECK(strstr(error.text, why));
    if (!strstr(error.text, why))
        FAIL("it says \"%s\"", error.text);
}

TEST(flows_that_clash_are_refused_all_or_none)
{
    static const char other[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.6\",\"port\":1},"
        "\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.8\",\"port\":53}}";
    static const char foreign[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.6\",\"port\":1},"
        "\"external\":{\"addr\":\"198.51.100.9\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.8\",\"port\":53}}";
    static const char hairpin[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.6\",\"port\":1},"
        "\"external\":{\"addr\":\"198.51.100.1\",\"port\":7000},"
        "\"remote\":{\"addr\":\"198.51.100.1\",\"port\":53}}";
    char two[1024];
    struct bench *b = NAT();

    bench_write(b, "import", FLOW);
    import_refused(b, FLOW, "already");
    import_refused(b, foreign, "none of the option 'public'");
    import_refused(b, hairpin, "no hairpinning");
    import_refused(b, "nonsense", "a flow is a JSON object");
    snprintf(two, sizeof(two), "%s\n%s", other, FLOW);
    import_refused(b, two, "flow 2 cannot be imported: ");
    CHECK_STR(bench_read(b, "count", ""), "1");
    bench_advance(b, 351 * S);
    import_refused(b, FLOW, "expired already");
    bench_destroy(b);
}

TEST(a_flow_that_another_gateway_of_the_vpc_has_is_refused)
{
    static const char format[] =
        "{\"proto\":\"udp\",\"inside\":{\"addr\":\"10.0.0.5\",\"port\":1},"
        "\"external\":{\"addr\":\"198.51.100.%u\",\"port\":7000},"
        "\"remote\":{\"addr\":\"203.0.113.9\",\"port\":53},\"vpc\":%u}";
    struct bench *b =
        NAT_LOAD(GATEWAYS, "gateway a { mark = 1 public = 198.51.100.1 }\n"
                           "gateway b { mark = 2 public = 198.51.100.2 }");
    char text[300];

    snprintf(text, sizeof(text), format, 1, 1);
    bench_write(b, "import", text);
    snprintf(text, sizeof(text), format, 2, 1);
    import_refused(b, text, "already");
    snprintf(text, sizeof(text), format, 2, 2);
    bench_write(b, "import", text);
    CHECK_STR(bench_read(b, "count", ""), "2");
    bench_destroy(b);
}

/* ---- Options ---------------------------------------------------------- */

TEST(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options;
        const char *why;
    } rows[] = {
        {"", "*'public'*"},
        {"public = 2001:db8::1", "*'2001:db8::1' is not an IPv4 address*"},
        {"public = { 192.0.2.1, 192.0.2.1 }", "*'192.0.2.1' is given twice*"},
        {"public = 192.0.2.1 ports = 0-100", "*"},
        {"private = 2001:db8::1", "*'2001:db8::1' is not an IPv4 address*"},
        {"public = 192.0.2.1 nat64-prefix = 64:ff9b::/95",
         "*an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits*"},
        {"public = 192.0.2.1 gateway a { public = 192.0.2.2 }",
         "*'public' belongs into the sections 'gateway'*"},
        {"gateway a { public = 192.0.2.1 } gateway b { vpc = 7 }",
         "*'b' has no address to give*"},
        {"gateway a { public = { 192.0.2.1, 192.0.2.1 } }",
         "*'192.0.2.1' is given twice*"},
        {"public = 192.0.2.1 idle-timeout = 1ms", "*"},
        {"public = 192.0.2.1 table = comapct", "*'compact'*"},
        {"public = 192.0.2.1 max-flows = 1073741824",
         "*'table = flow-service' has room for 536870912 flows*"},
        {"public = 192.0.2.1 table = compact nat64-prefix = 64:ff9b::/96",
         "*'table = compact' has no flows from IPv6; NAT64 needs*"},
        {"public = 192.0.2.1 table = compact inside = fd00::/64",
         "*'inside' prefixes must be IPv4*"},
        {"table = compact gateway a { public = 192.0.2.1 inside = fd00::/64 }",
         "*'inside' prefixes must be IPv4*"},
        {"public = 192.0.2.1 table = compact udp-timeout = 562801s",
         "*no timeout may be longer than 562800s (6.5 days)*"},
        {"public = 192.0.2.1 table = compact idle-timeout = 7d",
         "*no timeout may be longer than 562800s (6.5 days)*"},
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        nat_refuses(rows[i].options, rows[i].why);
}
