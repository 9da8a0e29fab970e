/* Two stacks over a hostile link, by the thousand: plans drawn from seeds, and every accident at
   every frame of a short exchange.

       sim                              the exhaustive runs and seeds 1 to 2000
       sim --seeds FIRST COUNT          these seeds only
       sim --seed N [--verbose]         one; verbose: the plan and every frame as a line
       sim --keep N                     what a failure leaves, of connection 0 from A, though it passes
       sim --shrink N                   the smallest plan made from seed N that fails as it does
       sim --hashes FIRST COUNT         seed, frames and their hash: equal for equal sources,
                                        whatever the compiler

   A failure is told with seed and commit. The first ones are run again for what they leave in the
   folder $SIM_OUT (else that of this program): NAME.pcapng, and NAME.pkt, the exchange as a packet
   script. The last line is `N passed, N failed`. */
#define _GNU_SOURCE
#include "sim.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEEDS = 2000, SEEDS_SANITIZED = 1000, TWICE_EVERY = 10, KEPT_MAX = 3 };

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(IS_SANITIZED)
static const uint64_t seeds = SEEDS_SANITIZED; /* each takes its time there */
#else
static const uint64_t seeds = SEEDS;
#endif

static const char *folder = ".";

/* ---- What a failure leaves ---- */

static void commit_print(void)
{
    char commit[128] = "unknown";
    FILE *git = popen("git describe --always --dirty 2>/dev/null", "r");
    if (git && fgets(commit, sizeof commit, git))
        commit[strcspn(commit, "\n")] = '\0';
    if (git)
        pclose(git);
    printf("    commit: %s\n", commit);
}

static FILE *kept_open(const char *name, const char *ending, char *path, size_t size)
{
    snprintf(path, size, "%s/%s.%s", folder, name, ending);
    FILE *file = fopen(path, "wb");
    if (!file)
        perror(path);
    return file;
}

static int first_connection(const struct plan *plan)
{
    unsigned number = 0;
    while (number < plan->connections && plan->connection[number].absent)
        number++;
    return (int)number;
}

/* Runs it again for the files. What is wrong with the whole is shown by its first connection. */
static void keep_failure(const struct plan *plan, const char *name, const struct run_result *result)
{
    struct run_wishes wishes = {.side = result->side < 0 ? 0 : result->side,
                                .connection = result->connection < 0 ? first_connection(plan)
                                                                     : result->connection};
    struct run_result again;
    char capture[512], script[512];
    wishes.capture = kept_open(name, "pcapng", capture, sizeof capture);
    wishes.script = kept_open(name, "pkt", script, sizeof script);
    run_plan(plan, &wishes, &again);
    if (wishes.capture && fclose(wishes.capture) == 0)
        printf("    frames: %s\n", capture);
    if (wishes.script && fclose(wishes.script) == 0)
        printf("    script: %s\n", script);
}

static void tell_failure(const struct tally *tally, const struct plan *plan, const char *name,
                         const struct run_result *result)
{
    printf("FAIL %s: %s\n", name, result->failure);
    if (tally->failed > KEPT_MAX)
        return;
    commit_print();
    keep_failure(plan, name, result);
}

static void tally_count(struct tally *tally, const struct plan *plan, const char *name,
                        const struct run_result *result)
{
    tally->frames += result->frames;
    tally->connections += result->connections;
    tally->bytes += result->bytes;
    if (!result->failure[0]) {
        tally->passed++;
        return;
    }
    tally->failed++;
    tell_failure(tally, plan, name, result);
}

void tally_run(struct tally *tally, const struct plan *plan, const char *name,
               struct run_result *result)
{
    run_plan(plan, NULL, result);
    tally_count(tally, plan, name, result);
}

/* ---- Seeds ---- */

static void seed_name(uint64_t seed, char name[64])
{
    snprintf(name, 64, "seed-%llu", (unsigned long long)seed);
}

static void run_seed(struct tally *tally, uint64_t seed, bool verbose)
{
    static struct plan plan;
    const struct run_wishes wishes = {.verbose = verbose};
    struct run_result result, again;
    char name[64];
    seed_name(seed, name);
    plan_draw(&plan, seed);
    if (verbose)
        plan_print(&plan, stdout);
    run_plan(&plan, &wishes, &result);
    if (seed % TWICE_EVERY == 0 && !result.failure[0]) {
        run_plan(&plan, NULL, &again);
        if (again.hash != result.hash || again.frames != result.frames)
            snprintf(result.failure, sizeof result.failure, "0 s: two runs differ");
    }
    if (verbose)
        printf("%llu frames in %.6f s\n", (unsigned long long)result.frames,
               (double)result.duration_us / (double)SIM_S);
    tally_count(tally, &plan, name, &result);
}

