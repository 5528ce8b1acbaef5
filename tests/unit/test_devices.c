/* Opening devices and capture files (runtime/device.c, device_pcap.c and what
 * is below them), which are compiled into this test: they belong to the
 * program, not to libheadgate. */
#include "../../runtime/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "notation.h"
#include "test.h"

#define N(array) (sizeof(array) / sizeof *(array))

enum { MAX_BYTES = 1 << 20 };

static const struct device_options plain = {.seed = 1};

/* ---- Files for the tests, in a directory of their own ------------------- */

static char directory[] = "/tmp/headgate-devices-XXXXXX";

static void
clean_up(void)
{
    char command[64];

    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0)
        perror(directory);
}

__attribute__((constructor)) static void
start(void)
{
    if (!mkdtemp(directory) || chdir(directory) < 0) {
        perror(directory);
        exit(1);
    }
    atexit(clean_up);
}

static void
write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "w");

    REQUIRE(f != NULL);
    CHECK_EQ(fwrite(data, 1, n, f), n);
    CHECK_EQ(fclose(f), 0);
}

static size_t
read_file(const char *path, uint8_t *data)
{
    FILE *f = fopen(path, "r");
    size_t n;

    REQUIRE(f != NULL);
    n = fread(data, 1, MAX_BYTES, f);
    fclose(f);
    return n;
}

/* A capture that is put together by hand. */
struct file {
    uint8_t bytes[4096];
    size_t n;
    bool is_big; /* Byte order. */
};

static void
put(struct file *f, uint32_t value, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        f->bytes[f->n + (f->is_big ? n - 1 - i : i)] =
            (uint8_t)(value >> 8 * i);
    f->n += n;
}

static void
put_header(struct file *f, uint32_t magic, uint32_t linktype)
{
    put(f, magic, 4);
    put(f, 2, 2);
    put(f, 4, 2);
    put(f, 0, 4);
    put(f, 0, 4);
    put(f, 65535, 4);
    put(f, linktype, 4);
}

static void
put_packet(struct file *f, uint32_t sec, uint32_t fraction, const void *data,
           uint32_t len, uint32_t wire_len)
{
    put(f, sec, 4);
    put(f, fraction, 4);
    put(f, len, 4);
    put(f, wire_len, 4);
    if (len > 0)
        memcpy(f->bytes + f->n, data, len);
    f->n += len;
}

/* ---- Devices ------------------------------------------------------------ */

static struct hg_device *
open_device(const char *spec, const struct device_options *options)
{
    struct hg_error error = {""};
    struct hg_device *dev = device_open(spec, options, &error);

    if (!dev)
        FAIL("%s: %s", spec, error.text);
    REQUIRE(dev != NULL);
    return dev;
}

/* Reads all of 'spec' into packets[] and returns how many; the text of a
 * failure in 'why'. */
static unsigned
read_all(const char *spec, const struct device_options *options,
         struct hg_pool *pool, struct hg_packet **packets, unsigned max,
         struct hg_error *why)
{
    struct hg_device *dev = open_device(spec, options);
    unsigned n = 0, k;

    *why = (struct hg_error){""};
    while (dev->ops->next_ns(dev) != HG_NEVER && n < max) {
        k = dev->ops->receive(dev, pool, packets + n, max - n < 7 ? 1 : 7,
                              HG_NEVER - 1);
        REQUIRE(k > 0);
        n += k;
    }
    CHECK_EQ(dev->rx_packets, n);
    if (dev->failed)
        *why = dev->error;
    CHECK(device_close(dev, why));
    return n;
}

/* Copies a device to another as the run loop would. */
static void
copy(const char *from, const char *to)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *in = open_device(from, &plain);
    struct hg_device *out = open_device(to, &plain);
    struct hg_packet *packets[64];
    struct hg_error error = {""};
    unsigned n;

    while (in->ops->next_ns(in) != HG_NEVER) {
        n = in->ops->receive(in, pool, packets, 64, HG_NEVER - 1);
        CHECK_EQ(out->ops->send(out, packets, n), n);
    }
    CHECK(!in->failed);
    CHECK_EQ(in->rx_packets, out->tx_packets);
    CHECK_EQ(in->rx_bytes, out->tx_bytes);
    CHECK(device_close(in, &error));
    CHECK(device_close(out, &error));
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(what_is_written_plain_gz_and_zst_reads_back_the_same)
{
    static uint8_t first[MAX_BYTES], last[MAX_BYTES];
    size_t n;

    copy("gen:count=1000,flows=20,proto=mix,size=200,rate=3kpps", ":a.pcap");
    copy("a.pcap", ":b.pcap.zst");
    copy("b.pcap.zst", ":c.pcap.gz");
    CHECK_EQ(rename("c.pcap.gz", "misnamed"), 0); /* Content counts. */
    copy("misnamed", "pcap::d.pcap");
    n = read_file("a.pcap", first);
    CHECK(n > 1000 * 60);
    REQUIRE(read_file("d.pcap", last) == n);
    CHECK_MEM(last, first, n);
}

