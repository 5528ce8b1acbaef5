/* test_hyperplane_nat_rfc.c: what docs/nat-conformance.md says of
 * HyperplaneNAT and RFC 4787, 5382, 5508, 6888 and 7857, as far as
 * test_hyperplane_nat.c does not show it already.  Both what holds and what
 * is otherwise by design. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "nat_table.h"

#define S (HG_SEC)

struct step {
    uint64_t time_s;
    const char *in;
    const char *packet;
    const char *out; /* Leaves on the other port; NULL: nothing leaves. */
};

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void
walk(struct bench *b, const struct step *steps, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        const struct step *step = &steps[i];
        bool from_inside = !strcmp(step->in, "inside");

        bench_push(b, step->in, step->packet,
                   step->time_s * S + (step->out ? 0 : LATE));
        if (step->out)
            bench_expect(b, from_inside ? "outside" : "inside", step->out);
        bench_expect_none(b, NULL);
    }
    bench_destroy(b);
}

#define WALK(nat, steps) walk(nat, steps, N(steps))

#define ASK "udp 10.0.0.5:40000 > 203.0.113.9:53"
#define ASKED "udp 198.51.100.1:7000 > 203.0.113.9:53"
#define ANSWER "udp 203.0.113.9:53 > 198.51.100.1:7000"
#define ANSWERED "udp 203.0.113.9:53 > 10.0.0.5:40000"

/* Of TCP, with the flags behind it. */
#define SEND "tcp 10.0.0.5:40000 > 203.0.113.9:443 "
#define SENT "tcp 198.51.100.1:7000 > 203.0.113.9:443 "
#define RECEIVE "tcp 203.0.113.9:443 > 198.51.100.1:7000 "
#define RECEIVED "tcp 203.0.113.9:443 > 10.0.0.5:40000 "

/* ---- Mapping ---------------------------------------------------------- */

TEST(each_remote_endpoint_has_a_mapping_of_its_own)
{
    static const char *const remote[] = {"203.0.113.9:53", "203.0.113.9:54",
                                         "203.0.113.8:53"};
    struct bench *b = NAT_CREATE("public=198.51.100.1");
    uint16_t port[3];
    size_t i;

    for (i = 0; i < 3; i++) {
        struct hg_packet *p;
        char text[80];

        snprintf(text, sizeof(text), "udp 10.0.0.5:40000 > %s", remote[i]);
        bench_push(b, "inside", text, 0);
        p = bench_take(b, "outside");
        REQUIRE(p != NULL);
        port[i] = hg_packet_sport(p);
    }
    CHECK_EQ(bench_counter(b, "active_connection_count"), 3);
    CHECK(port[0] != port[1]);
    CHECK(port[1] != port[2]);
    CHECK(port[0] != port[2]);
    bench_destroy(b);
}

TEST(neither_class_nor_parity_of_the_port_is_kept)
{
    static const struct step steps[] = {
        {0, "inside", "udp 10.0.0.5:123 > 203.0.113.9:123",
         "udp 198.51.100.1:7000 > 203.0.113.9:123"},
    };

    WALK(NAT(), steps);
}

TEST(inside_and_outside_may_use_the_same_addresses)
{
    static const struct step steps[] = {
        {0, "inside", "udp 203.0.113.9:53 > 203.0.113.9:53",
         "udp 198.51.100.1:7000 > 203.0.113.9:53"},
        {0, "outside", "udp 203.0.113.9:53 > 198.51.100.1:7000",
         "udp 203.0.113.9:53 > 203.0.113.9:53"},
    };

    WALK(NAT(), steps);
}

TEST(nothing_goes_round_by_a_public_address)
{
    static const char *const packets[] = {
        "udp 10.0.0.6:40000 > 198.51.100.1:7000",
        "tcp 10.0.0.6:40000 > 198.51.100.1:7000 S",
        "icmp 10.0.0.6 > 198.51.100.1 echo 7 seq 1",
        ("icmp 10.0.0.6 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7000 > 10.0.0.6:53 ttl 60)"),
    };
    struct bench *b = NAT();
    size_t i;

    bench_push(b, "inside", ASK, 0);
    bench_expect(b, "outside", ASKED);
    for (i = 0; i < N(packets); i++) {
        bench_push(b, "inside", packets[i], 0);
        bench_expect_none(b, NULL);
        CHECK_EQ(bench_counter(b, "hairpin"), i + 1);
    }
    bench_destroy(b);
}

TEST(a_host_that_has_all_ports_leaves_none_to_the_next)
{
    static const struct step steps[] = {
        {0, "inside", ASK, ASKED},
        {1, "inside", "udp 10.0.0.6:40000 > 203.0.113.9:53", NULL},
        {2, "outside", ANSWER, ANSWERED},
    };

    WALK(NAT(), steps);
}

/* ---- Time ------------------------------------------------------------- */

TEST(a_udp_mapping_lives_350_seconds_and_no_longer)
{
    static const struct step steps[] = {
        {0, "inside", ASK, ASKED},
        {349, "outside", ANSWER, ANSWERED},
        {699, "outside", ANSWER, NULL},
    };

    WALK(NAT(), steps);
}

TEST(a_udp_mapping_is_refreshed_from_inside)
{
    static const struct step steps[] = {
        {0, "inside", ASK, ASKED},
        {349, "inside", ASK, ASKED},
        {698, "outside", ANSWER, ANSWERED},
    };

    WALK(NAT(), steps);
}

