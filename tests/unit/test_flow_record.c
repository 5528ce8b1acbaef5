/* test_flow_record.c: records of flows, their text, names of services and
 * where the text goes. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <headgate/flow_format.h>
#include <headgate/flow_sink.h>

/* ---- Records ---------------------------------------------------------- */

/* Whether these became of n samples. */
static bool
became(const struct hg_flow_sample *s, unsigned n, const uint8_t *outcomes)
{
    unsigned i = 0;

    while (i < n && s[i].outcome == outcomes[i])
        i++;
    return i == n;
}

#define BECAME(s, ...)                                                        \
    became(s, sizeof(uint8_t[]){__VA_ARGS__}, (const uint8_t[]){__VA_ARGS__})

enum {
    COUNTED = HG_SAMPLE_COUNTED,
    FIRST = HG_SAMPLE_FIRST,
    REFUSED = HG_SAMPLE_REFUSED,
    LEFT_OUT = HG_SAMPLE_LEFT_OUT
};

static struct hg_flow_sample
sample_of(uint32_t flow, uint16_t second, uint32_t bytes)
{
    struct hg_flow_sample s = {.second = second, .bytes = bytes};

    memcpy(s.key.address, &flow, sizeof flow);
    s.key.protocol = 17;
    return s;
}

/* So many flows, scattered, that some share all that the index has of their
 * hashes. */
enum { MANY = 300000 };

static uint32_t
scattered(uint32_t i)
{
    i = (i ^ i >> 16) * 0x7feb352d;
    i = (i ^ i >> 15) * 0x846ca68b;
    return i ^ i >> 16;
}

/* Counts a packet of each at that second. */
static void
count_many(struct hg_flow_records *r, uint16_t second)
{
    struct hg_flow_sample s[HG_FLOW_SAMPLES];
    uint32_t i, k;

    for (i = 0; i < MANY; i += k) {
        for (k = 0; k < HG_FLOW_SAMPLES && i + k < MANY; k++)
            s[k] = sample_of(scattered(i + k), second, 7);
        CHECK_EQ(hg_flow_records_add(r, s, k), 0);
    }
}

/* There is one record of each, in order, with so many packets. */
static void
check_many(const struct hg_flow_records *r, uint64_t packets)
{
    const struct hg_flow_record *all;
    uint32_t i, n, flow;

    all = hg_flow_records_all(r, &n);
    REQUIRE(n == MANY);
    for (i = 0; i < n; i++) {
        memcpy(&flow, all[i].key.address, sizeof flow);
        if (flow != scattered(i) || all[i].packets != packets ||
            all[i].bytes != 7 * packets || all[i].start_s != 0 ||
            all[i].end_s != 2)
            FAIL("record %u is of flow %u", i, flow);
    }
}

TEST(each_flow_has_one_record_with_its_sums_in_order_of_first_packets)
{
    struct hg_flow_records *r = hg_flow_records_create(MANY, 1, NULL, NULL);
    struct hg_flow_sample s = sample_of(1, 0, 1);
    uint16_t second;
    uint32_t n;

    for (second = 0; second < 3; second++)
        count_many(r, second);
    check_many(r, 3);
    hg_flow_records_clear(r);
    hg_flow_records_all(r, &n);
    CHECK_EQ(n, 0);
    CHECK_EQ(hg_flow_records_add(r, &s, 1), 0);
    hg_flow_records_destroy(r);
}

TEST(of_many_records_that_were_counted_elsewhere_none_is_split)
{
    struct hg_flow_records *r = hg_flow_records_create(MANY, 1, NULL, NULL);
    struct hg_flow_records *sum = hg_flow_records_create(MANY, 1, NULL, NULL);
    const struct hg_flow_record *from[HG_FLOW_SAMPLES], *all;
    uint32_t i, k, n;

    count_many(r, 0);
    count_many(r, 2);
    all = hg_flow_records_all(r, &n);
    for (i = 0; i < 2 * n; i += k) {
        for (k = 0; k < HG_FLOW_SAMPLES && i + k < 2 * n; k++)
            from[k] = &all[(i + k) % n];
        hg_flow_records_merge(sum, from, k);
    }
    check_many(sum, 4);
    hg_flow_records_destroy(r);
    hg_flow_records_destroy(sum);
}

