/* test_lang.c: graph files into graphs (core/lang.h, core/build.h): what they
 * mean, and where their mistakes are.  tests/graphs/bad has the wording of
 * every mistake; here is what one file cannot show. */
#include "test.h"

#include <headgate/graph.h>

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"

/* ---- Classes to build with -------------------------------------------- */

struct thing {
    uint32_t number;
    char *text;
    struct hg_string_list words;
    struct hg_element *peer;
    uint32_t outputs;
    unsigned order; /* When it was configured. */
};

typedef struct thing hg_self;

static unsigned n_configured;

static bool
thing_configure(void *self)
{
    struct thing *thing = self;
    char name[16];
    uint32_t i;

    thing->order = ++n_configured;
    for (i = 0; i < thing->outputs; i++) {
        snprintf(name, sizeof name, "more%u", i);
        hg_declare_output(self, name, false);
    }
    if (thing->number == 13)
        return hg_config_error(self, "number", -1, "13 brings bad luck");
    return true;
}

static void
nothing(struct hg_element *e, struct hg_batch *batch)
{
    (void)e;
    (void)batch;
}

static const struct hg_field fields[] = {
    HG_OPTION(number, .max = 99),
    HG_OPTION(text),
    HG_OPTION(words),
    HG_OPTION(peer),
    HG_OPTION(outputs),
};

#define CLASS(class_name, ...)                                                \
    {                                                                         \
        .magic = HG_MAGIC, .abi = HG_ABI,                                     \
        .class_size = sizeof(struct hg_class), .name = class_name,            \
        .fields = fields, .n_fields = sizeof fields / sizeof *fields,         \
        .self_size = sizeof(struct thing), .batch = nothing,                  \
        .configure = thing_configure, __VA_ARGS__                             \
    }

static const struct hg_class classes[] = {
    CLASS("Door", .flags = HG_CLASS_DEVICE, .inputs = "in?",
          .outputs = "out?"),
    CLASS("Thing", .inputs = "in side?", .outputs = "out *"),
    CLASS("End", .inputs = "in"),
    CLASS("Check", .inputs = "in", .outputs = "out", .provides = "ip udp"),
    CLASS("Wrap", .inputs = "in", .outputs = "out", .revokes = "ip"),
    CLASS("Picky", .inputs = "in", .outputs = "out", .needs = "ip"),
    CLASS("Table", .flags = HG_CLASS_PASSIVE),
};

/* ---- Files and graphs ------------------------------------------------- */

static char folder[64];

static void
remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command))
        fprintf(stderr, "cannot remove %s\n", folder);
}

/* The folder that all files are in; it is the working directory. */
static void
enter_folder(void)
{
    if (folder[0])
        return;
    unsetenv("HEADGATE_PLUGIN_PATH");
    snprintf(folder, sizeof folder, "/tmp/test_lang.XXXXXX");
    REQUIRE(mkdtemp(folder) && chdir(folder) == 0);
    atexit(remove_folder);
}

static void
write_file(const char *name, const char *text)
{
    FILE *file;

    enter_folder();
    file = fopen(name, "w");
    REQUIRE(file);
    fputs(text, file);
    REQUIRE(fclose(file) == 0);
}

struct built {
    struct hg_plugins *plugins;
    struct hg_diags *diags;
    struct hg_graph *graph;
    char *said; /* The lines that name a place. */
};