/* Packing and unpacking go on beside the reader and the writer, who then have
 * to wait for each other. */
TEST(captures_longer_than_all_buffers_are_packed_and_unpacked_whole)
{
    copy("gen:count=60000,flows=20000,proto=mix,size=imix", ":long.pcap");
    copy("long.pcap", ":long.pcap.zst");
    copy("long.pcap.zst", ":again.pcap.gz");
    copy("again.pcap.gz", ":again.pcap");
    CHECK_EQ(system("cmp long.pcap again.pcap"), 0);
}

TEST(a_compressed_capture_may_be_closed_before_its_end)
{
    struct hg_device *dev = open_device("long.pcap.zst", &plain);
    struct hg_error error = {""};

    CHECK(dev->ops->next_ns(dev) != HG_NEVER);
    CHECK(device_close(dev, &error));
}

TEST(several_gzip_members_and_zstd_frames_are_one_file)
{
    static uint8_t bytes[2 * MAX_BYTES], whole[MAX_BYTES];
    static const char *const suffixes[] = {".gz", ".zst"};
    size_t i, n, k;

    copy("gen:count=2000,size=128", ":whole.pcap");
    n = read_file("whole.pcap", whole);
    for (i = 0; i < N(suffixes); i++) {
        char command[200], path[32];

        snprintf(path, sizeof path, "joined.pcap%s", suffixes[i]);
        snprintf(command, sizeof command,
                 "for part in 'head -c 1000' 'tail -c +1001'; do "
                 "$part whole.pcap | %s -c; done > %s",
                 i ? "zstd -q" : "gzip", path);
        REQUIRE(system(command) == 0);
        copy(path, ":rejoined.pcap");
        k = read_file("rejoined.pcap", bytes);
        REQUIRE(k == n);
        CHECK_MEM(bytes, whole, n);
    }
}

/* ---- Formats ------------------------------------------------------------ */

TEST(both_byte_orders_and_units_of_time_are_read)
{
    static const uint32_t magic[] = {0xa1b2c3d4, 0xa1b23c4d};
    static const uint8_t data[20] = {1, 2, 3};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[4];
    struct hg_error error;
    unsigned i;

    for (i = 0; i < 4; i++) {
        struct file f = {.is_big = i & 1};
        uint64_t unit = i & 2 ? 1 : HG_USEC;

        put_header(&f, magic[i >> 1], 1);
        put_packet(&f, 7, 999999, data, sizeof data, 1000);
        put_packet(&f, 0xfffffff0, 1, NULL, 0, 0); /* Later than 2038. */
        write_file("x.pcap", f.bytes, f.n);
        REQUIRE(read_all("x.pcap", &plain, pool, p, 4, &error) == 2);
        CHECK_STR(error.text, "");
        CHECK_EQ(p[0]->time_ns, 7 * HG_SEC + 999999 * unit);
        CHECK_EQ(p[0]->len, sizeof data);
        CHECK_EQ(p[0]->wire_len, 1000);
        CHECK_MEM(p[0]->data, data, sizeof data);
        CHECK_EQ(p[1]->time_ns, 0xfffffff0 * HG_SEC + unit);
        CHECK_EQ(p[1]->len, 0);
        CHECK_EQ(p[1]->wire_len, 0);
        hg_packet_free_many(p, 2);
    }
    hg_pool_destroy(pool);
}

