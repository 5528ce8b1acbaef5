/* test_notation.c: text to packet and back, and comparing with patterns. */
#include "test.h"
#include "notation.h"

#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

TEST(what_is_printed_can_be_read)
{
    static const char *const rows[] = {
        "tcp 10.0.0.5:40000 > 203.0.113.9:443 S len 0 ttl 64 seq 1 ack 0",
        "tcp 10.0.0.5:1 > 10.0.0.6:2 none len 20 ttl 1 seq 0 ack 4294967295",
        "tcp 10.0.0.5:1 > 10.0.0.6:2 SFRP.UEW len 0 ttl 64 seq 1 ack 0 "
        "mss 1460 tos 3 df id 9",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
        "udp [2001:db8::5]:53 > [2001:db8::1]:5000 len 12 ttl 255 tos 184",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 pad 6",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 cut 6",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 bad-checksum",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 bad-header-checksum",
        "udp 10.0.0.5:53 > 10.0.0.6:5000 len 16 ttl 64 frag 0+ id 7",
        "ip 10.0.0.5 > 10.0.0.6 proto 17 len 16 ttl 64 frag 1480+ id 7",
        "ip 10.0.0.5 > 10.0.0.6 proto 17 len 3 ttl 64 frag 1480 id 7",
        "ip 10.0.0.5 > 10.0.0.6 proto 47 len 10 ttl 64",
        "ip 2001:db8::1 > 2001:db8::2 proto 6 len 8 ttl 64 frag 8+ id 70000",
        "tcp [2001:db8::1]:1 > [2001:db8::2]:2 S len 4 ttl 64 seq 0 ack 0 "
        "frag 0+ id 70000",
        "ip 2001:db8::1 > 2001:db8::2 proto 60 len 3 ttl 64 bad-ext",
        "icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 56 ttl 64",
        "icmp 10.0.0.5 > 10.0.0.9 reply 7 seq 1 len 0 ttl 64",
        "icmp 10.0.0.5 > 10.0.0.9 type 13 code 0 len 12 ttl 64",
        "icmp 2001:db8::1 > 2001:db8::2 echo 65535 seq 65535 len 1 ttl 64",
        "icmp 10.0.0.1 > 10.0.0.5 unreachable 4 mtu 1400 ttl 64 "
        "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4 ttl 63)",
        "icmp 10.0.0.1 > 10.0.0.5 time-exceeded 0 ttl 64 "
        "(tcp 10.0.0.5:1 > 10.0.0.9:2 ttl 1 seq 77)",
        "icmp 10.0.0.1 > 10.0.0.5 redirect 1 ttl 64 "
        "(tcp 10.0.0.5:1 > 10.0.0.9:2 S len 0 ttl 1 seq 77 ack 0)",
        "icmp 10.0.0.1 > 10.0.0.5 unreachable 3 ttl 64 "
        "(udp 10.0.0.5:1 > 10.0.0.9:2 len 4 ttl 63 bad-header-checksum)",
        "icmp 10.0.0.1 > 10.0.0.5 unreachable 3 ttl 64 "
        "(icmp 10.0.0.5 > 10.0.0.9 echo 7 seq 1 len 0 ttl 63)",
        "icmp 2001:db8::1 > 2001:db8::2 too-big 0 mtu 1280 ttl 64 "
        "(udp [2001:db8::2]:1 > [2001:db8::9]:2 len 4 ttl 63)",
        "arp who-has 10.0.0.1 tell 10.0.0.2",
        "arp reply 10.0.0.1 is-at 02:00:00:00:00:07 to 10.0.0.2",
        "arp op 3 tell 10.0.0.1 to 10.0.0.2",
        "vlan 5 arp who-has 10.0.0.1 tell 10.0.0.2",
        "vlan 5 vlan 4095 udp 10.0.0.5:53 > 10.0.0.6:5000 len 0 ttl 64",
        "eth type 0x88cc len 46",
        "eth type 0x0800 len 20",
        "vlan 1 eth type 0x88cc len 0",
        "runt 9",
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_error error = {""};
        struct hg_packet *p = notation_parse(pool, rows[i], &error);
        char text[512];

        if (!p) {
            FAIL("'%s': %s", rows[i], error.text);
            continue;
        }
        CHECK_STR(hg_packet_format(p, text, sizeof text), rows[i]);
        CHECK(notation_matches(text, rows[i], &error));
        hg_packet_free(p);
    }
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(what_is_no_packet_is_refused_with_a_reason)
{
    static const char *const rows[][2] = {
        {"", "'': not a kind of packet"},
        {"tpc 10.0.0.1:1 > 10.0.0.2:2", "'tpc': not a kind of packet"},
        {"udp 10.0.0.1:1", "'udp' needs 'source > destination'"},
        {"udp 10.0.0.1 > 10.0.0.2:2", "'10.0.0.1': not address:port"},
        {"udp 10.0.0.1:1 > 10.0.0.2:65536",
         "'10.0.0.2:65536': not address:port"},
        {"udp 10.0.0.1:1 > [fd00::1]:2",
         "'10.0.0.1:1' and '[fd00::1]:2': not of one IP version"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 ttl 256",
         "ttl '256': not a number up to 255"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 ttl", "ttl '': not a number up to 255"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 S", "'S': unknown word"},
        {"tcp 10.0.0.1:1 > 10.0.0.2:2",
         "tcp needs flags, such as 'S' or 'none'"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 frag 7",
         "frag '7': not a multiple of 8"},
        {"icmp 10.0.0.1 > 10.0.0.2 too-big 0",
         "'too-big': not of this IP version"},
        {"icmp 10.0.0.1 > 10.0.0.2 echo 7 (udp 10.0.0.1:1 > 10.0.0.2:2)",
         "'(udp 10.0.0.1:1 > 10.0.0.2:2)': only an ICMP error quotes"},
        {"icmp 10.0.0.1 > 10.0.0.2 unreachable 0 (udp 10.0.0.1:1",
         "'(udp 10.0.0.1:1': no ')'"},
        {"udp 10.0.0.1:1 > 10.0.0.2:2 len 65508",
         "an IP packet of 65536 bytes"},
        {"ip 10.0.0.1 > 10.0.0.2 proto 47 cut 20", "cut 20: nothing is left"},
        {"ip fd00::1 > fd00::2 proto 60 len 3", "extension headers are bad"},
    };
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_error error = {""};

        CHECK(!notation_parse(pool, rows[i][0], &error));
        CHECK_STR(error.text, rows[i][1]);
    }
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(a_pattern_matches_what_says_no_less)
{
    static const struct {
        const char *text, *pattern;
        bool matches;
    } rows[] = {
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "udp 10.0.0.5:53 > 10.0.0.6:5000", true},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64", "udp 10.0.0.5:* > *",
         true},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "udp 10.0.0.5:53 > 10.0.0.6:5000 ttl 64 len 12", true},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "udp 10.0.0.5:53 > 10.0.0.6:5000 ttl 63", false},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "udp 10.0.0.5:53 > 10.0.0.6:5000 df", false},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "tcp 10.0.0.5:53 > 10.0.0.6:5000", false},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64",
         "udp 10.0.0.5:5 > 10.0.0.6:5000", false},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 bad-checksum",
         "udp 10.0.0.5:53 > 10.0.0.6:5000", false},
        {"udp 10.0.0.5:53 > 10.0.0.6:5000 len 12 ttl 64 bad-checksum",
         "udp 10.0.0.5:53 > 10.0.0.6:5000 bad-checksum", true},
        {"tcp 1.2.3.4:1 > 1.2.3.4:2 S len 0 ttl 64 seq 5 ack 1",
         "tcp 1.2.3.4:1 > 1.2.3.4:2 S seq 5", true},
        {"tcp 1.2.3.4:1 > 1.2.3.4:2 S len 0 ttl 64 seq 5 ack 1",
         "tcp 1.2.3.4:1 > 1.2.3.4:2 seq 1", false},
        {"tcp 1.2.3.4:1 > 1.2.3.4:2 S. len 0 ttl 64 seq 5 ack 1",
         "tcp 1.2.3.4:1 > 1.2.3.4:2 S", false},
        {"icmp 1.2.3.4 > 1.2.3.5 unreachable 4 mtu 9 (udp 1.1.1.1:1 > "
         "2.2.2.2:2 len 4)",
         "icmp 1.2.3.4 > 1.2.3.5 unreachable 4 (udp 1.1.1.1:1 > *)", true},
        {"icmp 1.2.3.4 > 1.2.3.5 unreachable 4 mtu 9 (udp 1.1.1.1:1 > "
         "2.2.2.2:2 len 4)",
         "icmp 1.2.3.4 > 1.2.3.5 unreachable 4 (udp 1.1.1.2:1 > *)", false},
        {"icmp 1.2.3.4 > 1.2.3.5 unreachable 4 mtu 9 (udp 1.1.1.1:1 > "
         "2.2.2.2:2 len 4 bad-header-checksum)",
         "icmp 1.2.3.4 > 1.2.3.5 unreachable 4 (udp 1.1.1.1:1 > *)", false},
        {"icmp 1.2.3.4 > 1.2.3.5 echo 4", "icmp * > * echo 5", false},
        {"arp reply 10.0.0.1 is-at 02:00:00:00:00:07 to 10.0.0.2",
         "arp reply 10.0.0.1 to 10.0.0.2", true},
        {"arp reply 10.0.0.1 is-at 02:00:00:00:00:07 to 10.0.0.2",
         "arp reply 10.0.0.1 is-at 02:00:00:00:00:08", false},
        {"vlan 5 udp 1.1.1.1:1 > 1.1.1.2:2", "udp 1.1.1.1:1 > 1.1.1.2:2",
         false},
        {"vlan 5 udp 1.1.1.1:1 > 1.1.1.2:2", "vlan * udp * > *", true},
        {"eth type 0x88cc len 46", "eth type 0x88cc", true},
    };
    size_t i;

    for (i = 0; i < LENGTH(rows); i++) {
        struct hg_error error;

        if (notation_matches(rows[i].text, rows[i].pattern, &error) !=
            rows[i].matches)
            FAIL("'%s' and '%s'", rows[i].text, rows[i].pattern);
    }
}
