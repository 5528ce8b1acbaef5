/* fuzz_flow_format.c: any text as a format of flow logs.  What is accepted
 * makes lines with as many values as its header has names. */
#include <stdlib.h>
#include <string.h>

#include <headgate/flow_format.h>

static size_t
count_words(const struct hg_flow_text *text)
{
    size_t n = 1, i;

    for (i = 0; i < text->len; i++)
        n += text->s[i] == ' ';
    return n;
}

static void
check_line(struct hg_flow_format *f, const struct hg_flow_line *line)
{
    struct hg_flow_text header = {0}, text = {0};

    hg_flow_format_header(f, &header);
    hg_flow_format_line(f, line, &text);
    if (count_words(&header) != count_words(&text) ||
        text.s[text.len - 1] != '\n')
        abort();
    free(header.s);
    free(text.s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hg_flow_format_config config = {.traffic_path = 8};
    static const struct hg_flow_interface interface = {.interface = "eni-1"};
    struct hg_flow_record record = {.packets = 1, .bytes = 40};
    struct hg_flow_line line = {HG_FLOW_OK, &interface, &record, 1, 2};
    struct hg_flow_format *f;
    struct hg_error error;
    char *text = malloc(size + 1);

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    /* Keys of any kind: their bytes come from the input, too. */
    memcpy(&record.key, data,
           size < sizeof record.key ? size : sizeof record.key);
    f = hg_flow_format_create(text, &config, &error);
    if (f) {
        check_line(f, &line);
        line.record = NULL;
        line.status = HG_FLOW_NODATA;
        check_line(f, &line);
    }
    hg_flow_format_destroy(f);
    free(text);
    return 0;
}