TEST(what_has_no_room_is_refused_and_what_is_there_goes_on)
{
    struct hg_flow_records *r = hg_flow_records_create(2, 1, NULL, NULL);
    struct hg_flow_sample s[4] = {sample_of(1, 0, 1), sample_of(2, 0, 1),
                                  sample_of(3, 0, 1), sample_of(1, 0, 1)};
    uint32_t n;

    CHECK_EQ(hg_flow_records_add(r, s, 4), 1);
    CHECK(BECAME(s, FIRST, FIRST, REFUSED, COUNTED));
    CHECK_EQ(hg_flow_records_all(r, &n)->packets, 2);
    CHECK_EQ(n, 2);
    hg_flow_records_destroy(r);
}

TEST(samples_that_begin_a_record_say_so)
{
    struct hg_flow_records *r = hg_flow_records_create(2, 1, NULL, NULL);
    struct hg_flow_sample s[4] = {sample_of(1, 0, 1), sample_of(1, 0, 1),
                                  sample_of(2, 0, 1), sample_of(3, 0, 1)};

    hg_flow_records_add(r, s, 4);
    CHECK(BECAME(s, FIRST, COUNTED, FIRST, REFUSED));
    hg_flow_records_add(r, s, 4);
    CHECK(BECAME(s, COUNTED, COUNTED, COUNTED, REFUSED));
    hg_flow_records_destroy(r);
}

static bool
has_port(const void *port, const struct hg_record_key *key)
{
    return key->dport == *(const uint16_t *)port;
}

TEST(what_is_left_out_gets_no_record_even_in_a_full_table)
{
    const uint16_t port = 53;
    struct hg_flow_records *r = hg_flow_records_create(1, 1, has_port, &port);
    struct hg_flow_sample s[4] = {sample_of(1, 0, 1), sample_of(2, 0, 1),
                                  sample_of(1, 0, 1), sample_of(3, 0, 1)};
    uint32_t n;

    s[1].key.dport = port;
    CHECK_EQ(hg_flow_records_add(r, s, 4), 2);
    CHECK(BECAME(s, FIRST, LEFT_OUT, COUNTED, REFUSED));
    CHECK_EQ(hg_flow_records_add(r, s, 4), 2);
    CHECK(BECAME(s, COUNTED, LEFT_OUT, COUNTED, REFUSED));
    CHECK_EQ(hg_flow_records_all(r, &n)->packets, 4);
    CHECK_EQ(n, 1);
    hg_flow_records_destroy(r);
}

static struct hg_flow_record
counted(uint32_t flow, uint64_t packets, uint16_t start_s, uint16_t end_s)
{
    return (struct hg_flow_record){.key = sample_of(flow, 0, 0).key,
                                   .packets = packets,
                                   .bytes = 100 * packets,
                                   .start_s = start_s,
                                   .end_s = end_s};
}

TEST(records_that_were_counted_elsewhere_are_added_up)
{
    struct hg_flow_records *r = hg_flow_records_create(1, 1, NULL, NULL);
    struct hg_flow_record v[] = {counted(7, 1, 2, 9), counted(8, 2, 3, 3),
                                 counted(7, 4, 5, 6), counted(8, 8, 4, 7)};
    const struct hg_flow_record *from[] = {&v[0], &v[1], &v[2], &v[3]}, *all;
    uint32_t n;

    v[0].key.tcp_flags = 2;
    v[0].key.path = 8;
    v[2].key.tcp_flags = 1;
    v[2].key.path = 1;
    hg_flow_records_merge(r, from, 4);
    all = hg_flow_records_all(r, &n);
    CHECK_EQ(n, 2); /* Whatever the limit: it is that of who counts. */
    CHECK(all[0].packets == 5 && all[0].bytes == 500);
    CHECK(all[0].start_s == 2 && all[0].end_s == 9);
    CHECK(all[0].key.tcp_flags == 3 && all[0].key.path == 8);
    CHECK(all[1].packets == 10 && all[1].start_s == 3 && all[1].end_s == 7);
    hg_flow_records_destroy(r);
}

TEST(each_part_of_the_key_tells_flows_apart)
{
    struct hg_flow_records *r = hg_flow_records_create(100, 1, NULL, NULL);
    struct hg_flow_sample s[11];
    uint32_t n;
    unsigned i;

    for (i = 0; i < 11; i++)
        s[i] = sample_of(1, 0, 1);
    s[1].key.address[7] = 1;
    s[2].key.interface = 1;
    s[3].key.sport = 1;
    s[4].key.dport = 1;
    s[5].key.protocol = 6;
    s[6].key.kind = HG_RECORD_REJECT;
    s[7].key.tcp_flags = 2; /* Not of the key. */
    s[8].key.kind = s[9].key.kind = s[10].key.kind = HG_RECORD_IP6;
    s[9].key.address[31] = 1;
    s[10].key.address[15] = 1;
    hg_flow_records_add(r, s, 11);
    hg_flow_records_all(r, &n);
    CHECK_EQ(n, 10);
    hg_flow_records_destroy(r);
}

