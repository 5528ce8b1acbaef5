/* tables_data.h: what tables_bench.c fills its tables with. */
#ifndef TABLES_DATA_H
#define TABLES_DATA_H 1

#include <headgate/types.h>

struct prefixes {
    struct hg_prefix *v;
    size_t n;
    size_t n4; /* Of IPv4; they stand before the others. */
};

/* xorshift64; *state must not be 0. */
uint64_t random_next(uint64_t *state);

/* About a million different prefixes of the Internet: those of the corpus in
 * $HEADGATE_CORPUS, or as many that look like them; one in ten of these if
 * 'few'.  In order of address, IPv4 before IPv6; the caller frees 'v'. */
struct prefixes prefixes_get(bool few);

/* Puts those of each family in random order. */
void prefixes_shuffle(struct prefixes *);

/* A random address within the prefix. */
struct hg_addr address_within(const struct hg_prefix *, uint64_t *state);

/* Writes a table for MappingService, CSV: one VPC 10.0.0.0/8 with subnets of
 * 4,096 addresses, 4,000 ENIs in each, n in all; false with errno set. */
bool mappings_write(const char *path, size_t n);

/* The address of the i-th of these ENIs, in host order. */
uint32_t mapping_ip(size_t i);

#endif