TEST(the_output_keeps_the_unit_of_the_input)
{
    static uint8_t bytes[MAX_BYTES];
    static const uint32_t magic[] = {0xa1b2c3d4, 0xa1b23c4d};
    unsigned i;

    for (i = 0; i < 2; i++) {
        struct file f = {.is_big = true};
        uint32_t written;

        put_header(&f, magic[i], 1);
        write_file("unit.pcap", f.bytes, f.n);
        copy("gen:count=1", "unit.pcap:out.pcap");
        CHECK_EQ(read_file("out.pcap", bytes), 24 + 16 + 64);
        memcpy(&written, bytes, sizeof written);
        CHECK_EQ(written, magic[i]);
    }
}

/* An IPv4 UDP packet of 10.0.0.1 and 10.0.0.2 and the first byte of an IPv6
 * one, as far as the parser needs them. */
#define IP4                                                                   \
    0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0x66, 0xcf, 10, 0, 0, 1, 10, 0, 0, 2, \
        0, 1, 0, 2, 0, 8, 0, 0
#define ETH_SRC 2, 0, 0, 0, 0, 1
#define ETH_DST 2, 0, 0, 0, 0, 2

/* clang-format off */
static const struct {
    const char *name;
    uint32_t linktype;      /* LINKTYPE_*, in the file. */
    uint8_t frame[48];
    uint32_t len;
    uint32_t wire_len;      /* Of the Ethernet frame; 0: unusable. */
    uint8_t ethernet[48];   /* Its first 14 + 28 bytes. */
} link_cases[] = {
    {"raw", 101, {IP4}, 28, 114, {ETH_DST, ETH_SRC, 8, 0, IP4}},
    {"raw, IPv6", 101, {0x60}, 28, 114, {ETH_DST, ETH_SRC, 0x86, 0xdd, 0x60}},
    {"raw, neither", 101, {0x30}, 28, 0, {0}},
    {"IPv4", 228, {IP4}, 28, 114, {ETH_DST, ETH_SRC, 8, 0, IP4}},
    {"IPv6", 229, {0x60}, 28, 114, {ETH_DST, ETH_SRC, 0x86, 0xdd, 0x60}},
    {"null, little", 0, {2, 0, 0, 0, IP4}, 32, 110,
     {ETH_DST, ETH_SRC, 8, 0, IP4}},
    {"null, big", 0, {0, 0, 0, 2, IP4}, 32, 110,
     {ETH_DST, ETH_SRC, 8, 0, IP4}},
    {"null, IPv6", 0, {30, 0, 0, 0, 0x60}, 32, 110,
     {ETH_DST, ETH_SRC, 0x86, 0xdd, 0x60}},
    {"null, OSI", 0, {7, 0, 0, 0, 1}, 32, 0, {0}},
    {"null, cut", 0, {2, 0, 0}, 3, 0, {0}},
    {"loop", 108, {0, 0, 0, 2, IP4}, 32, 110, {ETH_DST, ETH_SRC, 8, 0, IP4}},
    {"loop, little", 108, {2, 0, 0, 0, IP4}, 32, 0, {0}},
    {"sll", 113, {0, 0, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0, 8, 0, IP4}, 44, 98,
     {ETH_DST, 2, 9, 9, 9, 9, 9, 8, 0, IP4}},
    {"sll, no address, broadcast", 113,
     {0, 1, 0, 1, 0, 0, 2, 9, 9, 9, 9, 9, 0, 0, 8, 0, IP4}, 44, 98,
     {255, 255, 255, 255, 255, 255, ETH_SRC, 8, 0, IP4}},
    {"sll, LLC", 113, {0, 0, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0, 0, 4}, 44, 0,
     {0}},
    {"sll, cut", 113, {0, 0, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0, 8}, 15, 0,
     {0}},
    {"sll2", 276,
     {8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 9, 9, 9, 9, 9, 0, 0, IP4}, 48, 94,
     {ETH_DST, 2, 9, 9, 9, 9, 9, 8, 0, IP4}},
    {"sll2, cut", 276, {8, 0}, 19, 0, {0}},
};
/* clang-format on */