TEST(a_key_of_zeroes_is_a_flow_like_any_other)
{
    struct hg_flow_records *r = hg_flow_records_create(100, 1, NULL, NULL);
    struct hg_flow_sample s[2] = {{.bytes = 5}, {.bytes = 7}};
    const struct hg_flow_record *all;
    uint32_t n;

    CHECK_EQ(hg_flow_records_add(r, s, 2), 0);
    CHECK(BECAME(s, FIRST, COUNTED));
    all = hg_flow_records_all(r, &n);
    CHECK_EQ(n, 1);
    CHECK(all->packets == 2 && all->bytes == 12);
    CHECK(hg_flow_records_at(r, s[1].record) == all);
    hg_flow_records_destroy(r);
}

TEST(tcp_flags_follow_the_rule_of_flow_logs)
{
    static const uint8_t rows[][2] = {
        {0x02, 2}, {0x12, 18}, {0x10, 0},    {0x18, 0},    {0x11, 1},
        {0x14, 4}, {0x04, 4},  {0x42, 2},    {0xc2, 2},    {0x52, 18},
        {0x00, 0}, {0x28, 0},  {0x03, 0x83}, {0x06, 0x86}, {0x15, 5},
    };
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_EQ(hg_flow_tcp_flags(rows[i][0]), rows[i][1]);
}

/* ---- Formats ---------------------------------------------------------- */

static struct hg_addr own[2];

static const struct hg_flow_interface interface = {.account = "111122223333",
                                                   .interface = "eni-0a1",
                                                   .vpc = "vpc-1",
                                                   .subnet = "subnet-1",
                                                   .az = "use1-az1",
                                                   .address = {2, own}};

static struct hg_flow_record
record_of(const char *src, const char *dst, uint8_t kind)
{
    struct hg_flow_record r = {.packets = 20, .bytes = 4249};
    struct hg_addr a, b;

    REQUIRE(hg_addr_parse(src, &a) && hg_addr_parse(dst, &b));
    memcpy(r.key.address, a.byte, a.family == 6 ? 16 : 4);
    memcpy(r.key.address + (a.family == 6 ? 16 : 4), b.byte,
           a.family == 6 ? 16 : 4);
    r.key.kind = (uint8_t)(kind | (a.family == 6 ? HG_RECORD_IP6 : 0));
    r.key.protocol = 6;
    r.key.sport = 40022;
    r.key.dport = 22;
    r.key.tcp_flags = 3;
    return r;
}

/* The line of a record, or why the format is wrong. */
static const char *
line_of(const char *format, const struct hg_flow_format_config *config,
        const struct hg_flow_record *r, enum hg_flow_status status)
{
    static char said[1024];
    const struct hg_flow_line line = {status, &interface, r, 1700000010,
                                      1700000070};
    struct hg_flow_text text = {0};
    struct hg_flow_format *f;
    struct hg_error error;

    REQUIRE(hg_addr_parse("10.1.0.9", &own[0]) &&
            hg_addr_parse("2001:db8::9", &own[1]));
    f = hg_flow_format_create(format, config, &error);
    if (!f)
        return strcpy(said, error.text);
    hg_flow_format_line(f, &line, &text);
    CHECK_EQ(text.s[text.len - 1], '\n');
    snprintf(said, sizeof said, "%.*s", (int)text.len - 1, text.s);
    free(text.s);
    hg_flow_format_destroy(f);
    return said;
}

static const struct hg_flow_format_config plain = {
    .region = "us-east-1", .traffic_path = 8, .dash_for_impossible = true};

TEST(the_default_format_has_the_fourteen_fields_of_version_2)
{
    const struct hg_flow_record r = record_of("10.1.0.9", "10.1.0.10", 0);

    CHECK_STR(line_of(HG_FLOW_DEFAULT_FORMAT, &plain, &r, HG_FLOW_OK),
              "2 111122223333 eni-0a1 10.1.0.9 10.1.0.10 40022 22 6 20 4249 "
              "1700000010 1700000070 ACCEPT OK");
    CHECK_STR(line_of(HG_FLOW_DEFAULT_FORMAT, &plain, NULL, HG_FLOW_NODATA),
              "2 111122223333 eni-0a1 - - - - - - - 1700000010 1700000070 - "
              "NODATA");
    CHECK_STR(line_of(HG_FLOW_DEFAULT_FORMAT, &plain, NULL, HG_FLOW_SKIPDATA),
              "2 111122223333 eni-0a1 - - - - - - - 1700000010 1700000070 - "
              "SKIPDATA");
}