TEST(a_ping_mapping_lives_350_seconds)
{
    static const struct step steps[] = {
        {0, "inside", "icmp 10.0.0.5 > 203.0.113.9 echo 7 seq 1",
         "icmp 198.51.100.1 > 203.0.113.9 echo 7000 seq 1"},
        {349, "outside", "icmp 203.0.113.9 > 198.51.100.1 reply 7000 seq 1",
         "icmp 203.0.113.9 > 10.0.0.5 reply 7 seq 1"},
    };

    WALK(NAT(), steps);
}

TEST(an_open_connection_lives_350_seconds_and_longer_on_request)
{
    static const struct step begin[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {0, "inside", SEND ".", SENT "."},
        {350, "outside", RECEIVE ".", NULL},
    };
    static const struct step long_lived[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {0, "inside", SEND ".", SENT "."},
        {7439, "outside", RECEIVE ".", RECEIVED "."},
    };

    WALK(NAT(), begin);
    WALK(NAT("tcp-idle-timeout=7440s"), long_lived);
}

TEST(an_opening_connection_waits_four_minutes)
{
    static const struct step answered[] = {
        {0, "inside", SEND "S", SENT "S"},
        {239, "outside", RECEIVE "S.", RECEIVED "S."},
    };
    static const struct step too_late[] = {
        {0, "inside", SEND "S", SENT "S"},
        {240, "outside", RECEIVE "S.", NULL},
    };

    WALK(NAT(), answered);
    WALK(NAT(), too_late);
}

TEST(a_reset_is_translated_and_the_mapping_stays_four_minutes)
{
    static const struct step steps[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {1, "outside", RECEIVE "R", RECEIVED "R"},
        {240, "outside", RECEIVE "R", RECEIVED "R"},
        {241, "outside", RECEIVE "R", NULL},
    };

    WALK(NAT(), steps);
}

TEST(further_resets_from_inside_do_not_refresh)
{
    static const struct step steps[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {1, "inside", SEND "R", SENT "R"},
        {200, "inside", SEND "R", SENT "R"},
        {240, "outside", RECEIVE ".", RECEIVED "."},
    };
    static const struct step over[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {1, "inside", SEND "R", SENT "R"},
        {200, "inside", SEND "R", SENT "R"},
        {241, "outside", RECEIVE ".", NULL},
    };

    WALK(NAT(), steps);
    WALK(NAT(), over);
}

/* ---- TCP -------------------------------------------------------------- */

TEST(both_ends_may_open_a_connection_at_once)
{
    static const struct step steps[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S", RECEIVED "S"},
        {0, "inside", SEND "S.", SENT "S."},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {1, "inside", SEND "P. len 5", SENT "P. len 5"},
        {300, "outside", RECEIVE "P. len 5", RECEIVED "P. len 5"},
    };

    WALK(NAT(), steps);
}

TEST(an_unasked_syn_is_never_answered_and_does_not_hinder)
{
    struct bench *b = NAT();

    bench_push(b, "outside", RECEIVE "S", 0);
    bench_advance(b, 5 * S);
    bench_expect_none(b, NULL);
    bench_push(b, "inside", SEND "S", 5 * S);
    bench_expect(b, "outside", SENT "S");
    bench_advance(b, 20 * S);
    bench_expect_none(b, NULL);
    CHECK_EQ(bench_counter(b, "unknown_inbound"), 1);
    bench_destroy(b);
}

/* ---- ICMP ------------------------------------------------------------- */

TEST(an_icmp_error_does_not_end_a_connection)
{
    static const struct step steps[] = {
        {0, "inside", SEND "S", SENT "S"},
        {0, "outside", RECEIVE "S.", RECEIVED "S."},
        {1, "outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 1 "
         "(tcp 198.51.100.1:7000 > 203.0.113.9:443 . ttl 60)",
         "icmp 192.0.2.1 > 10.0.0.5 unreachable 1 "
         "(tcp 10.0.0.5:40000 > 203.0.113.9:443 . ttl 60)"},
        {2, "inside", SEND ".", SENT "."},
        {3, "outside", RECEIVE ".", RECEIVED "."},
    };

    WALK(NAT(), steps);
}

TEST(an_error_from_inside_does_not_refresh_either)
{
    static const struct step steps[] = {
        {0, "inside", ASK, ASKED},
        {300, "inside",
         "icmp 10.0.0.5 > 203.0.113.9 unreachable 3 "
         "(udp 203.0.113.9:53 > 10.0.0.5:40000 ttl 60)",
         "icmp 198.51.100.1 > 203.0.113.9 unreachable 3 "
         "(udp 203.0.113.9:53 > 198.51.100.1:7000 ttl 60)"},
        {350, "outside", ANSWER, NULL},
    };

    WALK(NAT(), steps);
}

TEST(a_quoted_transport_checksum_is_not_judged)
{
    static const struct step steps[] = {
        {0, "inside", ASK, ASKED},
        {1, "outside",
         "icmp 192.0.2.1 > 198.51.100.1 unreachable 3 "
         "(udp 198.51.100.1:7000 > 203.0.113.9:53 len 8 bad-checksum)",
         "icmp 192.0.2.1 > 10.0.0.5 unreachable 3 "
         "(udp 10.0.0.5:40000 > 203.0.113.9:53 len 8 bad-checksum)"},
    };

    WALK(NAT(), steps);
}
