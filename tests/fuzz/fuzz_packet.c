/* fuzz_packet.c: any bytes as a frame: parsed, printed, hashed and rewritten
 * through every accessor.  Besides not crashing, a rewritten packet whose
 * checksum was right must still be right. */
#include <headgate/packet.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
rewrite(struct hg_packet *p)
{
    bool right = hg_packet_l4_checksum_ok(p);
    struct hg_addr src = hg_packet_src(p), dst = hg_packet_dst(p);

    hg_packet_set_ttl(p, (uint8_t)(hg_packet_ttl(p) - 1));
    hg_packet_set_src(p, &dst);
    hg_packet_set_dst(p, &src);
    hg_packet_set_sport(p, 1024);
    hg_packet_set_dport(p, 53);
    if (right && !hg_packet_l4_checksum_ok(p))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_pool *pool = hg_pool_create(4);
    struct hg_packet *p = hg_packet_alloc(pool, (uint32_t)size), *copy;
    char text[512];

    if (size)
        memcpy(p->data, data, size);
    hg_packet_parse(p);
    hg_packet_format(p, text, sizeof text);
    (void)hg_packet_hash(p);
    if (hg_packet_l3_len(p) > p->len || hg_packet_l4_len(p) > p->len)
        abort();
    copy = hg_packet_copy(p);
    if (hg_packet_push(copy, 50)) {
        memset(copy->data, 0, 50);
        hg_packet_pull(copy, 50);
    }
    hg_packet_trim(copy, (uint32_t)size / 2);
    hg_packet_parse(copy);
    rewrite(copy);
    rewrite(p);
    hg_packet_set_checksums(p);
    rewrite(p);
    hg_packet_free(copy);
    hg_packet_free(p);
    hg_pool_destroy(pool);
    return 0;
}
