/* headgate/lpm.h: longest prefix match for IPv4 and IPv6.
 *
 * A tree bitmap (Eatherton, Varghese, Dittia: Tree Bitmap, ACM CCR 34(2),
 * 2004) with strides of six bits: a node of 24 bytes says which prefixes end
 * in it and which children it has; both stand in arrays without gaps.  A
 * change touches one node, whatever the prefix covers.
 *
 * Values are the caller's numbers, below HG_LPM_NONE.
 *
 * Thread-safety: lookups may run together; a change needs the table alone. */
#ifndef HEADGATE_LPM_H
#define HEADGATE_LPM_H 1

#include <headgate/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HG_LPM_NONE UINT32_MAX

struct hg_lpm;

/* An empty table.  Never NULL (memory running out ends the program). */
HG_API struct hg_lpm *hg_lpm_create(void);

/* The same with room for a note on each prefix: a number that lookups do not
 * see. */
HG_API struct hg_lpm *hg_lpm_create_with_notes(void);
HG_API void hg_lpm_destroy(struct hg_lpm *);

/* Adds a prefix or replaces its value; returns the value it had, or
 * HG_LPM_NONE. */
HG_API uint32_t hg_lpm_set(struct hg_lpm *, const struct hg_prefix *,
                           uint32_t value);

/* Removes a prefix; returns the value it had, or HG_LPM_NONE if it was not
 * there. */
HG_API uint32_t hg_lpm_remove(struct hg_lpm *, const struct hg_prefix *);

/* The value of exactly this prefix, or HG_LPM_NONE. */
HG_API uint32_t hg_lpm_get(const struct hg_lpm *, const struct hg_prefix *);

/* Where the note on exactly this prefix is (HG_LPM_NONE until it is written);
 * valid until a change, NULL if the prefix is not there.  The table must have
 * been created with notes. */
HG_API uint32_t *hg_lpm_note(struct hg_lpm *, const struct hg_prefix *);

/* The value of the longest prefix that contains the address. */
HG_API uint32_t hg_lpm_lookup(const struct hg_lpm *, const struct hg_addr *);

/* The same for n IPv4 addresses in host order at once: the lookups advance
 * together, each step prefetched while the others are made. */
HG_API void hg_lpm_lookup4(const struct hg_lpm *, unsigned n,
                           const uint32_t *ip, uint32_t *value);

/* The same for n IPv6 addresses, each of 16 bytes in network order. */
HG_API void hg_lpm_lookup6(const struct hg_lpm *, unsigned n,
                           const uint8_t *const *ip, uint32_t *value);

/* Calls 'fn' with every prefix, IPv4 first, each family in order of address
 * and then of length; stops when it returns false. */
HG_API void hg_lpm_foreach(const struct hg_lpm *,
                           bool (*fn)(void *aux, const struct hg_prefix *,
                                      uint32_t value),
                           void *aux);

HG_API size_t hg_lpm_count(const struct hg_lpm *);

/* Memory in bytes. */
HG_API size_t hg_lpm_bytes(const struct hg_lpm *);

#ifdef __cplusplus
}
#endif
#endif
