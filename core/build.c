/* build.c: from the files of a graph to its elements; see build.h.
 *
 * All elements are made first, those of sub-graphs too, with options of the
 * command line in place of the file's; then configure.c applies these, wire.c
 * connects and check.c looks at the whole.
 * Whatever is wrong on the way is reported, and the rest goes on without it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "build.h"
#include "graph_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAX_GRAPH_DEPTH 32 /* Graphs in graphs. */

#define ERROR(b, ...) hg_diag((b)->diags, HG_SEVERITY_ERROR, __VA_ARGS__)
#define NOTE(b, ...) hg_diag((b)->diags, HG_SEVERITY_NOTE, __VA_ARGS__)

#define GROW(b, array, n)                                                     \
    ((array) = lang_grow(&(b)->memory, array, n, sizeof *(array)))

static struct scope *make_scope(struct builder *, struct scope *outer,
                                struct lang_file *, struct node *graph,
                                const struct diag_context *);

void
build_enter(struct builder *b, const struct scope *scope)
{
    diags_set_context(b->diags, scope ? scope->context : NULL);
}

const char *
build_hint(struct builder *b, const char *word, const char *const *words,
           size_t n, const char *otherwise)
{
    const char *nearest = hg_nearest(word, words, n);

    if (nearest)
        return lang_format(&b->memory, "; did you mean '%s'?", nearest);
    return otherwise;
}

/* ---- Names and classes ------------------------------------------------ */

static bool
is_name(const char *name, const char *more)
{
    size_t i;

    for (i = 0; name[i]; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(c >= '0' && c <= '9') && !strchr(more, c))
            return false;
    }
    return i > 0;
}

static uint32_t
hash_name(const struct scope *scope, const char *name)
{
    return (uint32_t)XXH3_64bits_withSeed(name, strlen(name),
                                          (uintptr_t)scope);
}

struct node *
build_find(const struct builder *b, const struct scope *scope,
           const char *name)
{
    uint32_t hash = hash_name(scope, name), i;
    size_t at = hash_index_start(&b->names, hash);

    while ((i = hash_index_candidate(&b->names, hash, &at)) != HASH_INDEX_END)
        if (b->nodes[i]->scope == scope && !strcmp(b->nodes[i]->name, name))
            return b->nodes[i];
    return NULL;
}

struct node *
build_node(struct builder *b, struct scope *scope, enum node_kind kind,
           const char *name, const struct hg_place *place)
{
    struct node *node = lang_alloc(&b->memory, sizeof *node);
    const struct node *same = build_find(b, scope, name);

    *node = (struct node){.kind = kind, .scope = scope, .place = *place};
    node->name = name;
    node->path = lang_format(&b->memory, "%s%s", scope->prefix, name);
    if (same) {
        ERROR(b, place, "the name '%s' is taken; names are unique in a file",
              name);
        NOTE(b, &same->place, "first declared here");
        b->broken = true;
        return NULL;
    }
    GROW(b, scope->nodes, scope->n_nodes);
    scope->nodes[scope->n_nodes++] = node;
    node->index = b->n_nodes;
    hash_index_add(&b->names, hash_name(scope, name), (uint32_t)b->n_nodes);
    GROW(b, b->nodes, b->n_nodes);
    b->nodes[b->n_nodes++] = node;
    return node;
}

static const char *const framework[] = {"Graph", "Input", "Output",
                                        "Parameter"};

/* All words that may begin a section. */
static const char **
class_words(struct builder *b, size_t *n)
{
    const char *const *names = hg_plugins_names(b->config->plugins, n);
    const char **words = lang_alloc(
        &b->memory,
        (*n + sizeof framework / sizeof *framework + 1) * sizeof *words);

    if (*n)
        memcpy(words, names, *n * sizeof *words);
    memcpy(words + *n, framework, sizeof framework);
    *n += sizeof framework / sizeof *framework;
    return words;
}

/* Behind "no class 'x'" where no word is near. */
static const char *
class_hint(struct builder *b)
{
    size_t n;

    hg_plugins_names(b->config->plugins, &n);
    if (n)
        return "; 'headgate elements' lists those there are";
    return lang_format(&b->memory, "; there are no plugins in %s",
                       hg_plugins_where(b->config->plugins));
}

/* The class, or NULL after reporting. */
static const struct hg_class *
find_class(struct builder *b, const char *name, const struct hg_place *place)
{
    struct hg_error error = {""};
    const struct hg_class *cls =
        hg_plugins_find(b->config->plugins, name, &error);
    const char **words;
    size_t n;

    if (cls)
        return cls;
    b->broken = true;
    if (error.text[0]) {
        ERROR(b, place, "%s", error.text);
        return NULL;
    }
    words = class_words(b, &n);
    ERROR(b, place, "no element class '%s'%s", name,
          build_hint(b, name, words, n, class_hint(b)));
    return NULL;
}