#define SIDES "${srcaddr} ${dstaddr} ${pkt-srcaddr} ${pkt-dstaddr}"

TEST(what_is_said_of_packets_is_a_dash_without_a_record)
{
    CHECK_STR(line_of("${vpc-id} ${subnet-id} ${instance-id} ${tcp-flags} "
                      "${type} ${pkt-srcaddr} ${pkt-dstaddr} ${region} "
                      "${az-id} ${sublocation-type} ${sublocation-id} "
                      "${pkt-src-aws-service} ${pkt-dst-aws-service} "
                      "${flow-direction} ${traffic-path} ${version}",
                      &plain, NULL, HG_FLOW_NODATA),
              "vpc-1 subnet-1 - - - - - us-east-1 use1-az1 - - - - - - 5");
}

TEST(fields_come_out_as_the_table_says)
{
    static const struct {
        const char *format, *src, *dst;
        uint8_t kind;
        const char *line;
    } rows[] = {
        {"${version}", "10.1.0.9", "10.0.0.1", 0, "2"},
        {"${version} ${vpc-id}", "10.1.0.9", "10.0.0.1", 0, "3 vpc-1"},
        {"${az-id} ${version}", "10.1.0.9", "10.0.0.1", 0, "use1-az1 4"},
        {"${version} ${flow-direction}", "1.1.1.1", "2.2.2.2",
         HG_RECORD_INGRESS, "5 ingress"},
        {"${flow-direction} ${traffic-path}", "1.1.1.1", "2.2.2.2", 0, "- -"},
        {"${flow-direction} ${traffic-path}", "1.1.1.1", "2.2.2.2",
         HG_RECORD_EGRESS, "egress 8"},
        {"${type} ${action}", "::1", "::2", HG_RECORD_REJECT, "IPv6 REJECT"},
        {"${instance-id} ${region} ${sublocation-type} ${sublocation-id}",
         "1.1.1.1", "2.2.2.2", 0, "- us-east-1 - -"},
        {"${tcp-flags} ${pkt-src-aws-service}", "1.1.1.1", "2.2.2.2", 0,
         "3 -"},
        {SIDES, "10.1.0.77", "203.0.113.5", HG_RECORD_EGRESS,
         "10.1.0.9 203.0.113.5 10.1.0.77 203.0.113.5"},
        {SIDES, "203.0.113.5", "10.1.0.77", HG_RECORD_INGRESS,
         "203.0.113.5 10.1.0.9 203.0.113.5 10.1.0.77"},
        {SIDES, "0.0.0.0", "255.255.255.255", 0,
         "0.0.0.0 255.255.255.255 0.0.0.0 255.255.255.255"},
        {SIDES, "2001:db8::9", "2001:db8:0:0:1::1", HG_RECORD_EGRESS,
         "2001:db8::9 2001:db8::1:0:0:1 2001:db8::9 2001:db8::1:0:0:1"},
        {SIDES, "2001:db8:1::1", "2001:db8::7", HG_RECORD_INGRESS,
         "2001:db8:1::1 2001:db8::9 2001:db8:1::1 2001:db8::7"},
    };
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct hg_flow_record r =
            record_of(rows[i].src, rows[i].dst, rows[i].kind);

        CHECK_STR(line_of(rows[i].format, &plain, &r, HG_FLOW_OK),
                  rows[i].line);
    }
}

TEST(tcp_flags_of_the_doubtful_cases_are_as_configured)
{
    struct hg_flow_format_config config = plain;
    struct hg_flow_record r = record_of("10.1.0.9", "10.1.0.10", 0);

    r.key.tcp_flags = 0x83;
    CHECK_STR(line_of("${tcp-flags}", &config, &r, HG_FLOW_OK), "-");
    config.dash_for_impossible = false;
    CHECK_STR(line_of("${tcp-flags}", &config, &r, HG_FLOW_OK), "3");
    r.key.tcp_flags = 0;
    r.key.protocol = 17;
    CHECK_STR(line_of("${tcp-flags}", &config, &r, HG_FLOW_OK), "0");
    config.dash_for_non_tcp = true;
    CHECK_STR(line_of("${tcp-flags}", &config, &r, HG_FLOW_OK), "-");
}