TEST(other_link_types_become_ethernet)
{
    struct hg_pool *pool = hg_pool_create(0);
    size_t i;

    for (i = 0; i < N(link_cases); i++) {
        struct hg_device *dev;
        struct file f = {.n = 0};
        struct hg_packet *p = NULL;
        unsigned n;

        put_header(&f, 0xa1b2c3d4, link_cases[i].linktype);
        put_packet(&f, 1, 0, link_cases[i].frame, link_cases[i].len, 100);
        put_packet(&f, 1, 0, NULL, 0, 0);
        write_file("link.pcap", f.bytes, f.n);
        dev = open_device("link.pcap", &plain);
        n = dev->ops->receive(dev, pool, &p, 1, HG_NEVER - 1);
        REQUIRE(n == 1);
        CHECK_EQ(dev->rx_unusable, link_cases[i].wire_len == 0);
        if (link_cases[i].wire_len == 0) {
            CHECK_EQ(p->len, 0);
        } else if (!CHECK_EQ(p->wire_len, link_cases[i].wire_len) ||
                   !CHECK_EQ(p->len, 14 + 28) ||
                   !CHECK_MEM(p->data, link_cases[i].ethernet, 14 + 28)) {
            FAIL("in the case '%s'", link_cases[i].name);
        }
        hg_packet_free(p);
        CHECK(device_close(dev, NULL));
    }
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

/* Headers of pcap files, classic or nearly, and how much of a frame of 60
 * bytes comes in.  libpcap knows what the odd ones mean. */
static const struct {
    uint32_t minor;
    uint32_t snaplen;
    uint32_t linktype;
    uint32_t len;
} header_cases[] = {
    {4, 65535, 1, 60},
    {4, 20, 1, 20},
    {4, 0, 1, 60}, /* As much as there may be. */
    {4, UINT32_MAX, 1, 60},
    {4, 65535, 0x24000001, 60}, /* With a checksum of 4 bytes behind it. */
    {2, 65535, 1, 60},          /* Lengths the other way round. */
};

TEST(all_headers_of_pcap_files_are_understood)
{
    struct hg_pool *pool = hg_pool_create(0);
    uint8_t frame[60] = {0};
    size_t i;

    for (i = 0; i < N(header_cases); i++) {
        struct file f = {.is_big = i % 2};
        struct hg_packet *p[2];
        struct hg_error why;

        put_header(&f, 0xa1b2c3d4, header_cases[i].linktype);
        f.n = 6;
        put(&f, header_cases[i].minor, 2);
        f.n = 16;
        put(&f, header_cases[i].snaplen, 4);
        f.n = 24;
        put_packet(&f, 1, 0, frame, sizeof frame, sizeof frame);
        write_file("header.pcap", f.bytes, f.n);
        if (!CHECK_EQ(read_all("header.pcap", &plain, pool, p, 2, &why), 1))
            FAIL("in case %zu: %s", i, why.text);
        CHECK_EQ(p[0]->len, header_cases[i].len);
        CHECK_EQ(p[0]->wire_len, 60);
        hg_packet_free(p[0]);
    }
    hg_pool_destroy(pool);
}

/* Read by us and by libpcap (with a checksum behind each frame): the Ethernet
 * header in front of raw IP would make 13 of it. */
TEST(a_length_on_the_wire_that_no_frame_has_stays_longer_than_the_frame)
{
    static const uint32_t linktype[] = {101, 0x24000065};
    struct hg_pool *pool = hg_pool_create(0);
    uint8_t frame[] = {IP4};
    size_t i;

    for (i = 0; i < N(linktype); i++) {
        struct file f = {.n = 0};
        struct hg_packet *p[2];
        struct hg_error why;

        put_header(&f, 0xa1b2c3d4, linktype[i]);
        put_packet(&f, 1, 0, frame, sizeof frame, UINT32_MAX);
        write_file("wire.pcap", f.bytes, f.n);
        REQUIRE(read_all("wire.pcap", &plain, pool, p, 2, &why) == 1);
        CHECK_EQ(p[0]->len, 14 + sizeof frame);
        CHECK_EQ(p[0]->wire_len, 14u + INT32_MAX);
        hg_packet_free(p[0]);
    }
    hg_pool_destroy(pool);
}

TEST(giant_packets_pass_whole)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *out = open_device(":giant.pcap", &plain);
    struct hg_packet *p = hg_packet_alloc(pool, HG_PACKET_MAX), *back[2];
    struct hg_error error = {""};
    uint32_t i;

    for (i = 0; i < p->len; i++)
        p->data[i] = (uint8_t)(i >> 8 ^ i);
    CHECK_EQ(out->ops->send(out, &p, 1), 1);
    p = hg_packet_alloc(pool, HG_PACKET_MAX);
    memset(p->data, 7, p->len);
    CHECK_EQ(out->ops->send(out, &p, 1), 1);
    CHECK(device_close(out, &error));
    REQUIRE(read_all("giant.pcap", &plain, pool, back, 2, &error) == 2);
    CHECK_STR(error.text, "");
    CHECK_EQ(back[0]->len, HG_PACKET_MAX);
    for (i = 0; i < back[0]->len; i++)
        if (back[0]->data[i] != (uint8_t)(i >> 8 ^ i))
            break;
    CHECK_EQ(i, HG_PACKET_MAX);
    CHECK_EQ(back[1]->data[HG_PACKET_MAX - 1], 7);
    hg_packet_free_many(back, 2);
    hg_pool_destroy(pool);
}