bool
build_same_key(const char *key, const char *name)
{
    const struct hg_field field = {.name = name};

    return options_find(&field, 1, key) != NULL;
}

/* ---- Sections of the framework's own ---------------------------------- */

static const struct lang_option *
find_option(const struct lang_section *section, const char *key)
{
    size_t i;

    for (i = 0; i < section->n_options; i++)
        if (build_same_key(section->options[i].key, key))
            return &section->options[i];
    return NULL;
}

/* Only these keys, and no sections. */
static void
check_keys(struct builder *b, const struct lang_section *section,
           const char *const *keys, size_t n)
{
    size_t i, k;

    for (i = 0; i < section->n_sections; i++)
        ERROR(b, &section->sections[i].place, "%s holds no sections",
              section->keyword);
    for (i = 0; i < section->n_options; i++) {
        for (k = 0; k < n; k++)
            if (build_same_key(section->options[i].key, keys[k]))
                break;
        if (k == n)
            ERROR(b, &section->options[i].place, "no option '%s' in %s%s",
                  section->options[i].key, section->keyword,
                  build_hint(b, section->options[i].key, keys, n,
                             lang_format(&b->memory, "; it has '%s' and '%s'",
                                         keys[0], keys[1])));
    }
}

static const char *
one_value(struct builder *b, const struct lang_section *section,
          const char *key)
{
    const struct lang_option *option = find_option(section, key);

    if (!option)
        return NULL;
    if (option->n_values == 1)
        return option->values[0].text;
    ERROR(b, &option->place, "option '%s' takes one value, not %zu", key,
          option->n_values);
    return NULL;
}

/* Input and Output. */
static void
declare_port(struct builder *b, struct scope *scope, struct node *node,
             const struct lang_section *section)
{
    static const char *const keys[] = {"doc", "optional"};
    const char *optional;

    check_keys(b, section, keys, node->kind == NODE_OUTPUT ? 2 : 1);
    node->doc = one_value(b, section, "doc");
    optional =
        node->kind == NODE_OUTPUT ? one_value(b, section, "optional") : NULL;
    if (optional && !hg_bool_parse(optional, &node->optional))
        ERROR(b, &find_option(section, "optional")->values[0].place,
              "option 'optional' takes 'true' or 'false', not '%s'", optional);
    if (!scope->outer)
        ERROR(b, &section->place,
              "%s is for files that are used by Graph; at the top packets "
              "come and go through an Interface",
              section->keyword);
}

static bool
is_parameter(const struct lang_section *section)
{
    return !strcmp(section->keyword, "Parameter");
}

/* A variable for each Parameter: what the Graph says, or the default. */
static void
declare_parameter(struct builder *b, struct scope *scope,
                  const struct lang_section *raw,
                  const struct lang_section *graph)
{
    static const char *const keys[] = {"default", "doc"};
    struct lang_section *section = lang_alloc(&b->memory, sizeof *section);
    struct lang_variable *v = lang_alloc(&b->memory, sizeof *v);
    const struct lang_section *same;
    const struct lang_option *value;
    const char *doc;

    if (!raw->title || !is_name(raw->title, "-_")) {
        ERROR(b, &raw->place,
              "a Parameter has a name of letters, digits, '-' "
              "and '_': 'Parameter cidr { }'");
        return;
    }
    for (same = scope->file->sections; same != raw; same++) {
        if (!is_parameter(same) || !same->title ||
            !build_same_key(same->title, raw->title))
            continue;
        ERROR(b, &raw->title_place, "parameter '%s' is declared twice",
              raw->title);
        NOTE(b, &same->title_place, "first declared here");
        return;
    }
    lang_expand(&b->memory, raw, scope->variables, section, b->diags);
    check_keys(b, section, keys, 2);
    doc = one_value(b, section, "doc");
    value = graph ? find_option(graph, raw->title) : NULL;
    if (!value)
        value = find_option(section, "default");
    if (!value && graph) {
        build_enter(b, scope->outer);
        ERROR(b, &graph->title_place, "Graph '%s' needs parameter '%s'%s%s",
              graph->title, raw->title, doc ? ": " : "", doc ? doc : "");
        NOTE(b, &raw->place, "declared here");
        build_enter(b, scope);
    } else if (!value) {
        ERROR(b, &raw->place,
              "parameter '%s' has no value; give it a default, or use this "
              "file by a Graph",
              raw->title);
    }
    *v = (struct lang_variable){.name = raw->title,
                                .values = value ? value->values : NULL,
                                .n_values = value ? value->n_values : 0,
                                .missing = !value,
                                .next = scope->variables};
    scope->variables = v;
}

