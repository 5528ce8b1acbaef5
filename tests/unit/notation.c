/* notation.c: reads the text of packets (notation.h) and compares it.
 *
 * A text is cut into words; words fill a struct spec; notation_frame.c writes
 * that as a frame. */
#include "notation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notation_spec.h"

enum { WORDS_MAX = 64 };

/* One word, or what stands between a pair of parentheses. */
struct word {
    char text[512];
    bool is_group;
};

struct words {
    struct word word[WORDS_MAX];
    size_t n;
};

static const char *const kinds[] = {"tcp", "udp", "icmp", "ip",
                                    "arp", "eth", "runt"};

/* ---- Words ------------------------------------------------------------ */

static bool
add_word(struct words *words, const char *at, size_t n, bool is_group,
         struct hg_error *error)
{
    struct word *word = &words->word[words->n];

    if (words->n == WORDS_MAX || n >= sizeof word->text)
        return hg_error_set(error, "'%.40s': too long", at);
    memcpy(word->text, at, n);
    word->text[n] = '\0';
    word->is_group = is_group;
    words->n++;
    return true;
}

static bool
split(const char *text, struct words *words, struct hg_error *error)
{
    words->n = 0;
    for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
        size_t n = strcspn(text, " \n");

        if (*text != '(') {
            if (!add_word(words, text, n, false, error))
                return false;
            text += n;
            continue;
        }
        n = strcspn(text, ")");
        if (!text[n])
            return hg_error_set(error, "'%s': no ')'", text);
        if (!add_word(words, text + 1, n - 1, true, error))
            return false;
        text += n + 1;
    }
    return true;
}

/* ---- Text to spec ----------------------------------------------------- */

/* Words that a number follows. */
static const struct number_word {
    const char *name;
    size_t offset;
    uint64_t max;
} number_words[] = {
    {"len", offsetof(struct spec, len), HG_PACKET_MAX},
    {"ttl", offsetof(struct spec, ttl), 255},
    {"tos", offsetof(struct spec, tos), 255},
    {"seq", offsetof(struct spec, seq), UINT32_MAX},
    {"ack", offsetof(struct spec, ack), UINT32_MAX},
    {"mss", offsetof(struct spec, mss), UINT16_MAX},
    {"win", offsetof(struct spec, win), UINT16_MAX},
    {"id", offsetof(struct spec, id), UINT32_MAX},
    {"mtu", offsetof(struct spec, mtu), UINT32_MAX},
    {"proto", offsetof(struct spec, proto), 255},
    {"type", offsetof(struct spec, type), UINT16_MAX},
    {"code", offsetof(struct spec, code), 255},
    {"cut", offsetof(struct spec, cut), HG_PACKET_MAX},
    {"pad", offsetof(struct spec, pad), HG_PACKET_MAX},
    {"op", offsetof(struct spec, op), UINT16_MAX},
};