/* "file:1:2: error: ..." without source lines and carets. */
static char *
headlines(const struct hg_diags *diags)
{
    char *all = NULL, *line, *save = NULL, *out;
    size_t size, used = 0;
    FILE *file = open_memstream(&all, &size);

    hg_diags_print(diags, file, false);
    fclose(file);
    out = calloc(1, size + 1);
    for (line = strtok_r(all, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        if (strstr(line, ": error: ") || strstr(line, ": warning: ") ||
            strstr(line, ": note: "))
            used += (size_t)sprintf(out + used, "%s\n", line);
    free(all);
    return out;
}

static struct built
load(const char *name, const char *const *overrides, size_t n)
{
    struct built built = {0};
    struct hg_graph_config config = {.overrides = overrides, .n_overrides = n};
    size_t i;

    enter_folder();
    n_configured = 0;
    built.plugins = config.plugins = hg_plugins_create(folder);
    for (i = 0; i < sizeof classes / sizeof *classes; i++)
        hg_plugins_add(built.plugins, &classes[i]);
    built.diags = hg_diags_create();
    built.graph = hg_graph_load(name, &config, built.diags);
    built.said = headlines(built.diags);
    return built;
}

static struct built
load_text(const char *text)
{
    write_file("g", text);
    return load("g", NULL, 0);
}

static void
unload(struct built *built)
{
    hg_graph_destroy(built->graph);
    hg_diags_destroy(built->diags);
    hg_plugins_destroy(built->plugins);
    free(built->said);
}

/* That the text is refused with these headlines. */
#define CHECK_SAID(text, expected)                                            \
    do {                                                                      \
        struct built built_ = load_text(text);                                \
                                                                              \
        CHECK_STR(built_.said, expected);                                     \
        CHECK_EQ(built_.graph == NULL, strstr(expected, "error:") != NULL);   \
        unload(&built_);                                                      \
    } while (0)

static struct thing *
thing(const struct built *built, const char *name)
{
    struct hg_element *e =
        built->graph ? hg_graph_find(built->graph, name) : NULL;

    if (!e)
        FAIL("no element '%s': %s", name, built->said);
    REQUIRE(e);
    return hg_element_self(e);
}

/* "a.0>b.1 ..." for all connections, in the order of the elements. */
static void
check_wires(const struct built *built, const char *expected)
{
    char out[1024] = "";
    size_t i, used = 0;
    unsigned k;

    if (!built->graph)
        FAIL("%s", built->said);
    REQUIRE(built->graph);
    for (i = 0; i < hg_graph_n_elements(built->graph); i++) {
        const struct hg_element *e = hg_graph_element(built->graph, i);
        struct hg_port_info port;

        for (k = 0; k < hg_element_n_outputs(e); k++) {
            hg_element_output(e, k, &port);
            if (port.peer)
                used += (size_t)snprintf(
                    out + used, sizeof out - used, "%s%s.%u>%s.%u",
                    used ? " " : "", hg_element_name(e), k,
                    hg_element_name(port.peer), port.peer_port);
        }
    }
    CHECK_STR(out, expected);
}

/* ---- Values ----------------------------------------------------------- */

static void
check_text(const char *written, const char *expected)
{
    char graph[512];
    struct built built;

    snprintf(graph, sizeof graph,
             "Door d { }\nThing t { text = %s }\n"
             "connect(\"d -> t -> End\")\n",
             written);
    built = load_text(graph);
    CHECK_STR(thing(&built, "t")->text, expected);
    unload(&built);
}

TEST(values_are_read_as_libconfuse_reads_them)
{
    static const char *const rows[][2] = {
        {"plain", "plain"},
        {"\"two words\"", "two words"},
        {"'single ${NOT_EXPANDED}'", "single ${NOT_EXPANDED}"},
        {"\"\"", ""},
        {"\"a\\\"b\\\\c\\td\"", "a\"b\\c\td"},
        {"\"\\x41\\102\"", "AB"},
        {"back\\slash", "back\\slash"},
        {"2001:db8::/32", "2001:db8::/32"},
        {"10.0.0.0/16", "10.0.0.0/16"},
        {"1024-65535", "1024-65535"},
        {"\"# no comment // nor /* this */\"",
         "# no comment // nor /* this */"},
        {"half#way//there/*", "half#way//there/*"},
        {"x # a comment with } and \"", "x"},
        {"\n\n   next-line", "next-line"},
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        char closed[128];

        snprintf(closed, sizeof closed, "%s\n", rows[i][0]);
        check_text(closed, rows[i][1]);
    }
}

TEST(variables_come_from_the_environment_or_their_default)
{
    setenv("LANG_TEST_SET", "a \"b\" \\c", 1);
    setenv("LANG_TEST_EMPTY", "", 1);
    unsetenv("LANG_TEST_UNSET");
    check_text("${LANG_TEST_SET}", "a \"b\" \\c");
    check_text("\"<${LANG_TEST_SET}>\"", "<a \"b\" \\c>");
    check_text("x${LANG_TEST_UNSET:-def}y", "xdefy");
    check_text("${LANG_TEST_UNSET:-two words}", "two words");
    check_text("${LANG_TEST_UNSET:-}", "");
    check_text("${LANG_TEST_EMPTY:-def}", "");
    check_text("\"\\${LANG_TEST_SET}\"", "${LANG_TEST_SET}");
    check_text("$LANG_TEST_SET", "$LANG_TEST_SET");
}

TEST(lists_may_have_comments_and_a_last_comma)
{
    struct built built = load_text("Door d { }\n"
                                   "Thing t { words = { a, # one\n"
                                   "  \"b c\", /* two } */ c, // three\n"
                                   "} number = 7 }\n"
                                   "Thing u { words = one }\n"
                                   "Thing v { words = { } }\n"
                                   "connect(\"d -> t -> u -> v -> End\")\n");

    REQUIRE(thing(&built, "t")->words.n == 3);
    CHECK_STR(thing(&built, "t")->words.v[1], "b c");
    CHECK_STR(thing(&built, "t")->words.v[2], "c");
    CHECK_EQ(thing(&built, "t")->number, 7);
    CHECK_EQ(thing(&built, "u")->words.n, 1);
    CHECK_EQ(thing(&built, "v")->words.n, 0);
    unload(&built);
}

/* ---- Places ----------------------------------------------------------- */

TEST(comments_move_no_line_and_no_column)
{
    CHECK_SAID(
        "# one\n"
        "// two # three\n"
        "/* four\n"
        " */ Door d { } # five\n"
        "Thing t { /* six */ colour = 1 }\n"
        "connect(\"d -> t -> End\") # seven\n"
        "Zzz z { }\n",
        "g:5:21: error: no option 'colour' in Thing; 'headgate elements "
        "Thing' lists them\n"
        "g:7:1: error: no element class 'Zzz'; 'headgate elements' "
        "lists those there are\n");
}

TEST(places_in_a_connection_of_many_lines_are_exact)
{
    CHECK_SAID("Door d { }\n"
               "connect(\"d -> Thing\n"
               "\t-> Thing[nope]\n"
               "  -> [side]End;  d -> xyz123\n"
               "\",\"End -> End\")\n",
               "g:3:11: error: 'Thing@2' has no output 'nope'; its output is "
               "'out'\n"
               "g:4:7: error: 'End@1' has no input 'side'; its input is 'in'\n"
               "g:4:23: error: no element or class 'xyz123'; declare it: "
               "'Class name { }'\n"
               "g:5:4: error: 'End@2' has no output\n");
}

TEST(one_broken_section_does_not_hide_the_others)
{
    CHECK_SAID("Thing a { number = 100\n"
               "Thing b { numbr = 1 }\n"
               "Thing c { text = \"x }\n"
               "Thing d { words = { a b\n"
               "  number = x }\n"
               "Thing e { number = 13 }\n",
               "g:1:9: error: section 'Thing a' is never closed; '}' is "
               "missing before line 2\n"
               "g:1:20: error: option 'number' must be from 0 to 99, not "
               "'100'\n"
               "g:2:11: error: no option 'numbr' in Thing; did you mean "
               "'number'?\n"
               "g:3:18: error: this quote is never closed; \" is missing\n"
               "g:4:19: error: the list of 'words' is never closed; '}' is "
               "missing\n"
               "g:4:23: error: ',' is missing before 'b'\n"
               "g:5:12: error: option 'number' takes a number, not 'x'\n"
               "g:6:20: error: 'e': 13 brings bad luck\n");
}

TEST(dos_lines_and_a_byte_order_mark_are_accepted)
{
    struct built built = load_text("\xef\xbb\xbf"
                                   "Door d { }\r\n"
                                   "Thing t { text = x\r\n number = 3 }\r\n"
                                   "connect(\"d -> t\r\n -> End\")\r\n");

    CHECK_STR(thing(&built, "t")->text, "x");
    CHECK_EQ(thing(&built, "t")->number, 3);
    unload(&built);
}

TEST(a_caret_stands_under_what_is_meant)
{
    static const char text[] = "ab\n\t\xc3\xa9\xc3\xa9 word\x1b\n";
    const struct hg_place place = {"f", text, 2, 7, 4};
    const struct hg_place nowhere = {.file = "f"};
    struct hg_diags *diags = hg_diags_create();
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);

    hg_diag(diags, HG_SEVERITY_ERROR, &place, "later");
    hg_diag(diags, HG_SEVERITY_NOTE, &nowhere, "a note stays\nhere");
    hg_diag(diags, HG_SEVERITY_WARNING, &nowhere, "first");
    hg_diag(diags, HG_SEVERITY_ERROR, &place, "later");
    hg_diag(diags, HG_SEVERITY_NOTE, &nowhere, "said before");
    hg_diags_print(diags, out, false);
    fclose(out);
    CHECK_STR(printed, "f: warning: first\n"
                       "f:2:7: error: later\n"
                       "\t\xc3\xa9\xc3\xa9 word?\n"
                       "\t   ^~~~\n"
                       "f: note: a note stays here\n");
    CHECK_EQ(hg_diags_count(diags, HG_SEVERITY_ERROR), 1);
    free(printed);
    hg_diags_destroy(diags);
}

TEST(color_is_only_added)
{
    const struct hg_place place = {"f", "word", 1, 1, 4};
    struct hg_diags *diags = hg_diags_create();
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);

    hg_diag(diags, HG_SEVERITY_ERROR, &place, "x");
    hg_diags_print(diags, out, true);
    fclose(out);
    CHECK(strstr(printed, "\033[1;31merror: ") != NULL);
    CHECK(strstr(printed, "\033[1;32m^~~~\033[0m\n") != NULL);
    free(printed);
    hg_diags_destroy(diags);
}