static void
declare_parameters(struct builder *b, struct scope *scope,
                   const struct lang_section *graph)
{
    const struct lang_file *file = scope->file;
    size_t i, k;

    for (i = 0; i < file->n_sections; i++)
        if (is_parameter(&file->sections[i]))
            declare_parameter(b, scope, &file->sections[i], graph);
    for (i = 0; graph && i < graph->n_options; i++) {
        const struct lang_option *option = &graph->options[i];
        const char **words =
            lang_alloc(&b->memory, (file->n_sections + 1) * sizeof *words);
        size_t n = 0;
        bool found = !strcmp(option->key, "file");

        for (k = 0; k < file->n_sections; k++) {
            if (!is_parameter(&file->sections[k]) || !file->sections[k].title)
                continue;
            words[n++] = file->sections[k].title;
            found |= build_same_key(option->key, words[n - 1]);
        }
        if (found)
            continue;
        build_enter(b, scope->outer);
        ERROR(b, &option->place, "no parameter '%s' in '%s'%s", option->key,
              file->place.file, build_hint(b, option->key, words, n, ""));
        build_enter(b, scope);
    }
}

/* ---- Graphs in graphs ------------------------------------------------- */

/* Reads the file of a Graph and declares what is in it. */
static void
declare_graph(struct builder *b, struct scope *scope, struct node *node,
              const struct lang_section *section)
{
    const struct lang_option *option = find_option(section, "file");
    const char *path = one_value(b, section, "file");
    struct diag_context *context = lang_alloc(&b->memory, sizeof *context);
    struct lang_file *file;

    if (section->n_sections)
        ERROR(b, &section->sections[0].place, "Graph holds no sections");
    if (!option)
        ERROR(b, &section->place,
              "Graph '%s' needs option 'file': the graph file to use",
              node->name);
    if (!path) {
        b->broken = true;
        return;
    }
    path = lang_path(&b->memory, section->place.file, path);
    *context = (struct diag_context){
        .place = node->place,
        .text =
            lang_format(&b->memory, "in Graph '%s', made here", node->path),
        .outer = scope->context};
    file = lang_parse(path, &option->values[0].place, context, b->diags);
    if (file)
        node->inner = make_scope(b, scope, file, node, context);
    b->broken |= !node->inner;
    build_enter(b, scope);
}

/* ---- Declaring -------------------------------------------------------- */

static enum node_kind
kind_of(const char *keyword)
{
    static const enum node_kind kinds[] = {NODE_GRAPH, NODE_INPUT,
                                           NODE_OUTPUT};
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(keyword, framework[i]))
            return kinds[i];
    return NODE_ELEMENT;
}

/* One node, of a section whose values are final. */
static void
declare(struct builder *b, struct scope *scope, struct lang_section *section,
        bool fails)
{
    enum node_kind kind = kind_of(section->keyword);
    const struct hg_class *cls = NULL;
    struct node *node;

    if (kind == NODE_ELEMENT) {
        cls = find_class(b, section->keyword, &section->place);
        kind = cls ? kind : NODE_BROKEN;
    }
    node = build_node(b, scope, kind, section->title, &section->title_place);
    if (!node)
        return;
    node->fails = node->lacks_options = fails;
    node->section = section;
    if (cls)
        node->element = hg_graph_add(b->graph, cls, node->path);
    override_apply(b, node, section);
    if (kind == NODE_GRAPH)
        declare_graph(b, scope, node, section);
    else if (kind == NODE_INPUT || kind == NODE_OUTPUT)
        declare_port(b, scope, node, section);
    if (kind == NODE_GRAPH && !node->inner)
        node->kind = NODE_BROKEN;
}

/* The section of the copies: without this option. */
static struct lang_section
without_option(struct builder *b, const struct lang_section *section,
               const struct lang_option *option)
{
    struct lang_section rest = *section;
    size_t i;

    rest.options =
        lang_alloc(&b->memory, section->n_options * sizeof *rest.options);
    rest.n_options = 0;
    for (i = 0; i < section->n_options; i++)
        if (&section->options[i] != option)
            rest.options[rest.n_options++] = section->options[i];
    return rest;
}

