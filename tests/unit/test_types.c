/* test_types.c: texts to option values and back (headgate/types.h). */
#include "test.h"

#include <headgate/types.h>

#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

TEST(addresses_are_printed_in_their_canonical_form)
{
    static const char *const rows[][2] = {
        {"10.0.0.1", "10.0.0.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"}, /* RFC 5952 4 */
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"::", "::"},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
    };
    char buf[HG_ADDR_STRLEN];
    struct hg_addr a;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        REQUIRE(hg_addr_parse(rows[i][0], &a));
        CHECK_STR(hg_addr_format(&a, buf), rows[i][1]);
    }
}

TEST(what_is_no_address_leaves_the_output_alone)
{
    static const char *const rows[] = {
        "",          "10.0.0",     "10.0.0.256", "10.0.0.1.", "10.0.0.1 ",
        "010.0.0.1", "10.0.0.1/8", "2001:::1",   "1:2:3",     "host",
    };
    struct hg_addr before = hg_addr_from_ip4(0x01020304), a = before;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++)
        if (hg_addr_parse(rows[i], &a))
            FAIL("'%s' is taken for an address", rows[i]);
    CHECK(hg_addr_equal(&a, &before));
}

TEST(an_ip4_address_is_a_number_in_host_order)
{
    struct hg_addr a = hg_addr_from_ip4(0xc0000201), b;

    REQUIRE(hg_addr_parse("192.0.2.1", &b));
    CHECK(hg_addr_equal(&a, &b));
    CHECK_EQ(hg_addr_ip4(&b), 0xc0000201);
    REQUIRE(hg_addr_parse("c000:201::", &b));
    CHECK(!hg_addr_equal(&a, &b));
}

TEST(prefixes_lose_the_bits_behind_their_length)
{
    static const char *const rows[][2] = {
        {"100.68.0.18/18", "100.68.0.0/18"},
        {"10.1.2.3", "10.1.2.3/32"},
        {"10.1.2.3/0", "0.0.0.0/0"},
        {"10.255.255.255/9", "10.128.0.0/9"},
        {"2001:db8:ffff::1/33", "2001:db8:8000::/33"},
        {"2001:db8::1", "2001:db8::1/128"},
        {"ffff::/1", "8000::/1"},
    };
    char buf[HG_PREFIX_STRLEN];
    struct hg_prefix p;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        REQUIRE(hg_prefix_parse(rows[i][0], &p));
        CHECK_STR(hg_prefix_format(&p, buf), rows[i][1]);
    }
}

TEST(what_is_no_prefix_is_refused)
{
    static const char *const rows[] = {
        "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/-1",
        "10.0.0.0/8x", "::/129",      "/8",
        "10.0.0/8",    "10.0.0.0/+8", "10.0.0.0/18446744073709551624",
    };
    struct hg_prefix p;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++)
        if (hg_prefix_parse(rows[i], &p))
            FAIL("'%s' is taken for a prefix", rows[i]);
}

TEST(a_prefix_contains_the_addresses_that_share_its_bits)
{
    static const struct {
        const char *prefix, *address;
        bool contains;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.128.0.0/9", "10.127.255.255", false},
        {"10.128.0.0/9", "10.128.0.0", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"192.0.2.1/32", "192.0.2.1", true},
        {"192.0.2.1/32", "192.0.2.0", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::/0", "ff02::1", true},
    };
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_prefix p;
        struct hg_addr a;

        REQUIRE(hg_prefix_parse(rows[i].prefix, &p));
        REQUIRE(hg_addr_parse(rows[i].address, &a));
        if (hg_prefix_contains(&p, &a) != rows[i].contains)
            FAIL("%s in %s", rows[i].address, rows[i].prefix);
    }
}

