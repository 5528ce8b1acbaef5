/* build.h: what build.c (declares), configure.c, wire.c (connects) and check.c
 * (looks at the whole) share while a graph is made from its files.
 *
 * A file that is read is a scope: the top one, and one for each Graph.  A
 * section, or a class name in a connection, is a node of its scope.  Nodes
 * that are elements stay; Graph, Input and Output vanish when edges are
 * followed through them. */
#ifndef BUILD_H
#define BUILD_H 1

#include <sys/types.h>

#include <headgate/graph.h>

#include "lang.h"
#include "tables/hash_index.h"

enum node_kind {
    NODE_ELEMENT,
    NODE_GRAPH,
    NODE_INPUT,
    NODE_OUTPUT,
    NODE_BROKEN /* Could not be made; it is blamed for nothing more. */
};

struct node {
    enum node_kind kind;
    const char *name; /* In its scope ... */
    const char *path; /* ... and in the graph: "edge/nat". */
    struct hg_place place;
    struct scope *scope;
    const struct lang_section *section;
    struct hg_element *element;
    struct scope *inner; /* NODE_GRAPH. */
    struct edge **outs;  /* By output: where it leads, or NULL ... */
    unsigned n_outs;     /* ... Input and Output have one. */
    bool *fed;           /* By input: whether something leads there. */
    unsigned n_ins;
    const char *doc;        /* The same: what it is for, or NULL. */
    bool optional;          /* NODE_OUTPUT: may stay unwired. */
    bool fails;             /* Its section has a mistake. */
    bool lacks_options;     /* Some were left out for their mistakes. */
    bool excused;           /* A broken connection may have been its own. */
    bool has_unknown_input; /* What leads there is wrong. */
    bool connected;         /* Something leads to or from it. */
    bool referenced;        /* By an option of another. */
    bool configured;
    struct node **refers; /* To nodes that are configured first. */
    size_t n_refers;
    size_t index; /* In builder->nodes. */
};

/* A connection as written; ports are known once elements are configured. */
struct edge {
    const struct scope *scope; /* Where it is written. */
    struct node *from;
    struct node *to;
    const struct lang_end *from_end;
    const struct lang_end *to_end;
    const char *out_name; /* NULL: port 0. */
    const char *in_name;
    unsigned out;
    unsigned in;
    bool broken; /* Not to be followed. */
};

/* "queue*" stands for these. */
struct copies {
    const char *name;
    struct lang_value *items;
    size_t n_items;
    struct hg_place place;
};

/* Elements of a class that have no name of their own. */
struct anonymous {
    const struct hg_class *cls;
    unsigned n;
};

struct scope {
    struct lang_file *file;
    const char *prefix; /* "" or "edge/". */
    struct scope *outer;
    const struct lang_variable *variables;
    const struct diag_context *context; /* NULL: it is the top. */
    struct node **nodes;
    size_t n_nodes;
    struct copies *copies;
    size_t n_copies;
    struct anonymous *anonymous;
    size_t n_anonymous;
    dev_t device;
    ino_t inode;
    unsigned depth;
};

/* "nat.idle-timeout=60s" from the command line. */
struct override {
    const char *text;
    const char *path;
    const char *option;
    const char *value;
    bool used;
};

struct builder {
    struct lang_memory memory;
    const struct hg_graph_config *config;
    struct hg_diags *diags;
    struct hg_graph *graph;
    struct scope **scopes; /* The top first. */
    size_t n_scopes;
    struct node **nodes; /* Of all scopes. */
    size_t n_nodes;
    struct hash_index names; /* Of nodes, with their scopes. */
    struct edge **edges;
    size_t n_edges;
    struct override *overrides;
    size_t n_overrides;
    bool broken; /* A mistake that leaves the picture incomplete. */
};

/* Sets where mistakes are reported to belong to. */
void build_enter(struct builder *, const struct scope *);

/* build.c: the graph that a file describes, as far as it is right: it is of
 * use only if no mistake was reported.  Takes over 'file'. */
struct hg_graph *build_graph(struct lang_file *,
                             const struct hg_graph_config *,
                             struct hg_diags *);

/* build.c: a further node; reports a name taken. */
struct node *build_node(struct builder *, struct scope *, enum node_kind,
                        const char *name, const struct hg_place *);
struct node *build_find(const struct builder *, const struct scope *,
                        const char *name);
/* The node of an anonymous element, or of what is no element at all. */
struct node *build_anonymous(struct builder *, struct scope *,
                             const struct lang_end *, const char *name);
/* "did you mean 'x'?" behind a message, or what 'otherwise' says. */
const char *build_hint(struct builder *, const char *word,
                       const char *const *words, size_t n,
                       const char *otherwise);

/* Whether two keys are the same, "-" and "_" being one. */
bool build_same_key(const char *, const char *);

/* override.c: what the command line says of a node goes into its section, in
 * place of the file's. */
void override_read(struct builder *);
void override_apply(struct builder *, const struct node *,
                    struct lang_section *);
/* Reports those that named no element. */
void override_check(struct builder *);

/* configure.c */
void configure_elements(struct builder *);

/* wire.c: edges from the chains of a scope, then their ports, then the
 * connections of the graph. */
void wire_declare(struct builder *, struct scope *);
void wire_ports(struct builder *);
void wire_connect(struct builder *);
/* The element or broken node to which an edge leads in the end, and its input
 * port; NULL if it ends at a Graph's edge. */
struct node *wire_follow(const struct builder *, const struct edge *,
                         unsigned *in);
/* Whether it leads in a circle of Graph edges without any element. */
bool wire_is_circle(const struct builder *, const struct edge *);

/* check.c */
void check_graph(struct builder *);

#endif