static bool
check_items(struct builder *b, const struct lang_option *each)
{
    bool ok = each->n_values > 0;
    size_t i, k;

    if (!ok)
        ERROR(b, &each->place, "'each' needs one item or more");
    for (i = 0; i < each->n_values; i++) {
        const struct lang_value *item = &each->values[i];

        if (!is_name(item->text, "-_.:")) {
            ERROR(b, &item->place,
                  "'%s' cannot be part of a name; items are letters, digits, "
                  "'-', '_', '.' and ':'",
                  item->text);
            ok = false;
        }
        for (k = 0; k < i; k++) {
            if (strcmp(each->values[k].text, item->text))
                continue;
            ERROR(b, &item->place, "item '%s' is given twice", item->text);
            NOTE(b, &each->values[k].place, "first given here");
            ok = false;
            break;
        }
    }
    return ok;
}

/* A node "name-item" for each item of a section with 'each'. */
static void
declare_copies(struct builder *b, struct scope *scope,
               const struct lang_section *raw, const struct lang_option *each)
{
    struct copies copies = {.name = raw->title, .place = raw->title_place};
    const struct lang_section copied = without_option(b, raw, each);
    struct lang_option items;
    size_t i;

    if (!lang_expand_option(&b->memory, each, scope->variables, &items,
                            b->diags) ||
        !check_items(b, &items)) {
        b->broken = true;
        return;
    }
    copies.items = items.values;
    copies.n_items = items.n_values;
    GROW(b, scope->copies, scope->n_copies);
    scope->copies[scope->n_copies++] = copies;
    for (i = 0; i < copies.n_items; i++) {
        struct lang_section *section = lang_alloc(&b->memory, sizeof *section);
        const struct lang_variable item = {.name = "each",
                                           .values = &copies.items[i],
                                           .n_values = 1,
                                           .next = scope->variables};
        bool ok = lang_expand(&b->memory, &copied, &item, section, b->diags);

        section->title =
            lang_format(&b->memory, "%s-%s", raw->title, copies.items[i].text);
        declare(b, scope, section, !ok);
    }
}

static void
declare_section(struct builder *b, struct scope *scope,
                const struct lang_section *raw)
{
    const struct lang_option *each = find_option(raw, "each");
    struct lang_section *section;
    bool ok;

    if (is_parameter(raw))
        return;
    if (!raw->title) {
        ERROR(b, &raw->place, "this %s has no name; write '%s name { }'",
              raw->keyword, raw->keyword);
        b->broken = true;
        return;
    }
    if (!is_name(raw->title, "-_") || raw->title[0] == '-') {
        ERROR(b, &raw->title_place,
              "'%s' is no name; names are letters, digits, '-' and '_'",
              raw->title);
        b->broken = true;
        return;
    }
    if (each) {
        declare_copies(b, scope, raw, each);
        return;
    }
    section = lang_alloc(&b->memory, sizeof *section);
    ok = lang_expand(&b->memory, raw, scope->variables, section, b->diags);
    declare(b, scope, section, !ok);
}

/* Whether the file is being used by one of the graphs around it. */
static bool
is_cycle(struct builder *b, const struct scope *scope,
         const struct node *graph)
{
    const struct scope *outer;

    for (outer = scope->outer; outer; outer = outer->outer)
        if (outer->inode == scope->inode && outer->device == scope->device &&
            scope->inode) {
            ERROR(b, &find_option(graph->section, "file")->values[0].place,
                  "'%s' uses itself", scope->file->place.file);
            return true;
        }
    if (scope->depth < MAX_GRAPH_DEPTH)
        return false;
    ERROR(b, &graph->place, "graphs are nested deeper than %d",
          MAX_GRAPH_DEPTH);
    return true;
}

/* Takes over 'file'. */
static struct scope *
make_scope(struct builder *b, struct scope *outer, struct lang_file *file,
           struct node *graph, const struct diag_context *context)
{
    struct scope *scope = lang_alloc(&b->memory, sizeof *scope);
    struct stat st;
    size_t i;

    *scope = (struct scope){
        .file = file, .outer = outer, .context = context, .prefix = ""};
    GROW(b, b->scopes, b->n_scopes);
    b->scopes[b->n_scopes++] = scope;
    b->broken |= file->broken;
    if (!stat(file->place.file, &st) && S_ISREG(st.st_mode)) {
        scope->device = st.st_dev;
        scope->inode = st.st_ino;
    }
    if (graph) {
        scope->depth = outer->depth + 1;
        scope->prefix = lang_format(&b->memory, "%s/", graph->path);
        build_enter(b, outer);
        if (is_cycle(b, scope, graph))
            return NULL;
    }
    build_enter(b, scope);
    declare_parameters(b, scope, graph ? graph->section : NULL);
    for (i = 0; i < file->n_sections; i++)
        declare_section(b, scope, &file->sections[i]);
    wire_declare(b, scope);
    return scope;
}