TEST(mac_addresses_have_six_pairs_of_digits)
{
    static const char *const wrong[] = {
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "2:0:0:0:0:1",
        "02-00-00-00-00-01",
        "0g:00:00:00:00:01",
        "02:00:00:00:00:01 ",
    };
    char buf[HG_MAC_STRLEN];
    struct hg_mac m;
    size_t i;

    REQUIRE(hg_mac_parse("02:00:5E:10:00:ff", &m));
    CHECK_STR(hg_mac_format(&m, buf), "02:00:5e:10:00:ff");
    for (i = 0; i < LENGTH(wrong); i++)
        if (hg_mac_parse(wrong[i], &m))
            FAIL("'%s' is taken for a MAC address", wrong[i]);
}

TEST(a_port_range_is_one_port_or_two_in_order)
{
    static const char *const wrong[] = {"",      "-",     "80-",  "-80",
                                        "65536", "90-80", "8 0",  "80-90-100",
                                        "80x",   "+80",   "0x50", "80--90"};
    struct hg_port_range r;
    size_t i;

    REQUIRE(hg_port_range_parse("80", &r));
    CHECK_EQ(r.low, 80);
    CHECK_EQ(r.high, 80);
    REQUIRE(hg_port_range_parse("0-65535", &r));
    CHECK_EQ(r.low, 0);
    CHECK_EQ(r.high, 65535);
    for (i = 0; i < LENGTH(wrong); i++)
        if (hg_port_range_parse(wrong[i], &r))
            FAIL("'%s' is taken for a port range", wrong[i]);
}

TEST(a_duration_is_a_sum_of_numbers_with_units)
{
    static const struct {
        const char *text;
        uint64_t ns;
        const char *printed;
    } rows[] = {
        {"350s", 350 * HG_SEC, "350s"},
        {"1m30s", 90 * HG_SEC, "90s"},
        {"5d", 5 * HG_DAY, "5d"},
        {"2h", 2 * HG_HOUR, "2h"},
        {"120m", 2 * HG_HOUR, "2h"},
        {"10ms", 10 * HG_MSEC, "10ms"},
        {"7us", 7 * HG_USEC, "7us"},
        {"3ns", 3, "3ns"},
        {"1s1ns", HG_SEC + 1, "1000000001ns"},
        {"0", 0, "0"},
        {"0s", 0, "0"},
        {"18446744073709551615ns", UINT64_MAX, "18446744073709551615ns"},
    };
    char buf[HG_DURATION_STRLEN];
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_duration d;

        REQUIRE(hg_duration_parse(rows[i].text, &d));
        CHECK_EQ(d.ns, rows[i].ns);
        CHECK_STR(hg_duration_format(d.ns, buf), rows[i].printed);
        REQUIRE(hg_duration_parse(buf, &d));
        CHECK_EQ(d.ns, rows[i].ns);
    }
}

TEST(what_is_no_duration_is_refused)
{
    static const char *const rows[] = {
        "",
        "s",
        "350",
        "1m30",
        "-1s",
        "1.5s",
        "1 s",
        "1s ",
        "1x",
        "1S",
        "00",
        "1mins",
        "s1",
        "213504d",
        "18446744073709551616ns",
        "1s-",
        "0x1s",
        "never",
        "18446744073709551615ns1ns",
    };
    struct hg_duration d;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++)
        if (hg_duration_parse(rows[i], &d))
            FAIL("'%s' is taken for a duration", rows[i]);
}

TEST(sizes_count_in_powers_of_1024)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } rows[] = {
        {"1500", 1500},
        {"64k", 65536},
        {"64K", 65536},
        {"2M", 2 << 20},
        {"1G", 1 << 30},
        {"1kB", 1024},
        {"1KiB", 1024},
        {"3B", 3},
        {"0", 0},
        {"1T", UINT64_C(1) << 40},
        {"16777215T", UINT64_C(16777215) << 40},
    };
    static const char *const wrong[] = {
        "",
        "k",
        "1kk",
        "1kiB ",
        "1 k",
        "-1",
        "1.5k",
        "16777216T",
        "1ki",
        "1Bk",
        "1b",
        "1kbit",
        "18446744073709551616",
    };
    struct hg_size s;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        REQUIRE(hg_size_parse(rows[i].text, &s));
        CHECK_EQ(s.bytes, rows[i].bytes);
    }
    for (i = 0; i < LENGTH(wrong); i++)
        if (hg_size_parse(wrong[i], &s))
            FAIL("'%s' is taken for a size", wrong[i]);
}

