/* test_checksum.c: the Internet checksum (headgate/checksum.h) against the
 * examples of the RFCs and against the definition, word by word. */
#include "test.h"

#include <headgate/checksum.h>

#include <stdlib.h>
#include <string.h>

/* RFC 1071 1: the sum of 16-bit words, carries added in. */
static uint16_t
plain_checksum(const uint8_t *data, size_t len)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i + 1 < len; i += 2)
        sum += (uint64_t)data[i] << 8 | data[i + 1];
    if (len % 2)
        sum += (uint64_t)data[len - 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void
fill(uint8_t *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        data[i] = (uint8_t)(rand() >> 7);
}

TEST(the_example_of_rfc_1071_sums_to_ddf2)
{
    static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03,
                                   0xf4, 0xf5, 0xf6, 0xf7};

    CHECK_EQ(hg_checksum_fold(hg_checksum_add(0, data, sizeof data)),
             (uint16_t)~0xddf2);
}

TEST(any_length_at_any_alignment_is_the_sum_of_its_words)
{
    uint8_t data[4200];
    size_t len, at;

    srand(1);
    fill(data, sizeof data);
    for (len = 0; len < 200; len++)
        for (at = 0; at < 9; at++)
            if (hg_checksum_fold(hg_checksum_add(0, data + at, len)) !=
                plain_checksum(data + at, len))
                FAIL("%zu bytes at offset %zu", len, at);
    CHECK_EQ(hg_checksum_fold(hg_checksum_add(0, data, 4199)),
             plain_checksum(data, 4199));
}

TEST(an_ipv4_header_is_right_only_with_its_checksum)
{
    uint8_t header[60];
    unsigned len, bit;

    srand(2);
    for (len = 20; len <= sizeof header; len += 4) {
        uint16_t sum;

        fill(header, len);
        header[10] = header[11] = 0;
        sum = plain_checksum(header, len);
        header[10] = (uint8_t)(sum >> 8);
        header[11] = (uint8_t)sum;
        CHECK(hg_checksum_ipv4_ok(header, len));
        for (bit = 0; bit < 8 * len; bit++) {
            header[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (hg_checksum_ipv4_ok(header, len))
                FAIL("bit %u of %u bytes", bit, len);
            header[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

TEST(all_ones_do_not_overflow)
{
    static uint8_t data[262144];

    memset(data, 0xff, sizeof data);
    CHECK_EQ(hg_checksum_fold(hg_checksum_add(0, data, sizeof data)), 0);
    CHECK_EQ(hg_checksum_fold(hg_checksum_add(UINT32_MAX, data, 65535)),
             plain_checksum(data, 65535));
}

TEST(pieces_of_even_length_sum_to_the_whole)
{
    uint8_t data[101];
    uint32_t sum;
    size_t cut;

    srand(2);
    fill(data, sizeof data);
    for (cut = 0; cut < sizeof data; cut += 2) {
        sum = hg_checksum_add(0, data, cut);
        sum = hg_checksum_add(sum, data + cut, sizeof data - cut);
        CHECK_EQ(hg_checksum_fold(sum), plain_checksum(data, sizeof data));
    }
}

TEST(pseudo_headers_are_summed_as_the_rfcs_lay_them_out)
{
    /* RFC 9293 3.1: addresses, zero, protocol, length. */
    static const uint8_t four[] = {192, 0, 2, 1, 203, 0, 113, 9, 0, 17, 1, 44};
    /* RFC 8200 8.1: addresses, 32-bit length, zeros, next header. */
    uint8_t six[40] = {0};

    srand(3);
    fill(six, 32);
    six[33] = 1; /* Length 65540. */
    six[35] = 4;
    six[39] = 58;
    CHECK_EQ(
        hg_checksum_fold(hg_checksum_pseudo4(0xc0000201, 0xcb007109, 17, 300)),
        plain_checksum(four, sizeof four));
    CHECK_EQ(hg_checksum_fold(hg_checksum_pseudo6(six, six + 16, 58, 65540)),
             plain_checksum(six, sizeof six));
}

TEST(the_example_of_rfc_1624_updates_to_zero)
{
    /* RFC 1624 4: checksum 0xdd2f, a word goes from 0x5555 to 0x3285. */
    hg_be16 field = hg_be16_of(0xdd2f);

    hg_checksum_update16(&field, 0x5555, 0x3285);
    CHECK_EQ(hg_get16(field), 0);
}

TEST(an_updated_checksum_is_the_one_computed_anew)
{
    uint8_t data[40];
    unsigned i;

    srand(4);
    for (i = 0; i < 20000; i++) {
        size_t at = (size_t)(rand() % 19) * 2;
        bool is_wide = rand() % 2;
        uint8_t new_bytes[4];
        hg_be16 field;

        fill(data, sizeof data);
        fill(new_bytes, sizeof new_bytes);
        field = hg_be16_of(plain_checksum(data, sizeof data));
        if (is_wide) {
            hg_checksum_update32(&field, hg_load32(data + at),
                                 hg_load32(new_bytes));
            memcpy(data + at, new_bytes, 4);
        } else {
            hg_checksum_update16(&field, hg_load16(data + at),
                                 hg_load16(new_bytes));
            memcpy(data + at, new_bytes, 2);
        }
        if (hg_get16(field) != plain_checksum(data, sizeof data))
            FAIL("round %u", i);
    }
}

TEST(a_word_whose_first_byte_changes_is_updated_as_any_other)
{
    uint32_t c, from, to;

    for (c = 0; c <= 0xffff; c += 0x11)
        for (from = 0; from <= 0xff; from += 5)
            for (to = 0; to <= 0xff; to += 17) {
                hg_be16 a = hg_be16_of((uint16_t)c), b = a;

                hg_checksum_update16(&a, (uint16_t)(from << 8),
                                     (uint16_t)(to << 8));
                hg_checksum_update_first(&b, (uint8_t)from, (uint8_t)to);
                if (hg_get16(a) != hg_get16(b))
                    FAIL("%#x: %u to %u", c, from, to);
            }
}

TEST(udp_without_a_checksum_stays_without)
{
    hg_be16 field = hg_be16_of(0);

    hg_checksum_update16_udp(&field, 1, 2);
    CHECK_EQ(hg_get16(field), 0);
    hg_checksum_update32_udp(&field, 1, 0xc0000201);
    CHECK_EQ(hg_get16(field), 0);
}

TEST(a_udp_checksum_that_becomes_zero_is_sent_as_ffff)
{
    hg_be16 field = hg_be16_of(0xdd2f);

    hg_checksum_update16_udp(&field, 0x5555, 0x3285);
    CHECK_EQ(hg_get16(field), 0xffff);
    field = hg_be16_of(0xdd2f);
    hg_checksum_update32_udp(&field, 0x55550000, 0x32850000);
    CHECK_EQ(hg_get16(field), 0xffff);
}