TEST(time_does_not_go_back)
{
    static const uint32_t given[] = {5, 3, 4, 9, 8};
    static const uint32_t taken[] = {5, 5, 5, 9, 9};
    struct hg_pool *pool = hg_pool_create(0);
    struct file f = {.n = 0};
    struct hg_device *dev;
    struct hg_packet *p[8];
    unsigned i;

    put_header(&f, 0xa1b2c3d4, 1);
    for (i = 0; i < N(given); i++)
        put_packet(&f, given[i], 0, "0123456789abcd", 14, 14);
    write_file("back.pcap", f.bytes, f.n);
    dev = open_device("back.pcap", &plain);
    CHECK_EQ(dev->ops->next_ns(dev), 5 * HG_SEC);
    CHECK_EQ(dev->ops->receive(dev, pool, p, 8, 5 * HG_SEC - 1), 0);
    CHECK_EQ(dev->ops->receive(dev, pool, p, 8, 5 * HG_SEC), 3);
    CHECK_EQ(dev->ops->next_ns(dev), 9 * HG_SEC);
    CHECK_EQ(dev->ops->receive(dev, pool, p + 3, 5, 9 * HG_SEC), 2);
    CHECK_EQ(dev->rx_backwards, 3);
    for (i = 0; i < N(taken); i++)
        CHECK_EQ(p[i]->time_ns, taken[i] * HG_SEC);
    hg_packet_free_many(p, N(taken));
    CHECK(device_close(dev, NULL));
    hg_pool_destroy(pool);
}

TEST(filter_and_snaplen_narrow_what_is_received)
{
    struct device_options options = {
        .filter = "icmp or tcp[tcpflags] & tcp-syn != 0", .snaplen = 50};
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_device *dev;
    struct hg_packet *p[300];
    unsigned i, n;

    copy("gen:count=300,flows=30,proto=mix,mode=roundrobin", ":mixed.pcap");
    dev = open_device("mixed.pcap", &options);
    n = dev->ops->receive(dev, pool, p, 300, HG_NEVER - 1);
    CHECK(n > 10 && n < 200);
    CHECK_EQ(dev->rx_packets, n);
    CHECK_EQ(dev->rx_filtered, 300 - n);
    CHECK_EQ(dev->input_done, dev->input_size);
    for (i = 0; i < n; i++) {
        CHECK_EQ(p[i]->len, 50);
        CHECK(p[i]->wire_len == 60 || p[i]->wire_len == 64);
    }
    hg_packet_free_many(p, n);
    CHECK(device_close(dev, NULL));
    hg_pool_destroy(pool);
}

/* ---- Mistakes ----------------------------------------------------------- */

TEST(a_capture_that_is_cut_gives_what_is_before_the_cut)
{
    static uint8_t whole[MAX_BYTES];
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_packet *p[4];
    struct hg_error error;
    char text[100];
    size_t n, cut;

    copy("gen:count=3", ":cut.pcap");
    n = read_file("cut.pcap", whole);
    CHECK_EQ(n, 24 + 3 * 80);
    for (cut = 24; cut < n; cut++) {
        size_t packets = (cut - 24) / 80;

        write_file("cut.pcap", whole, cut);
        REQUIRE(read_all("cut.pcap", &plain, pool, p, 4, &error) == packets);
        hg_packet_free_many(p, (unsigned)packets);
        snprintf(text, sizeof text,
                 "'cut.pcap' is cut after packet %zu "
                 "(byte %zu): ",
                 packets, cut);
        if ((cut - 24) % 80 == 0)
            CHECK_STR(error.text, "");
        else if (strncmp(error.text, text, strlen(text)) != 0)
            FAIL("'%s' instead of '%s...'", error.text, text);
    }
    hg_pool_destroy(pool);
}

