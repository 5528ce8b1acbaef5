/* test_lang_files.c: graphs of several files and of copies, and what the
 * command line says about them. */
#include <sys/stat.h>

#include "lang_graph.h"

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

TEST(dashes_and_underscores_are_the_same_in_parameters)
{
    struct built built;

    write_file("part", "Parameter the-n { }\nInput in { }\nOutput out { }\n"
                       "Thing t { number = ${the-n} }\n"
                       "connect(\"in -> t -> out\")\n");
    built = load_text("Door d { } Graph g { file = part the_n = 3 }\n"
                      "connect(\"d -> g -> End\")\n");
    CHECK_EQ(thing(&built, "g/t")->number, 3);
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
    int i, n = 60000; /* Deeper than a stack. */

    enter_folder();
    file = fopen("g", "w");
    REQUIRE(file);
    fprintf(file, "Door d { }\n");
    for (i = 0; i < n; i++)
        fprintf(file, "Thing t%d { number = %d }\n", i, i % 10);
    fprintf(file, "connect(\"d\n");
    for (i = 0; i < n; i++)
        fprintf(file, " -> t%d -> Thing\n", i);
    fprintf(file, " -> End\")\n");
    fclose(file);
    built = load("g", NULL, 0);
    REQUIRE(built.graph);
    CHECK_EQ(hg_graph_n_elements(built.graph), 2 * (unsigned)n + 2);
    CHECK(hg_graph_find(built.graph, "Thing@60000"));
    unload(&built);
}
