/* tapstack-lab: the stack in virtual time, for everybody to experiment with; no root, no device.

       tapstack-lab script [-jqst] [-k DIR] FILE...     packet scripts */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script_run.h"

struct lab_options {
    struct script_options script;
    bool json, quiet;
    const char *keep; /* folder for the captures of what failed */
};

static int usage(FILE *to)
{
    fputs("usage: tapstack-lab script [-jqst] [-k DIR] FILE...\n"
          "  -j, --json    a JSON object a line\n"
          "  -q, --quiet   tell only of what failed\n"
          "  -s, --strict  the stack may send nothing that no event asks for\n"
          "  -t, --trace   print each run itself as a script, going on behind differences\n"
          "  -k DIR        where captures (pcapng) of failed scripts go; default: here\n"
          "  -V            print the version\n"
          "  -h, --help    print this\n",
          to);
    return to == stdout ? 0 : 2;
}

/* All of a file. Returns NULL with errno set. */
static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t capacity = 0;
    *size = 0;
    if (!file)
        return NULL;
    do {
        char *larger = realloc(text, capacity = capacity ? capacity * 2 : 16384);
        if (!larger)
            break;
        text = larger;
        *size += fread(text + *size, 1, capacity - *size, file);
    } while (*size == capacity);
    if (ferror(file)) { /* a folder, say */
        free(text);
        text = NULL;
        errno = EIO;
    }
    fclose(file);
    return text;
}

/* Leaves the frames of a failed run in a file named after the script. */
static void keep_capture(const struct lab_options *options, const char *path,
                         const struct script_outcome *outcome, char *kept, size_t size)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    snprintf(kept, size, "%s/%s.pcapng", options->keep, name);
    FILE *file = fopen(kept, "wb");
    if (!file || fwrite(outcome->capture, 1, outcome->capture_size, file) != outcome->capture_size)
        snprintf(kept, size, "none: %s", strerror(errno));
    if (file)
        fclose(file);
}

/* Scripts and names of files may hold bytes that no JSON text can. */
static json_t *json_text(const char *text)
{
    json_t *string = json_string(text);
    char *copy = string ? NULL : strdup(text);
    for (char *at = copy; at && *at; at++)
        if (*at & 0x80)
            *at = '?';
    if (copy)
        string = json_string(copy);
    free(copy);
    return string;
}

static void tell_json(const char *path, const struct script_outcome *outcome, const char *report,
                      const char *kept)
{
    json_t *object =
        json_pack("{s:o, s:b, s:I, s:o}", "script", json_text(path), "passed", outcome->passed,
                  "virtual_us", (json_int_t)outcome->duration_us, "report", json_text(report));
    if (outcome->place.line > 0) {
        json_object_set_new(object, "line", json_integer(outcome->place.line));
        json_object_set_new(object, "column", json_integer(outcome->place.column));
    }
    if (kept[0])
        json_object_set_new(object, "capture", json_text(kept));
    if (outcome->trace && outcome->trace[0])
        json_object_set_new(object, "trace", json_text(outcome->trace));
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

/* A trace has the standard output for itself, so that it can be kept as a file. */
static FILE *verdicts(const struct lab_options *options)
{
    return options->script.trace && !options->json ? stderr : stdout;
}

static void tell(const struct lab_options *options, const char *path,
                 const struct script_outcome *outcome, const char *report, const char *kept)
{
    if (options->json) {
        tell_json(path, outcome, report, kept);
        return;
    }
    FILE *to = verdicts(options);
    if (outcome->passed && !options->quiet)
        fprintf(to, "ok      %s\n", path);
    if (!outcome->passed)
        fprintf(to, "FAILED  %s\n%s", path, report);
    if (kept[0])
        fprintf(to, "  capture: %s\n", kept);
    if (outcome->trace)
        fputs(outcome->trace, stdout);
}

/* Returns whether it passed. */
static bool run_file(const struct lab_options *options, const char *path)
{
    struct script_outcome outcome = {0};
    struct script_error error = {.place = {0, 0}};
    char report[512] = "", kept[512] = "";
    size_t size;
    char *text = read_file(path, &size);
    struct script *script = NULL;
    if (!text)
        snprintf(report, sizeof report, "%s: %s\n", path, strerror(errno));
    else if (!(script = script_parse(path, text, size, &error)))
        snprintf(report, sizeof report, "%s:%d:%d: %s\n", path, error.place.line,
                 error.place.column, error.text);
    else
        script_run(script, &options->script, &outcome);
    if (!script)
        outcome.place = error.place;
    bool passed = outcome.passed;
    if (script && !passed)
        keep_capture(options, path, &outcome, kept, sizeof kept);
    tell(options, path, &outcome, script && outcome.report ? outcome.report : report, kept);
    script_outcome_release(&outcome);
    script_destroy(script);
    free(text);
    return passed;
}

static int run_scripts(int argc, char **argv)
{
    static const struct option longs[] = {
        {"trace", no_argument, NULL, 't'}, {"json", no_argument, NULL, 'j'},
        {"quiet", no_argument, NULL, 'q'}, {"strict", no_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},  {0}};
    struct lab_options options = {.keep = "."};
    int passed = 0, failed = 0, letter;
    while ((letter = getopt_long(argc, argv, "jqstk:h", longs, NULL)) >= 0) {
        switch (letter) {
        case 'j':
            options.json = true;
            break;
        case 'q':
            options.quiet = true;
            break;
        case 's':
            options.script.strict = true;
            break;
        case 't':
            options.script.trace = options.script.overlook = true;
            break;
        case 'k':
            options.keep = optarg;
            break;
        case 'h':
            return usage(stdout);
        default:
            return usage(stderr);
        }
    }
    if (optind == argc)
        return usage(stderr);
    for (int i = optind; i < argc; i++)
        *(run_file(&options, argv[i]) ? &passed : &failed) += 1;
    if (options.json)
        printf("{\"passed\":%d,\"failed\":%d}\n", passed, failed);
    else
        fprintf(verdicts(&options), "%d passed, %d failed\n", passed, failed);
    return failed > 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "script") == 0)
        return run_scripts(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0))
        return usage(stdout);
    if (argc > 1 && strcmp(argv[1], "-V") == 0) {
        puts("tapstack-lab " TAPSTACK_VERSION);
        return 0;
    }
    return usage(stderr);
}
