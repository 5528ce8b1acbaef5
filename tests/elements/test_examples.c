/* test_examples.c: what the manual of each class shows is true. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

/* The number of mistakes in a graph file that says 'text'; prints them. */
static size_t
count_mistakes(struct hg_plugins *plugins, const char *text)
{
    const struct hg_graph_config config = {.plugins = plugins};
    struct hg_diags *diags = hg_diags_create();
    char path[] = "/tmp/headgate-example-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    size_t n;

    REQUIRE(file != NULL);
    fputs(text, file);
    fclose(file);
    hg_graph_destroy(hg_graph_load(path, &config, diags));
    hg_diags_print(diags, stderr, false);
    n = hg_diags_count(diags, HG_SEVERITY_ERROR) +
        hg_diags_count(diags, HG_SEVERITY_WARNING);
    hg_diags_destroy(diags);
    unlink(path);
    return n;
}

/* The class with the i-th name, or NULL behind the last.  Loading one renews
 * the list of names. */
static const struct hg_class *
class_at(struct hg_plugins *plugins, size_t i)
{
    size_t n;
    const char *const *names = hg_plugins_names(plugins, &n);
    const struct hg_class *cls;
    struct hg_error error;

    if (i >= n)
        return NULL;
    cls = hg_plugins_find(plugins, names[i], &error);
    REQUIRE(cls != NULL);
    return cls;
}

TEST(every_example_in_the_manual_is_a_right_graph)
{
    struct hg_plugins *plugins = hg_plugins_create(NULL);
    const struct hg_class *cls;
    size_t i;

    for (i = 0; (cls = class_at(plugins, i)) != NULL; i++)
        if (!cls->example || count_mistakes(plugins, cls->example))
            FAIL("the example of class %s", cls->name);
    CHECK(i >= 15);
    hg_plugins_destroy(plugins);
}

TEST(every_field_and_handler_is_documented)
{
    struct hg_plugins *plugins = hg_plugins_create(NULL);
    const struct hg_class *cls;
    size_t i, k;

    for (i = 0; (cls = class_at(plugins, i)) != NULL; i++) {
        CHECK(cls->summary != NULL);
        for (k = 0; k < cls->n_fields; k++)
            if (!cls->fields[k].doc)
                FAIL("field %s of class %s", cls->fields[k].name, cls->name);
        for (k = 0; k < cls->n_handlers; k++)
            if (!cls->handlers[k].doc)
                FAIL("handler %s of class %s", cls->handlers[k].name,
                     cls->name);
    }
    hg_plugins_destroy(plugins);
}

TEST(a_class_made_after_something_real_says_how_it_stands_to_that)
{
    struct hg_plugins *plugins = hg_plugins_create(NULL);
    const struct hg_class *cls;
    unsigned n_real = 0;
    size_t i;

    for (i = 0; (cls = class_at(plugins, i)) != NULL; i++) {
        if (!cls->reproduces != !cls->leaves_out ||
            !cls->leaves_out != !cls->lets_choose)
            FAIL("class %s says only a part", cls->name);
        n_real += cls->reproduces != NULL;
    }
    CHECK_EQ(n_real, N_VPC_CLASSES);
    hg_plugins_destroy(plugins);
}