TEST(compressed_captures_that_are_cut_say_so)
{
    static const char *const paths[] = {"z.pcap.gz", "z.pcap.zst"};
    static uint8_t whole[MAX_BYTES];
    static struct hg_packet *p[2000];
    struct hg_pool *pool = hg_pool_create(0);
    struct hg_error error;
    unsigned n;
    size_t i, size;

    for (i = 0; i < N(paths); i++) {
        char spec[32];

        snprintf(spec, sizeof spec, ":%s", paths[i]);
        copy("gen:count=2000,flows=500,proto=tcp", spec);
        size = read_file(paths[i], whole);
        write_file(paths[i], whole, size - 9);
        n = read_all(paths[i], &plain, pool, p, 2000, &error);
        CHECK(n > 0);
        CHECK(strstr(error.text, "is cut after packet"));
        CHECK(strstr(error.text, "the compressed data ends too early"));
        hg_packet_free_many(p, n);
    }
    hg_pool_destroy(pool);
}

TEST(a_damaged_record_ends_the_capture_with_a_sentence)
{
    struct hg_pool *pool = hg_pool_create(0);
    struct file f = {.n = 0};
    struct hg_packet *p[4];
    struct hg_error error;

    put_header(&f, 0xa1b2c3d4, 1);
    put_packet(&f, 1, 0, "0123456789abcd", 14, 14);
    put(&f, 1, 4);
    put(&f, 0, 4);
    put(&f, 0x7fffffff, 4);
    put(&f, 0x7fffffff, 4);
    f.n += 1000;
    write_file("damaged.pcap", f.bytes, f.n);
    CHECK_EQ(read_all("damaged.pcap", &plain, pool, p, 4, &error), 1);
    CHECK(strstr(error.text, "'damaged.pcap' cannot be read past packet 1"));
    hg_packet_free(p[0]);
    hg_pool_destroy(pool);
}