/* ICMP types by name, of version 4 and 6; -1: there is none. */
static const struct icmp_word {
    const char *name;
    int type4, type6;
    bool is_error;
} icmp_words[] = {
    {"echo", HG_ICMP_ECHO, HG_ICMP6_ECHO, false},
    {"reply", HG_ICMP_ECHO_REPLY, HG_ICMP6_ECHO_REPLY, false},
    {"unreachable", HG_ICMP_UNREACH, HG_ICMP6_UNREACH, true},
    {"quench", HG_ICMP_QUENCH, -1, true},
    {"redirect", HG_ICMP_REDIRECT, -1, true},
    {"time-exceeded", HG_ICMP_TIME_EXCEEDED, HG_ICMP6_TIME_EXCEEDED, true},
    {"parameter", HG_ICMP_PARAMETER, HG_ICMP6_PARAMETER, true},
    {"too-big", -1, HG_ICMP6_TOO_BIG, true},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool
parse_number(const char *name, const char *text, uint64_t max, uint32_t *out,
             struct hg_error *error)
{
    uint64_t value;

    if (!text || !hg_number_parse(text, &value) || value > max)
        return hg_error_set(error, "%s '%s': not a number up to %llu", name,
                            text ? text : "", (unsigned long long)max);
    *out = (uint32_t)value;
    return true;
}

/* "10.0.0.1:80" or "[2001:db8::1]:80", or without port. */
static bool
parse_end(const char *text, bool has_port, struct hg_addr *addr,
          uint32_t *port, struct hg_error *error)
{
    char buf[64];
    char *colon;

    if (!text || strlen(text) >= sizeof buf)
        return hg_error_set(error, "'%s': not an address", text ? text : "");
    strcpy(buf, text);
    if (has_port) {
        colon = strrchr(buf, ':');
        if (!colon ||
            !parse_number("port", colon + 1, UINT16_MAX, port, error))
            return hg_error_set(error, "'%s': not address:port", text);
        *colon = '\0';
        if (buf[0] == '[' && colon[-1] == ']') {
            colon[-1] = '\0';
            memmove(buf, buf + 1, strlen(buf));
        }
    }
    if (!hg_addr_parse(buf, addr))
        return hg_error_set(error, "'%s': not an address", text);
    return true;
}

static bool
parse_tcp_flags(const char *text, uint8_t *out)
{
    static const char letters[] = "FSRP.UEW"; /* From bit 0 on. */
    const char *letter;
    uint8_t flags = 0;

    if (strcmp(text, "none"))
        for (; *text; text++) {
            letter = strchr(letters, *text);
            if (!letter)
                return false;
            flags = (uint8_t)(flags | 1U << (letter - letters));
        }
    *out = flags;
    return true;
}

static bool
parse_frag(const char *text, struct spec *spec, struct hg_error *error)
{
    char buf[16];
    size_t n = text ? strlen(text) : 0;

    if (!n || n >= sizeof buf)
        return hg_error_set(error, "frag '%s': not an offset",
                            text ? text : "");
    strcpy(buf, text);
    spec->is_fragment = true;
    if (buf[n - 1] == '+') {
        spec->more_fragments = true;
        buf[n - 1] = '\0';
    }
    if (!parse_number("frag", buf, 65528, &spec->frag_offset, error))
        return false;
    if (spec->frag_offset % 8)
        return hg_error_set(error, "frag '%s': not a multiple of 8", text);
    return true;
}

static bool
parse_address_word(const char *name, const char *value, struct spec *spec,
                   struct hg_error *error)
{
    struct hg_addr *addr;

    if (!strcmp(name, "who-has") || !strcmp(name, "to"))
        addr = &spec->arp_target;
    else
        addr = &spec->arp_sender;
    if (!strcmp(name, "who-has"))
        spec->op = 1;
    else if (!strcmp(name, "reply"))
        spec->op = 2;
    return parse_end(value, false, addr, NULL, error);
}

/* A word with a value; sets '*known' if it is one. */
static bool
parse_valued(const char *name, const char *value, struct spec *spec,
             bool *known, struct hg_error *error)
{
    size_t i;

    *known = true;
    if (spec->kind == ARP &&
        (!strcmp(name, "who-has") || !strcmp(name, "tell") ||
         !strcmp(name, "reply") || !strcmp(name, "to")))
        return parse_address_word(name, value, spec, error);
    if (!strcmp(name, "smac") || !strcmp(name, "is-at"))
        return value && hg_mac_parse(value, &spec->smac)
                   ? true
                   : hg_error_set(error, "%s: not a MAC address", name);
    if (!strcmp(name, "dmac"))
        return value && hg_mac_parse(value, &spec->dmac)
                   ? true
                   : hg_error_set(error, "%s: not a MAC address", name);
    if (!strcmp(name, "frag"))
        return parse_frag(value, spec, error);
    for (i = 0; i < LENGTH(number_words); i++)
        if (!strcmp(name, number_words[i].name))
            return parse_number(
                name, value, number_words[i].max,
                (uint32_t *)(void *)((char *)spec + number_words[i].offset),
                error);
    for (i = 0; i < LENGTH(icmp_words) && spec->kind == ICMP; i++) {
        const struct icmp_word *word = &icmp_words[i];
        int type = spec->src.family == 6 ? word->type6 : word->type4;

        if (strcmp(name, word->name))
            continue;
        if (type < 0)
            return hg_error_set(error, "'%s': not of this IP version", name);
        spec->type = (uint32_t)type;
        spec->is_icmp_error = word->is_error;
        return parse_number(name, value, word->is_error ? 255 : UINT16_MAX,
                            word->is_error ? &spec->code : &spec->echo_id,
                            error);
    }
    *known = false;
    return true;
}

/* A word without a value. */
static bool
parse_single(const char *name, struct spec *spec, struct hg_error *error)
{
    if (!strcmp(name, "df"))
        spec->df = true;
    else if (!strcmp(name, "bad-checksum"))
        spec->bad_checksum = true;
    else if (!strcmp(name, "bad-header-checksum"))
        spec->bad_header_checksum = true;
    else if (!strcmp(name, "bad-ext"))
        spec->bad_ext = true;
    else if (spec->kind == TCP && !spec->has_tcp_flags &&
             parse_tcp_flags(name, &spec->tcp_flags))
        spec->has_tcp_flags = true;
    else
        return hg_error_set(error, "'%s': unknown word", name);
    return true;
}

static struct hg_packet *parse_packet(struct hg_pool *, const char *text,
                                      bool is_quoted, struct hg_error *);

/* "[vlan N ...] kind [source > destination]"; returns the number of words. */
static size_t
parse_head(const struct words *words, struct spec *spec,
           struct hg_error *error)
{
    size_t i = 0;
    size_t kind;
    uint32_t id = 0;

    for (; i + 1 < words->n && !strcmp(words->word[i].text, "vlan"); i += 2) {
        if (spec->n_vlans == VLANS_MAX ||
            !parse_number("vlan", words->word[i + 1].text, 4095, &id, error))
            return 0;
        spec->vlan[spec->n_vlans++] = (uint16_t)id;
    }
    for (kind = 0; i < words->n && kind < LENGTH(kinds); kind++)
        if (!strcmp(words->word[i].text, kinds[kind]))
            break;
    if (i == words->n || kind == LENGTH(kinds)) {
        hg_error_set(error, "'%s': not a kind of packet",
                     i < words->n ? words->word[i].text : "");
        return 0;
    }
    spec->kind = (enum kind)kind;
    if (spec->kind == RUNT)
        return i; /* "runt" takes the number itself. */
    if (spec->kind > IP)
        return i + 1;
    if (words->n < i + 4 || strcmp(words->word[i + 2].text, ">")) {
        hg_error_set(error, "'%s' needs 'source > destination'",
                     words->word[i].text);
        return 0;
    }
    if (!parse_end(words->word[i + 1].text, spec->kind <= UDP, &spec->src,
                   &spec->sport, error) ||
        !parse_end(words->word[i + 3].text, spec->kind <= UDP, &spec->dst,
                   &spec->dport, error))
        return 0;
    if (spec->src.family != spec->dst.family) {
        hg_error_set(error, "'%s' and '%s': not of one IP version",
                     words->word[i + 1].text, words->word[i + 3].text);
        return 0;
    }
    return i + 4;
}

static bool
parse_spec(struct hg_pool *pool, const struct words *words, struct spec *spec,
           struct hg_error *error)
{
    size_t i = parse_head(words, spec, error);

    if (!i && spec->kind != RUNT)
        return false;
    if (spec->kind == RUNT)
        return parse_number("runt",
                            i + 1 < words->n ? words->word[i + 1].text : NULL,
                            sizeof(struct hg_eth) - 1, &spec->len, error);
    while (i < words->n) {
        const char *name = words->word[i].text;
        const char *value = i + 1 < words->n ? words->word[i + 1].text : NULL;
        bool is_valued;

        if (words->word[i].is_group) {
            if (!spec->is_icmp_error)
                return hg_error_set(error, "'(%s)': only an ICMP error quotes",
                                    name);
            spec->quoted = parse_packet(pool, name, true, error);
            if (!spec->quoted)
                return false;
            i++;
            continue;
        }
        if (!parse_valued(name, value, spec, &is_valued, error))
            return false;
        if (!is_valued && !parse_single(name, spec, error))
            return false;
        i += is_valued ? 2 : 1;
    }
    if (spec->kind == TCP && !spec->has_tcp_flags && !spec->is_quoted)
        return hg_error_set(error, "tcp needs flags, such as 'S' or 'none'");
    return true;
}

static struct hg_packet *
parse_packet(struct hg_pool *pool, const char *text, bool is_quoted,
             struct hg_error *error)
{
    struct spec spec = {.is_quoted = is_quoted,
                        .ttl = 64,
                        .win = UINT16_MAX,
                        .smac = {{2, 0, 0, 0, 0, 1}},
                        .dmac = {{2, 0, 0, 0, 0, 2}}};
    struct words *words = calloc(1, sizeof *words);
    struct hg_packet *p = NULL;

    if (split(text, words, error) && parse_spec(pool, words, &spec, error))
        p = notation_make(pool, &spec, error);
    if (spec.quoted)
        hg_packet_free(spec.quoted);
    free(words);
    return p;
}

struct hg_packet *
notation_parse(struct hg_pool *pool, const char *text, struct hg_error *error)
{
    return parse_packet(pool, text, false, error);
}

/* ---- Comparing -------------------------------------------------------- */

/* Whether 'text' is what 'pattern' says; "*" stands for any characters. */
static bool
glob(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return glob(pattern + 1, text) || (*text && glob(pattern, text + 1));
    if (!*pattern || *pattern != *text)
        return *pattern == *text;
    return glob(pattern + 1, text + 1);
}

/* Words after which comes a value that belongs to them. */
static bool
takes_value(const char *name)
{
    static const char *const others[] = {"frag", "smac",    "dmac", "is-at",
                                         "to",   "who-has", "tell", "reply",
                                         "vpc",  "mark",    "vlan", "runt"};
    size_t i;

    for (i = 0; i < LENGTH(others); i++)
        if (!strcmp(name, others[i]))
            return true;
    for (i = 0; i < LENGTH(number_words); i++)
        if (!strcmp(name, number_words[i].name))
            return true;
    for (i = 0; i < LENGTH(icmp_words); i++)
        if (!strcmp(name, icmp_words[i].name))
            return true;
    return false;
}

/* Finds the word 'name', not as a value, from word 'i' on. */
static const struct word *
find_word(const struct words *words, size_t i, const struct word *wanted)
{
    for (; i < words->n; i++) {
        const struct word *word = &words->word[i];

        if (word->is_group != wanted->is_group)
            continue;
        if (word->is_group || glob(wanted->text, word->text))
            return word;
        if (takes_value(word->text))
            i++;
    }
    return NULL;
}

/* How many words the part before the free ones has: all must be equal. */
static size_t
head_len(const struct words *words)
{
    size_t i = 0;

    while (i < words->n && !strcmp(words->word[i].text, "vlan"))
        i += 2;
    if (i + 3 < words->n && !strcmp(words->word[i + 2].text, ">"))
        return i + 4;
    return i + 1 < words->n ? i + 1 : words->n;
}

/* A fault that the packet has and the pattern does not expect. */
static bool
has_no_more_faults(const struct words *text, const struct words *pattern,
                   struct hg_error *error)
{
    size_t i;

    for (i = 0; i < text->n; i++) {
        const struct word *word = &text->word[i];

        if (!word->is_group && !strncmp(word->text, "bad-", 4) &&
            !find_word(pattern, 0, word))
            return hg_error_set(error, "'%s' was not expected", word->text);
    }
    return true;
}

static bool
words_match(const struct words *text, const struct words *pattern,
            struct hg_error *error)
{
    size_t head = head_len(pattern);
    size_t i;

    for (i = 0; i < head; i++)
        if (i >= text->n || !glob(pattern->word[i].text, text->word[i].text))
            return hg_error_set(error, "'%s'", pattern->word[i].text);
    for (; i < pattern->n; i++) {
        const struct word *want = &pattern->word[i];
        const struct word *have = find_word(text, head, want);

        if (!have)
            return hg_error_set(error, "'%s'", want->text);
        if (want->is_group) {
            if (!notation_matches(have->text, want->text, error))
                return false;
        } else if (takes_value(want->text)) {
            if (++i == pattern->n || have + 1 == text->word + text->n ||
                !glob(pattern->word[i].text, have[1].text))
                return hg_error_set(error, "'%s %s'", want->text,
                                    i < pattern->n ? pattern->word[i].text
                                                   : "");
        }
    }
    return has_no_more_faults(text, pattern, error);
}

bool
notation_matches(const char *text, const char *pattern, struct hg_error *error)
{
    struct words *words = calloc(2, sizeof *words);
    bool matches = split(text, &words[0], error) &&
                   split(pattern, &words[1], error) &&
                   words_match(&words[0], &words[1], error);

    free(words);
    return matches;
}
