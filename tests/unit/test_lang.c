/* test_lang.c: graph files into graphs (core/lang.h, core/build.h): what they
 * mean, and where their mistakes are.  tests/graphs/bad has the wording of
 * every mistake; here is what one file cannot show. */
#include <limits.h>

#include "lang_graph.h"

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