/* clang-format off */
static const struct {
    const char *spec;
    const char *filter;
    const char *sentence; /* It begins like that. */
} mistakes[] = {
    {"", NULL, "there is no file and no network interface ''"},
    {"nonsense", NULL, "there is no file and no network interface 'nonsense'"},
    {"gne:flows=3", NULL, "no device 'gne:'; did you mean 'gen:'?"},
    {"wxyzw:a", NULL, "no device 'wxyzw:'; a device is a capture file"},
    {"missing.pcap", NULL,
     "cannot read 'missing.pcap': No such file or directory"},
    {"pcap:missing", NULL,
     "cannot read 'missing': No such file or directory"},
    {"pcap:", NULL, "a capture needs the name of a file"},
    {"./", NULL, "cannot read './': Is a directory"},
    {"empty", NULL, "'empty' is empty; a capture starts with a file header"},
    {"short", NULL, "'short' is not a capture: truncated dump file"},
    {"text", NULL, "'text' is not a capture: unknown file format"},
    {"bad.gz", NULL, "cannot read 'bad.gz': broken gzip data"},
    {"bad.zst", NULL, "cannot read 'bad.zst': broken zstd data"},
    {"wlan.pcap", NULL,
     "link type IEEE802_11 of 'wlan.pcap' is not supported; supported are "
     "EN10MB, RAW, IPV4, IPV6, LINUX_SLL, LINUX_SLL2, NULL, LOOP"},
    {"good.pcap:", NULL, "'good.pcap:' names no output file behind ':'"},
    {"good.pcap:./", NULL, "cannot write './': Is a directory"},
    {":no/such/dir.pcap", NULL,
     "cannot write 'no/such/dir.pcap': No such file or directory"},
    {":x.pcapng", NULL, "cannot write 'x.pcapng': captures are written as "},
    {":x.pcapng.gz", NULL,
     "cannot write 'x.pcapng.gz': captures are written as "},
    {"good.pcap:good.pcap", NULL,
     "cannot write 'good.pcap': it is the file that is read"},
    {"good.pcap:./link", NULL,
     "cannot write './link': it is the file that is read"},
    {"good.pcap", "tcp prot 80", "wrong filter 'tcp prot 80': "},
    {"null:", "tcp prot 80", "wrong filter 'tcp prot 80': "},
    {"null:x", NULL, "'null:' takes no options, not 'x'"},
    {"echo:", "tcp prot 80", "wrong filter 'tcp prot 80': "},
    {"echo:delay=0", NULL,
     "'0' is no 'delay' for 'echo:'; it is a time of 1ns to 1d"},
    {"echo:dealy=1ms", NULL,
     "no option 'dealy' in 'echo:'; did you mean 'delay'?"},
    {"gen:", "tcp prot 80", "wrong filter 'tcp prot 80': "},
    {"gen:flows", NULL, "'flows' in 'gen:' has no value"},
    {"gen:flows=0", NULL, "'0' is no 'flows' for 'gen:'; it is a number of 1"},
    {"gen:flwos=2", NULL, "no option 'flwos' in 'gen:'; did you mean 'flows'"},
    {"gen:zzzzzz=2", NULL, "no option 'zzzzzz' in 'gen:'; there is flows, "
     "count, size, proto, rate, start, seed, src, dst, sport, dport, ipv6, "
     "mode"},
    {"gen:count=1,count=2", NULL, "'count=2' gives 'count' in 'gen:' a "
     "second time"},
    {"gen:size=63", NULL, "'63' is no 'size' for 'gen:'"},
    {"gen:size=9217", NULL, "'9217' is no 'size' for 'gen:'"},
    {"gen:proto=sctp", NULL, "'sctp' is no 'proto' for 'gen:'"},
    {"gen:proto=udp+", NULL, "'udp+' is no 'proto' for 'gen:'"},
    {"gen:proto=udp:0", NULL, "'udp:0' is no 'proto' for 'gen:'"},
    {"gen:proto=udp:-1+tcp", NULL, "'udp:-1+tcp' is no 'proto' for 'gen:'"},
    {"gen:proto=udp: 3", NULL, "'udp: 3' is no 'proto' for 'gen:'"},
    {"gen:proto=udp+udp", NULL, "'udp+udp' is no 'proto' for 'gen:'"},
    {"gen:rate=5", NULL, "'5' is no 'rate' for 'gen:'"},
    {"gen:rate=0pps", NULL, "'0pps' is no 'rate' for 'gen:'"},
    {"gen:start=-1", NULL, "'-1' is no 'start' for 'gen:'"},
    {"gen:seed=x", NULL, "'x' is no 'seed' for 'gen:'"},
    {"gen:src=10.0.0.0/33", NULL, "'10.0.0.0/33' is no 'src' for 'gen:'"},
    {"gen:dst=x", NULL, "'x' is no 'dst' for 'gen:'"},
    {"gen:sport=9-3", NULL, "'9-3' is no 'sport' for 'gen:'"},
    {"gen:dport=70000", NULL, "'70000' is no 'dport' for 'gen:'"},
    {"gen:ipv6=maybe", NULL, "'maybe' is no 'ipv6' for 'gen:'"},
    {"gen:mode=", NULL, "'' is no 'mode' for 'gen:'"},
    {"gen:src=fd00::/64,dst=10.0.0.0/8", NULL, "src, dst and ipv6 of 'gen:'"},
    {"gen:ipv6=yes,dst=10.0.0.0/8", NULL, "src, dst and ipv6 of 'gen:'"},
    {"gen:flows=9,src=10.0.0.1,dst=10.0.0.2,sport=1-2,dport=1-4", NULL,
     "'gen:' has 9 flows but addresses and ports for only 8"},
};
/* clang-format on */

