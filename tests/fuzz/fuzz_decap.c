/* fuzz_decap.c: any bytes as a frame of any tunnel.  The first byte chooses
 * the format and the rules.  What is accepted is taken apart and put back:
 * the bytes must be the same.  Then the inner packet is changed and put back:
 * the result must be a packet that is accepted again. */
#include <headgate/tunnel.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_back_changed(struct hg_tunnel_store *store, uint64_t number,
                 const struct hg_tunnel_rules *rules, struct hg_packet *p,
                 bool is_cut)
{
    struct hg_tunnel_view view;
    uint8_t *more = hg_packet_put(p, 3);

    if (more)
        memset(more, 0x5a, 3);
    if (hg_tunnel_restore(store, number, true, p) == HG_TUNNEL_RESTORED &&
        !is_cut && !hg_tunnel_is_tag(rules->format) &&
        hg_tunnel_parse(p, rules, &view) != HG_TUNNEL_OK)
        abort();
}

static void
take_apart(struct hg_tunnel_store *store, const struct hg_tunnel_rules *rules,
           struct hg_packet *p)
{
    struct hg_packet *before = hg_packet_copy(p), *changed;
    struct hg_tunnel_view view;
    uint64_t number;

    if (hg_tunnel_parse(p, rules, &view) == HG_TUNNEL_OK) {
        if (view.inner_offset > view.inner_end || view.inner_end > p->len)
            abort();
        if (hg_tunnel_keep(store, p, rules->format, &view, &number) ==
            HG_TUNNEL_KEPT) {
            hg_tunnel_pull(p, &view);
            changed = hg_packet_copy(p);
            if (hg_tunnel_restore(store, number, false, p) !=
                    HG_TUNNEL_RESTORED ||
                p->len != before->len ||
                memcmp(p->data, before->data, p->len) != 0)
                abort();
            put_back_changed(store, number, rules, changed, view.is_cut);
            hg_packet_free(changed);
        }
    }
    hg_packet_free(before);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hg_tunnel_rules rules = {.port = HG_PORT_GENEVE,
                                    .eni_class = HG_GENEVE_ENI_CLASS};
    struct hg_tunnel_store *store;
    struct hg_pool *pool;
    struct hg_packet *p;

    if (size < 1)
        return 0;
    store = hg_tunnel_store_create(1, HG_SEC);
    pool = hg_pool_create(0);
    rules.format = (enum hg_tunnel_format)(data[0] % 6);
    rules.gwlb = data[0] & 0x40;
    rules.allow_zero_checksum6 = data[0] & 0x80;
    if (rules.format == HG_TUNNEL_VXLAN)
        rules.port = HG_PORT_VXLAN;
    p = hg_packet_alloc(pool, (uint32_t)size - 1);
    memcpy(p->data, data + 1, size - 1);
    hg_packet_parse(p);
    take_apart(store, &rules, p);
    hg_packet_free(p);
    hg_pool_destroy(pool);
    hg_tunnel_store_destroy(store);
    return 0;
}