TEST(numbers_of_any_length_are_written)
{
    static const uint64_t rows[] = {0,    9,    10,    99,        100,
                                    1000, 9999, 10000, UINT64_MAX};
    struct hg_flow_record r = record_of("10.1.0.9", "10.1.0.10", 0);
    char expected[64];
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r.bytes = rows[i];
        snprintf(expected, sizeof expected, "%llu",
                 (unsigned long long)rows[i]);
        CHECK_STR(line_of("${bytes}", &plain, &r, HG_FLOW_OK), expected);
    }
}

TEST(long_names_have_room)
{
    struct hg_flow_format_config config = plain;
    const struct hg_flow_record r = record_of("10.1.0.9", "10.1.0.10", 0);
    char name[601];
    const char *line;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    config.region = name;
    line = line_of("${region} ${end}", &config, &r, HG_FLOW_OK);
    CHECK_EQ(strspn(line, "x"), 600);
    CHECK_STR(line + 600, " 1700000070");
}

TEST(formats_that_are_none_are_refused_with_the_token)
{
    static const char *const rows[][2] = {
        {"", "at least one field is needed, such as ${srcaddr}"},
        {"  ", "at least one field is needed, such as ${srcaddr}"},
        {"${version} ${srcadr}", "token 2: no field 'srcadr' in versions 2 "
                                 "to 5; did you mean 'srcaddr'?"},
        {"${tgw-id}", "token 1: no field 'tgw-id' in versions 2 to 5 of flow "
                      "logs, such as srcaddr, action or tcp-flags"},
        {"srcaddr", "token 1: 'srcaddr' must be a field such as ${srcaddr}, "
                    "with spaces between fields"},
        {"${end},${start}",
         "token 1: no field 'end},${start' in versions 2 to 5 of flow logs, "
         "such as srcaddr, action or tcp-flags"},
        {"${}", "token 1: '${}' must be a field such as ${srcaddr}, with "
                "spaces between fields"},
    };
    const struct hg_flow_record r = record_of("10.1.0.9", "10.1.0.10", 0);
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_STR(line_of(rows[i][0], &plain, &r, HG_FLOW_OK), rows[i][1]);
}

/* ---- Services --------------------------------------------------------- */

static char folder[] = "/tmp/headgate-flow-XXXXXX";

static const char *
in_folder(const char *name)
{
    static char path[256];

    if (strstr(folder, "XXXXXX"))
        REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct hg_service_ranges *
ranges_of(const char *text, struct hg_error *error)
{
    const char *path = in_folder("ranges.json");
    FILE *file = fopen(path, "w");
    struct hg_service_ranges *ranges;

    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
    ranges = hg_service_ranges_create(path, error);
    unlink(path);
    rmdir(folder);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    return ranges;
}

#define V4(prefix, service)                                                   \
    "{\"ip_prefix\": \"" prefix "\", \"service\": \"" service "\"}"

TEST(the_longest_prefix_and_the_most_telling_name_win)
{
    static const char *const rows[][2] = {
        {"3.5.0.1", "S3"},     {"3.6.0.1", "EC2"},
        {"3.7.0.1", "AMAZON"}, {"3.5.9.1", "EC2_INSTANCE_CONNECT"},
        {"10.0.0.1", NULL},    {"2600:1::1", "ROUTE53"},
        {"3.5.255.255", "S3"},
    };
    struct hg_error error;
    struct hg_service_ranges *ranges = ranges_of(
        "{\"prefixes\": [" V4("3.0.0.0/8", "AMAZON") ","           //
        V4("3.5.0.0/16", "AMAZON") "," V4("3.5.0.0/16", "S3") ","  //
        V4("3.6.0.0/16", "EC2") "," V4("3.6.0.0/16", "AMAZON") "," //
        V4("3.5.9.0/24", "EC2_INSTANCE_CONNECT") ","               //
        V4("3.5.9.0/24",
           "EC2") "],"
                  "\"ipv6_prefixes\": [{\"ipv6_prefix\": \"2600:1::/32\","
                  "\"service\": \"ROUTE53\"}]}",
        &error);
    struct hg_addr addr;
    unsigned i;

    REQUIRE(ranges != NULL);
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK(hg_addr_parse(rows[i][0], &addr));
        CHECK_STR(hg_service_ranges_lookup(ranges, &addr), rows[i][1]);
    }
    hg_service_ranges_destroy(ranges);
}