static void
make_mistakes(void)
{
    static const char bad_gz[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff\xff\xff\xff";
    static const char bad_zst[] = "\x28\xb5\x2f\xfd\x08\0\1\2\3\4\5\6\7";
    struct file f = {.n = 0};

    put_header(&f, 0xa1b2c3d4, 105); /* LINKTYPE_IEEE802_11 */
    write_file("wlan.pcap", f.bytes, f.n);
    write_file("short", f.bytes, 20);
    write_file("empty", "", 0);
    write_file("text", "This is not a capture, but a text file.\n", 40);
    write_file("bad.gz", bad_gz, sizeof bad_gz);
    write_file("bad.zst", bad_zst, sizeof bad_zst);
    copy("gen:", ":good.pcap");
    unlink("link");
    CHECK_EQ(symlink("good.pcap", "link"), 0);
}

TEST(every_mistake_has_its_sentence)
{
    static uint8_t before[MAX_BYTES], after[MAX_BYTES];
    size_t i, n;

    make_mistakes();
    n = read_file("good.pcap", before);
    for (i = 0; i < N(mistakes); i++) {
        struct device_options options = {.filter = mistakes[i].filter};
        const char *sentence = mistakes[i].sentence;
        struct hg_error error = {""};
        struct hg_device *dev =
            device_open(mistakes[i].spec, &options, &error);

        if (dev)
            FAIL("'%s' opens", mistakes[i].spec);
        else if (strncmp(error.text, sentence, strlen(sentence)) != 0)
            FAIL("'%s': '%s' instead of '%s'", mistakes[i].spec, error.text,
                 sentence);
        device_close(dev, NULL);
    }
    CHECK_EQ(read_file("good.pcap", after), n); /* Nobody emptied it. */
    CHECK_MEM(after, before, n);
}

TEST(a_full_disk_is_a_failure)
{
    static const char *const specs[] = {":/dev/full", ":full.gz", ":full.zst"};
    struct hg_pool *pool = hg_pool_create(0);
    size_t i, k;

    CHECK_EQ(symlink("/dev/full", "full.gz"), 0);
    CHECK_EQ(symlink("/dev/full", "full.zst"), 0);
    for (i = 0; i < N(specs); i++) {
        struct hg_device *dev = open_device(specs[i], &plain);
        struct hg_error error = {""};
        char text[100];

        snprintf(text, sizeof text,
                 "cannot write '%s': No space left on device", specs[i] + 1);
        for (k = 0; k < 40; k++) {
            struct hg_packet *p = hg_packet_alloc(pool, 100000);
            size_t at;
            uint32_t value = (uint32_t)k;

            for (at = 0; at < p->len; at++) { /* Does not compress. */
                value = value * 1664525 + 1013904223;
                p->data[at] = (uint8_t)(value >> 24);
            }
            dev->ops->send(dev, &p, 1);
        }
        CHECK(dev->failed);
        CHECK_STR(dev->error.text, text);
        CHECK(dev->tx_failed > 0);
        CHECK_EQ(dev->tx_failed + dev->tx_packets, 40);
        CHECK(!device_close(dev, &error));
        CHECK_STR(error.text, text);
    }
    CHECK_EQ(hg_pool_in_use(pool), 0);
    hg_pool_destroy(pool);
}

TEST(a_full_disk_is_noticed_at_the_end_if_not_before)
{
    struct hg_device *dev = open_device(":/dev/full", &plain);
    struct hg_error error = {""};

    CHECK(!device_close(dev, &error));
    CHECK_STR(error.text, "cannot write '/dev/full': No space left on device");
}

TEST(a_spec_says_what_it_can_do)
{
    static const struct {
        const char *spec;
        bool receives, sends;
        const char *scheme;
    } rows[] = {
        {"s.pcap", true, false, "pcap"},
        {":t.pcap", false, true, "pcap"},
        {"s.pcap:t.pcap", true, true, "pcap"},
        {"bare", true, false, "pcap"},
        {"a:b.pcap", true, false, "pcap"},
        {"null:", false, true, "null"},
        {"echo:", true, true, "echo"},
        {"gen:", true, true, "gen"},
    };
    size_t i;

    copy("gen:", ":s.pcap");
    CHECK_EQ(symlink("s.pcap", "bare"), 0);
    CHECK_EQ(symlink("s.pcap", "a:b.pcap"), 0); /* A colon in its name. */
    for (i = 0; i < N(rows); i++) {
        struct hg_device *dev = open_device(rows[i].spec, &plain);

        CHECK_EQ(dev->can_receive, rows[i].receives);
        CHECK_EQ(dev->can_send, rows[i].sends);
        CHECK_STR(dev->ops->scheme, rows[i].scheme);
        CHECK_STR(dev->spec, rows[i].spec);
        CHECK(!dev->live);
        CHECK_EQ(dev->fd, -1);
        if (!rows[i].receives)
            CHECK_EQ(dev->ops->next_ns(dev), HG_NEVER);
        CHECK(device_close(dev, NULL));
    }
}