TEST(rates_count_packets_or_bits_in_powers_of_1000)
{
    static const struct {
        const char *text;
        uint64_t per_second;
        enum hg_rate_unit unit;
        const char *printed;
    } rows[] = {
        {"1000pps", 1000, HG_RATE_PACKETS, "1kpps"},
        {"10kpps", 10000, HG_RATE_PACKETS, "10kpps"},
        {"1Mpps", 1000000, HG_RATE_PACKETS, "1Mpps"},
        {"64kbps", 64000, HG_RATE_BITS, "64kbps"},
        {"10Mbps", 10000000, HG_RATE_BITS, "10Mbps"},
        {"1Gbps", 1000000000, HG_RATE_BITS, "1Gbps"},
        {"1500bps", 1500, HG_RATE_BITS, "1500bps"},
        {"0pps", 0, HG_RATE_PACKETS, "0pps"},
        {"2Tbps", UINT64_C(2000000000000), HG_RATE_BITS, "2Tbps"},
    };
    static const char *const wrong[] = {
        "",
        "pps",
        "10",
        "10k",
        "10 pps",
        "10ppps",
        "10Kbps",
        "-1pps",
        "1.5kpps",
        "1xbps",
        "1kkbps",
        "10bpsx",
        "18446744073709551615kbps",
    };
    char buf[HG_RATE_STRLEN];
    struct hg_rate r;
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        REQUIRE(hg_rate_parse(rows[i].text, &r));
        CHECK_EQ(r.per_second, rows[i].per_second);
        CHECK_EQ(r.unit, rows[i].unit);
        CHECK_STR(hg_rate_format(&r, buf), rows[i].printed);
    }
    for (i = 0; i < LENGTH(wrong); i++)
        if (hg_rate_parse(wrong[i], &r))
            FAIL("'%s' is taken for a rate", wrong[i]);
}

TEST(numbers_are_decimal_or_hexadecimal_and_fit_64_bits)
{
    static const char *const wrong[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "0x",
        "1e3",
        "0xg",
        "1_0",
        "18446744073709551616",
        "0x10000000000000000",
    };
    uint64_t n;
    size_t i;

    CHECK(hg_number_parse("010", &n) && n == 10);
    CHECK(hg_number_parse("0xfF", &n) && n == 255);
    CHECK(hg_number_parse("18446744073709551615", &n) && n == UINT64_MAX);
    CHECK(hg_number_parse("0xffffffffffffffff", &n) && n == UINT64_MAX);
    for (i = 0; i < LENGTH(wrong); i++)
        if (hg_number_parse(wrong[i], &n))
            FAIL("'%s' is taken for a number", wrong[i]);
}

TEST(truth_is_true_yes_or_on)
{
    bool b = false;

    CHECK(hg_bool_parse("true", &b) && b);
    CHECK(hg_bool_parse("no", &b) && !b);
    CHECK(hg_bool_parse("on", &b) && b);
    CHECK(hg_bool_parse("false", &b) && !b);
    CHECK(hg_bool_parse("yes", &b) && b);
    CHECK(hg_bool_parse("off", &b) && !b);
    CHECK(!hg_bool_parse("1", &b));
    CHECK(!hg_bool_parse("True", &b));
    CHECK(!hg_bool_parse("", &b));
}

TEST(setting_an_error_returns_false_and_cuts_what_is_too_long)
{
    struct hg_error e;
    char text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    CHECK(!hg_error_set(NULL, "%s", text));
    CHECK(!hg_error_set(&e, "no port '%s'", "out"));
    CHECK_STR(e.text, "no port 'out'");
    CHECK(!hg_error_set(&e, "%s", text));
    CHECK_EQ(strlen(e.text), sizeof e.text - 1);
}