TEST(ranges_that_are_none_are_refused_with_their_place)
{
    static const char *const rows[][2] = {
        {"{", "ranges.json:1:1: string or '}' expected near end of file"},
        {"{}", "ranges.json: no array 'prefixes', which an ip-ranges.json "
               "has"},
        {"{\"prefixes\": [{}]}",
         "ranges.json: entry 1 of 'prefixes' needs 'ip_prefix', a prefix, "
         "and 'service', a name"},
        {"{\"prefixes\": []}", "ranges.json: no array 'ipv6_prefixes', which "
                               "an ip-ranges.json has"},
    };
    struct hg_error error;
    const char *said;
    unsigned i;

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK(ranges_of(rows[i][0], &error) == NULL);
        said = strstr(error.text, "ranges.json");
        CHECK_STR(said, rows[i][1]);
    }
    CHECK(hg_service_ranges_create("/nonexistent", &error) == NULL);
    CHECK(strstr(error.text, "/nonexistent") != NULL);
}

/* ---- Destinations ----------------------------------------------------- */

/* 2023-11-14 22:10:00 UTC. */
#define OBJECT_TIME UINT64_C(1699999800)

static void
check_object(bool hive, bool per_hour, const char *expected)
{
    char command[512], found[512] = "";
    const struct hg_flow_sink_config config = {
        .destination = HG_FLOW_TO_S3,
        .path = strdup(in_folder("bucket/prefix")),
        .hive = hive,
        .per_hour = per_hour,
        .account = "111122223333",
        .region = "eu-west-1",
        .flow_log_id = "fl-0f1"};
    struct hg_error error;
    struct hg_flow_sink *sink = hg_flow_sink_create(&config, &error);
    FILE *pipe;

    REQUIRE(sink != NULL);
    CHECK(hg_flow_sink_write(sink, OBJECT_TIME, "bytes", 5, &error));
    hg_flow_sink_destroy(sink);
    snprintf(command, sizeof command,
             "cd %s/bucket && find . -type f -size -6c | sed 's/_[0-9a-f]*"
             "\\.log/_HASH.log/'; cd / && rm -r %s/bucket",
             folder, folder);
    pipe = popen(command, "r");
    REQUIRE(pipe != NULL);
    if (fgets(found, sizeof found, pipe))
        found[strcspn(found, "\n")] = '\0';
    pclose(pipe);
    rmdir(folder);
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    CHECK_STR(found, expected);
    free((char *)config.path);
}

#define OBJECT_NAME                                                           \
    "111122223333_vpcflowlogs_eu-west-1_fl-0f1_20231114T2210Z_HASH.log.gz"

TEST(objects_are_named_as_S3_would_name_them)
{
    check_object(false, false,
                 "./prefix/AWSLogs/111122223333/vpcflowlogs/eu-west-1/2023/"
                 "11/14/" OBJECT_NAME);
    check_object(false, true,
                 "./prefix/AWSLogs/111122223333/vpcflowlogs/eu-west-1/2023/"
                 "11/14/22/" OBJECT_NAME);
    check_object(true, false,
                 "./prefix/AWSLogs/aws-account-id=111122223333/"
                 "aws-service=vpcflowlogs/aws-region=eu-west-1/year=2023/"
                 "month=11/day=14/" OBJECT_NAME);
    check_object(true, true,
                 "./prefix/AWSLogs/aws-account-id=111122223333/"
                 "aws-service=vpcflowlogs/aws-region=eu-west-1/year=2023/"
                 "month=11/day=14/hour=22/" OBJECT_NAME);
}

TEST(places_that_cannot_be_written_are_a_sentence)
{
    struct hg_flow_sink_config config = {.path = "/nonexistent/flows.log"};
    struct hg_error error;
    struct hg_flow_sink *sink;

    CHECK(hg_flow_sink_create(&config, &error) == NULL);
    CHECK_STR(error.text, "cannot write flow logs to "
                          "'/nonexistent/flows.log': No such file or "
                          "directory");
    config.path = "/dev/full";
    sink = hg_flow_sink_create(&config, &error);
    REQUIRE(sink != NULL);
    CHECK(!hg_flow_sink_write(sink, 0, "line\n", 5, &error));
    CHECK_STR(error.text,
              "cannot write to flow log '/dev/full': No space left on "
              "device");
    hg_flow_sink_destroy(sink);
}