TEST(the_nearest_word_is_near)
{
    static const char *const words[] = {"idle-timeout", "public", "in", "out",
                                        "HyperplaneNAT"};
    static const char *const rows[][2] = {
        {"idle-timout", "idle-timeout"},
        {"idle_timeout", "idle-timeout"},
        {"pubilc", "public"},
        {"Public", "public"},
        {"ni", "in"},
        {"oot", "out"},
        {"hyperplanenat", "HyperplaneNAT"},
        {"xyz", NULL},
        {"colour", NULL},
        {"a", NULL},
        {"", NULL},
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(hg_nearest(rows[i][0], words, 5), rows[i][1]);
    CHECK_STR(hg_nearest("in", NULL, 0), NULL);
}

/* ---- Connections ------------------------------------------------------ */

TEST(ports_have_names_and_numbers)
{
    struct built built =
        load_text("Door \"d\" { } Door e { }\n"
                  "Thing t { outputs = 2 }\n"
                  "connect(\"d->[1]t[more1]->e ; e -> t [ 0 ] -> End\n"
                  "t[1] -> [ in ] Thing -> End\")\n");

    check_wires(&built, "d.0>t.1 e.0>t.0 t.0>End@1.0 t.1>Thing@1.0 t.2>e.0 "
                        "Thing@1.0>End@2.0");
    unload(&built);
}

TEST(an_element_may_be_named_like_a_class)
{
    struct built built =
        load_text("Door Door { }\nEnd End { }\n"
                  "connect(\"Door -> Thing -> Thing -> End\")\n");

    check_wires(&built, "Door.0>Thing@1.0 Thing@1.0>Thing@2.0 "
                        "Thing@2.0>End.0");
    unload(&built);
}

TEST(what_is_referred_to_is_configured_first)
{
    struct built built =
        load_text("Door d { }\n"
                  "Thing a { peer = b }\n"
                  "Thing b { peer = c }\n"
                  "Thing c { peer = a }\n"
                  "Table t { }\n"
                  "Thing e { peer = t }\n"
                  "connect(\"d -> a -> b -> c -> e -> End\")");

    CHECK(thing(&built, "c")->order < thing(&built, "b")->order);
    CHECK(thing(&built, "b")->order < thing(&built, "a")->order);
    CHECK(thing(&built, "e")->peer == hg_element_of(thing(&built, "t")));
    CHECK_STR(built.said, "");
    unload(&built);
}

TEST(passive_elements_are_configured_before_the_others)
{
    struct built built = load_text("Door d { }\nThing a { }\nTable t { }\n"
                                   "connect(\"d -> a -> End\")");

    CHECK(thing(&built, "t")->order < thing(&built, "d")->order);
    CHECK(thing(&built, "t")->order < thing(&built, "a")->order);
    unload(&built);
}

TEST(references_are_checked)
{
    CHECK_SAID("Door d { }\nThing a { peer = bb }\nThing bbb { peer = zzz }\n"
               "Tble t { }\nThing c { peer = t }\nTable u { }\n"
               "connect(\"d -> a -> bbb -> c -> End\")",
               "g:2:18: error: no element 'bb'; did you mean 'bbb'?\n"
               "g:3:20: error: no element 'zzz'; option 'peer' names one\n"
               "g:4:1: error: no element class 'Tble'; did you mean "
               "'Table'?\n");
}

/* ---- Needs ------------------------------------------------------------ */

TEST(needs_hold_on_every_way)
{
    CHECK_SAID("Door d { } Door e { } Thing t { outputs = 1 } Picky p { }\n"
               "connect(\"d -> t -> Check -> p -> End; t[1] -> Thing -> p\n"
               "e -> Check -> Picky -> Wrap -> Thing -> Picky -> d\")",
               "g:2:56: error: 'p' needs 'ip', which nothing before it "
               "provides on the way from 'd'; put a Check between\n"
               "g:3:41: error: 'Picky@2' needs 'ip', which 'Wrap@1' takes "
               "away; put a Check between\n");
    CHECK_SAID("Door d { } Door e { } Thing t { outputs = 1 }\n"
               "connect(\"d -> Check -> t -> Picky -> e\n"
               "t[1] -> Wrap -> Check -> Picky -> End\")",
               "");
}

TEST(a_need_met_before_a_loop_holds_in_it)
{
    CHECK_SAID("Door d { } Thing t { outputs = 1 } Picky p { }\n"
               "connect(\"d -> Check -> p -> t -> p; t[1] -> End\")",
               "g:2:34: warning: 'p' and 't' form a loop; packets that go "
               "round it more than 64 times are dropped\n");
}

/* ---- Files in files --------------------------------------------------- */

TEST(includes_are_relative_to_their_file)
{
    struct built built;

    enter_folder();
    mkdir("sub", 0700);
    write_file("sub/one", "Door d { }\ninclude \"two\"\n");
    write_file("sub/two", "Thing t { number = ${LANG_TEST_N:-4} }\n");
    built = load_text("include(\"sub/one\")\nconnect(\"d -> t -> End\")\n");
    CHECK_EQ(thing(&built, "t")->number, 4);
    unload(&built);
    write_file("sub/two", "Thing t { numbr = 4 }\n");
    CHECK_SAID("include(\"sub/one\")\nconnect(\"d -> t -> End\")\n",
               "sub/two:1:11: error: no option 'numbr' in Thing; did you mean "
               "'number'?\n");
}

static const char inner[] = "Parameter n { }\n"
                            "Parameter words { default = { x, y } }\n"
                            "Input in { }\nInput side { }\n"
                            "Output out { }\nOutput rest { optional = yes }\n"
                            "Thing t { number = ${n} words = ${words}"
                            " outputs = 1 peer = friend }\n"
                            "connect(\"in -> t -> out; side -> [side]t\n"
                            "t[more0] -> rest\")\n";

TEST(graphs_nest_and_vanish)
{
    struct built built;

    write_file("inner", inner);
    write_file("outer", "Parameter m { default = 5 }\n"
                        "Input a { }\nInput s { }\nOutput b { }\n"
                        "Graph g { file = inner n = ${m} words = w }\n"
                        "connect(\"a -> g -> Thing -> b; s -> [side]g\n"
                        "g[rest] -> End\")\n");
    built = load_text("Door d { } Door e { } Door f { } Thing friend { }\n"
                      "Graph x { file = outer m = 8 }\n"
                      "Graph y { file = inner n = 9 }\n"
                      "connect(\"d -> friend -> x -> y -> d\n"
                      "e -> [s]x; f -> [1]y\")\n");
    check_wires(&built,
                "d.0>friend.0 e.0>x/g/t.1 f.0>y/t.1 friend.0>x/g/t.0 "
                "x/g/t.0>x/Thing@1.0 x/g/t.1>x/End@1.0 x/Thing@1.0>y/t.0 "
                "y/t.0>d.0");
    CHECK_EQ(thing(&built, "x/g/t")->number, 8);
    CHECK_EQ(thing(&built, "y/t")->number, 9);
    CHECK_EQ(thing(&built, "x/g/t")->words.n, 1);
    CHECK_EQ(thing(&built, "y/t")->words.n, 2);
    CHECK(thing(&built, "y/t")->peer ==
          hg_element_of(thing(&built, "friend")));
    unload(&built);
}

TEST(a_mistake_in_a_graph_says_how_one_came_there)
{
    write_file("outer", "Input a { }\nOutput b { }\n"
                        "connect(\"a -> Thing -> b; Thng -> End\")\n");
    CHECK_SAID("Door d { }\nGraph x { file = outer }\n"
               "connect(\"d -> x -> End\")\n",
               "outer:3:27: error: no element or class 'Thng'; did you mean "
               "'Thing'?\n"
               "g:2:7: note: in Graph 'x', made here\n");
}

TEST(a_parameter_hides_the_environment)
{
    struct built built;

    setenv("n", "1", 1);
    write_file("inner", inner);
    built = load_text("Door d { } Door e { } Thing friend { }\n"
                      "Graph x { file = inner n = 9 }\n"
                      "connect(\"d -> friend -> x -> d; e -> [side]x\")\n");
    CHECK_EQ(thing(&built, "x/t")->number, 9);
    unload(&built);
    unsetenv("n");
}

TEST(graphs_cannot_use_themselves)
{
    write_file("p", "Graph q { file = q }\n");
    write_file("q", "Graph p { file = \"./p\" }\n");
    CHECK_SAID(
        "Graph p { file = p }\n",
        "g:1:7: warning: 'p' is never used: nothing is connected to it\n"
        "p:1:7: warning: 'q' is never used: nothing is connected to it\n"
        "g:1:7: note: in Graph 'p', made here\n"
        "q:1:18: error: './p' uses itself\n"
        "p:1:7: note: in Graph 'p/q', made here\n"
        "g:1:7: note: in Graph 'p', made here\n");
}

TEST(a_circle_of_graphs_without_an_element_is_found)
{
    write_file("through", "Input in { }\nOutput out { }\n"
                          "connect(\"in -> out\")\n");
    CHECK_SAID(
        "Door d { }\n"
        "Graph a { file = through }\nGraph b { file = through }\n"
        "connect(\"d -> a -> b -> a\")\n",
        "through:3:16: error: this connection leads in a circle without "
        "any element\n"
        "g:2:7: note: in Graph 'a', made here\n");
}

/* ---- Copies ----------------------------------------------------------- */

TEST(one_declaration_makes_a_copy_for_each_item)
{
    struct built built;

    setenv("LANG_TEST_LIST", "c", 1);
    built = load_text(
        "Door d { } Thing spread { outputs = 2 }\n"
        "Thing q { each = { 1, b, ${LANG_TEST_LIST} } text = \"<${each}>\" }\n"
        "End e { each = { 1, b, c } }\n"
        "connect(\"d -> spread[0] -> q-1; spread[1] -> q-b\n"
        "spread[2] -> q-c; q* -> Thing -> e*\")\n");
    check_wires(&built,
                "d.0>spread.0 spread.0>q-1.0 spread.1>q-b.0 spread.2>q-c.0 "
                "q-1.0>Thing@1.0 q-b.0>Thing@2.0 q-c.0>Thing@3.0 "
                "Thing@1.0>e-1.0 Thing@2.0>e-b.0 Thing@3.0>e-c.0");
    CHECK_STR(thing(&built, "q-c")->text, "<c>");
    unload(&built);
}

TEST(stars_in_ports_and_shared_ends)
{
    struct built built =
        load_text("Door d { } Thing spread { outputs = 2 } End end { }\n"
                  "Thing q { each = { 0, 1 } }\n"
                  "connect(\"d -> spread[more*] -> q* -> end\n"
                  "spread[out] -> end\")\n");

    check_wires(&built, "d.0>spread.0 spread.0>end.0 spread.1>q-0.0 "
                        "spread.2>q-1.0 q-0.0>end.0 q-1.0>end.0");
    unload(&built);
}

TEST(graphs_are_copied_too)
{
    struct built built;

    write_file("part", "Parameter n { }\nInput in { }\nOutput out { }\n"
                       "Thing t { number = ${n} }\n"
                       "connect(\"in -> t -> out\")\n");
    built = load_text("Door d { } Thing spread { outputs = 1 }\n"
                      "Graph g { file = part n = ${each} each = { 3, 4 } }\n"
                      "connect(\"d -> spread -> g-3; spread[1] -> g-4\n"
                      "g* -> End\")\n");
    check_wires(&built, "d.0>spread.0 spread.0>g-3/t.0 spread.1>g-4/t.0 "
                        "g-3/t.0>End@1.0 g-4/t.0>End@2.0");
    CHECK_EQ(thing(&built, "g-4/t")->number, 4);
    unload(&built);
}

/* ---- The command line ------------------------------------------------- */

static struct built
load_with(const char *const *overrides, size_t n)
{
    write_file("inner", inner);
    write_file("g",
               "Door d { } Door e { } Thing friend { number = 1 }\n"
               "Graph x { file = inner n = 9 }\n"
               "Thing q { each = { a, b } }\n"
               "connect(\"d -> friend -> x -> d\n"
               "e -> Thing -> [side]x; x[rest] -> q-a -> q-b -> End\")\n");
    return load("g", overrides, n);
}

TEST(the_command_line_overrides_options)
{
    static const char *const overrides[] = {
        "friend.number=2",   "friend.words=a,b,,c",
        "friend.text=x=y.z", "x.n=10",
        "x/t.words=",        "q-b.number=3",
        "Thing@1.number=0x4"};
    struct built built =
        load_with(overrides, sizeof overrides / sizeof *overrides);

    CHECK_STR(built.said, "");
    CHECK_EQ(thing(&built, "friend")->number, 2);
    CHECK_EQ(thing(&built, "friend")->words.n, 3);
    CHECK_STR(thing(&built, "friend")->text, "x=y.z");
    CHECK_EQ(thing(&built, "x/t")->number, 10);
    CHECK_EQ(thing(&built, "x/t")->words.n, 0);
    CHECK_EQ(thing(&built, "q-b")->number, 3);
    CHECK_EQ(thing(&built, "Thing@1")->number, 4);
    CHECK(hg_option_given(thing(&built, "q-b"), "number"));
    unload(&built);
}

TEST(mistakes_on_the_command_line_are_told_as_such)
{
    static const char *const overrides[] = {
        "frend.number=2", "friend.numbr=2", "friend.number=100", "friend",
        "number=3",       "x.m=3",          "q.number=1",        ".=",
        "q-a.number=13"};
    struct built built =
        load_with(overrides, sizeof overrides / sizeof *overrides);

    CHECK(!built.graph);
    CHECK_STR(
        built.said,
        "command line: error: 'friend' is no option; write "
        "ELEMENT.OPTION=VALUE\n"
        "command line: error: 'number=3' is no option; write "
        "ELEMENT.OPTION=VALUE\n"
        "command line: error: '.=' is no option; write ELEMENT.OPTION=VALUE\n"
        "command line: error: no parameter 'm' in 'inner'\n"
        "command line: error: option 'number' must be from 0 to 99, not "
        "'100'\n"
        "command line: error: no option 'numbr' in Thing; did you mean "
        "'number'?\n"
        "command line: error: 'q-a': 13 brings bad luck\n"
        "command line: error: no element 'frend' for 'frend.number=2'; did "
        "you mean 'friend'?\n"
        "command line: error: no element 'q' for 'q.number=1'\n");
    unload(&built);
}

/* ---- Files that are none ---------------------------------------------- */

TEST(what_cannot_be_read_says_why)
{
    struct built built = load("missing", NULL, 0);

    CHECK_STR(built.said,
              "missing: error: cannot be read: No such file or directory\n");
    unload(&built);
    built = load(".", NULL, 0);
    CHECK_STR(built.said, ".: error: cannot be read: Is a directory\n");
    unload(&built);
}

TEST(a_plugin_that_is_none_is_named_where_it_is_used)
{
    struct built built;

    write_file("NoPlugin.so", "this is a text\n");
    built = load_text("Door d { }\nconnect(\"d -> NoPlugin\")\n");
    CHECK_EQ(strncmp(built.said, "g:2:15: error: cannot load plugin: ", 35),
             0);
    unload(&built);
    unlink("NoPlugin.so");
}

TEST(sections_nest_only_so_deep)
{
    char text[2048] = "Thing t { ";
    struct built built;
    int i;

    for (i = 0; i < 300; i++)
        strcat(text, "a { ");
    built = load_text(text);
    CHECK(strstr(built.said, "error: sections are nested deeper than 16"));
    unload(&built);
}

TEST(a_large_file_is_read_in_reasonable_time)
{
    FILE *file;
    struct built built;
    int i, n = 3000;

    enter_folder();
    file = fopen("g", "w");
    REQUIRE(file);
    fprintf(file, "Door d { }\n");
    for (i = 0; i < n; i++)
        fprintf(file, "Thing t%d { number = %d }\n", i, i % 10);
    fprintf(file, "connect(\"d\n");
    for (i = 0; i < n; i++)
        fprintf(file, " -> t%d\n", i);
    fprintf(file, " -> End\")\n");
    fclose(file);
    built = load("g", NULL, 0);
    REQUIRE(built.graph);
    CHECK_EQ(hg_graph_n_elements(built.graph), (unsigned)n + 2);
    unload(&built);
}