static void run_seeds(struct tally *tally, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        run_seed(tally, first + i, false);
}

static void print_hashes(uint64_t first, uint64_t count)
{
    static struct plan plan;
    struct run_result result;
    for (uint64_t i = 0; i < count; i++) {
        plan_draw(&plan, first + i);
        run_plan(&plan, NULL, &result);
        printf("%llu %llu %016llx\n", (unsigned long long)(first + i),
               (unsigned long long)result.frames, (unsigned long long)result.hash);
    }
}

static void run_shrink(struct tally *tally, uint64_t seed)
{
    static struct plan plan;
    struct run_result result;
    char name[64];
    seed_name(seed, name);
    plan_draw(&plan, seed);
    run_plan(&plan, NULL, &result);
    if (!result.failure[0]) {
        printf("seed %llu does not fail\n", (unsigned long long)seed);
        tally->passed++;
        return;
    }
    printf("%s: %s\n", name, result.failure);
    unsigned runs = shrink_plan(&plan, &result);
    printf("smallest of %u runs, its link drawn from %llu:\n", runs,
           (unsigned long long)plan.world.seed);
    plan_print(&plan, stdout);
    strcat(name, "-small");
    tally_count(tally, &plan, name, &result);
}

static void run_keep(struct tally *tally, uint64_t seed)
{
    static struct plan plan;
    const struct run_result nowhere = {.side = WORLD_A, .connection = 0};
    char name[64];
    seed_name(seed, name);
    plan_draw(&plan, seed);
    keep_failure(&plan, name, &nowhere);
    run_seed(tally, seed, false);
}

/* ---- The program ---- */

static void tell_speed(const struct tally *tally, clock_t begin)
{
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    printf("%llu connections, %llu bytes, %llu frames in %.1f s of processor time: %.0f "
           "connections a second\n",
           (unsigned long long)tally->connections, (unsigned long long)tally->bytes,
           (unsigned long long)tally->frames, seconds, (double)tally->connections / seconds);
    printf("%u passed, %u failed\n", tally->passed, tally->failed);
}

static uint64_t number_of(const char *text) { return strtoull(text, NULL, 10); }

/* Returns false when the arguments are not understood. */
static bool run_arguments(struct tally *tally, int count, char **arguments)
{
    const char *what = count > 1 ? arguments[1] : "";
    if (count == 1) {
        exhaustive_run(tally);
        run_seeds(tally, 1, seeds);
    } else if (count == 4 && strcmp(what, "--seeds") == 0) {
        run_seeds(tally, number_of(arguments[2]), number_of(arguments[3]));
    } else if (count == 3 && strcmp(what, "--seed") == 0) {
        run_seed(tally, number_of(arguments[2]), false);
    } else if (count == 4 && strcmp(what, "--seed") == 0 &&
               strcmp(arguments[3], "--verbose") == 0) {
        run_seed(tally, number_of(arguments[2]), true);
    } else if (count == 3 && strcmp(what, "--keep") == 0) {
        run_keep(tally, number_of(arguments[2]));
    } else if (count == 3 && strcmp(what, "--shrink") == 0) {
        run_shrink(tally, number_of(arguments[2]));
    } else {
        return false;
    }
    return true;
}

/* Where files go that nobody has named a place for. */
static void folder_choose(char *program)
{
    char *slash = strrchr(program, '/');
    if (getenv("SIM_OUT")) {
        folder = getenv("SIM_OUT");
    } else if (slash) {
        *slash = '\0';
        folder = program;
    }
}

int main(int count, char **arguments)
{
    struct tally tally = {0};
    clock_t begin = clock();
    setvbuf(stdout, NULL, _IOLBF, 0);
    folder_choose(arguments[0]);
    if (count == 4 && strcmp(arguments[1], "--hashes") == 0) {
        print_hashes(number_of(arguments[2]), number_of(arguments[3]));
        return 0;
    }
    if (!run_arguments(&tally, count, arguments)) {
        fprintf(stderr, "usage: sim [--seeds FIRST COUNT | --seed N [--verbose] | --keep N | "
                        "--shrink N | --hashes FIRST COUNT]\n");
        return 2;
    }
    tell_speed(&tally, begin);
    return tally.failed != 0;
}