/* A name that means nothing, and a node to take its connections. */
static struct node *
no_element(struct builder *b, struct scope *scope, const struct lang_end *end,
           const char *name, const struct hg_error *error)
{
    size_t n, i;
    const char *const *classes = hg_plugins_names(b->config->plugins, &n);
    const char **words =
        lang_alloc(&b->memory, (n + scope->n_nodes + 1) * sizeof *words);
    const char *nearest;
    struct node *meant;

    for (i = 0; i < n; i++)
        words[i] = classes[i];
    for (i = 0; i < scope->n_nodes; i++)
        if (scope->nodes[i]->kind != NODE_BROKEN)
            words[n++] = scope->nodes[i]->name;
    if (error->text[0])
        ERROR(b, &end->place, "%s", error->text);
    else
        ERROR(b, &end->place, "no element or class '%s'%s", name,
              build_hint(b, name, words, n, "; declare it: 'Class name { }'"));
    nearest = hg_nearest(name, words, n);
    meant = nearest ? build_find(b, scope, nearest) : NULL;
    if (meant)
        meant->excused = meant->connected = true;
    b->broken = true;
    return build_node(b, scope, NODE_BROKEN, name, &end->place);
}

/* How many elements of this class have no name, with one more.  No other has
 * an '@' in its name. */
static unsigned
count_anonymous(struct builder *b, struct scope *scope,
                const struct hg_class *cls)
{
    size_t i;

    for (i = 0; i < scope->n_anonymous; i++)
        if (scope->anonymous[i].cls == cls)
            return ++scope->anonymous[i].n;
    GROW(b, scope->anonymous, scope->n_anonymous);
    scope->anonymous[scope->n_anonymous++] = (struct anonymous){cls, 1};
    return 1;
}

struct node *
build_anonymous(struct builder *b, struct scope *scope,
                const struct lang_end *end, const char *name)
{
    struct lang_section *section;
    const struct hg_class *cls;
    struct hg_error error = {""};
    struct node *node;

    cls = kind_of(name) == NODE_ELEMENT && !strchr(name, '/')
              ? hg_plugins_find(b->config->plugins, name, &error)
              : NULL;
    if (!cls)
        return no_element(b, scope, end, name, &error);
    section = lang_alloc(&b->memory, sizeof *section);
    *section = (struct lang_section){
        .keyword = lang_copy(&b->memory, name, strlen(name)),
        .place = end->place,
        .title_place = end->place};
    section->title =
        lang_format(&b->memory, "%s@%u", name, count_anonymous(b, scope, cls));
    node = build_node(b, scope, NODE_ELEMENT, section->title, &end->place);
    node->element = hg_graph_add(b->graph, cls, node->path);
    node->section = section;
    override_apply(b, node, section);
    return node;
}

/* ---- A whole graph ---------------------------------------------------- */

/* Elements keep their sections, for messages. */
static void
builder_destroy(void *builder)
{
    struct builder *b = builder;
    size_t i;

    for (i = 0; i < b->n_scopes; i++)
        lang_destroy(b->scopes[i]->file);
    hash_index_uninit(&b->names);
    lang_free(&b->memory);
    free(b);
}

struct hg_graph *
build_graph(struct lang_file *file, const struct hg_graph_config *config,
            struct hg_diags *diags)
{
    struct builder *b = xcalloc(1, sizeof *b);
    struct hg_graph *graph = hg_graph_create(config);

    graph->building = b;
    graph->free_building = builder_destroy;
    hg_graph_set_diags(graph, diags);
    b->config = config;
    b->diags = diags;
    b->graph = graph;
    override_read(b);
    make_scope(b, NULL, file, NULL, NULL);
    configure_elements(b);
    wire_ports(b);
    build_enter(b, NULL);
    override_check(b);
    wire_connect(b);
    hg_graph_finish(graph);
    check_graph(b);
    build_enter(b, NULL);
    hg_graph_set_diags(graph, NULL);
    return graph;
}

struct hg_graph *
hg_graph_load(const char *path, const struct hg_graph_config *config,
              struct hg_diags *diags)
{
    size_t before = hg_diags_count(diags, HG_SEVERITY_ERROR);
    struct lang_file *file = lang_parse(path, NULL, NULL, diags);
    struct hg_graph *graph;

    if (!file)
        return NULL;
    graph = build_graph(file, config, diags);
    if (hg_diags_count(diags, HG_SEVERITY_ERROR) == before)
        return graph;
    hg_graph_destroy(graph);
    return NULL;
}
