/* Drives a fuzzer's entry without libFuzzer: random inputs by seed, or files to be run again.

       frames COUNT [SEED]    random inputs until so many frames were given to stacks
       frames --input SEED    the one input of this seed
       frames FILE...         inputs that were kept

   Input number n of seed s is made from s + n alone, so that a failure is found again by --input.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_MAX = 6000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern uint64_t fuzz_frames;
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static uint64_t input_seed;

static void tell_seed(void)
{
    char text[64];
    int size = snprintf(text, sizeof text, "\nrun again with: --input %llu\n",
                        (unsigned long long)input_seed);
    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        return;
}

static void on_abort(int number)
{
    tell_seed();
    signal(number, SIG_DFL);
    raise(number);
}

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* Bytes of three sorts: any, small ones (operations and exact numbers), and repetitions of what
   stands already, which is how the same operation comes again with other arguments. */
static size_t make_input(uint64_t seed, uint8_t *bytes)
{
    uint64_t state = seed;
    size_t size = 64 + random_next(&state) % (INPUT_MAX - 64);
    size_t at = 0;
    while (at < size) {
        uint64_t random = random_next(&state);
        size_t run = 1 + (random >> 8) % 24;
        run = run < size - at ? run : size - at;
        size_t from = at ? (random >> 16) % at : 0;
        for (size_t i = 0; i < run; i++, at++) {
            uint8_t any = (uint8_t)random_next(&state);
            bytes[at] = random % 4 == 0 ? bytes[from + i] : random % 4 == 1 ? any % 16 : any;
        }
    }
    return size;
}

static void run_seed(uint64_t seed)
{
    static uint8_t bytes[INPUT_MAX];
    input_seed = seed;
    LLVMFuzzerTestOneInput(bytes, make_input(seed, bytes));
}

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    printf("%s: %zu bytes\n", path, size);
    LLVMFuzzerTestOneInput(bytes, size);
    return 0;
}

static int run_files(int count, char **paths)
{
    for (int i = 0; i < count; i++)
        if (run_file(paths[i]) != 0)
            return 1;
    return 0;
}

static bool is_number(const char *text) { return *text && text[strspn(text, "0123456789")] == 0; }

static int run_frames(uint64_t frames, uint64_t seed)
{
    while (fuzz_frames < frames)
        run_seed(seed++);
    printf("%llu frames\n", (unsigned long long)fuzz_frames);
    return 0;
}

int main(int count, char **arguments)
{
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_seed);
    if (count == 3 && strcmp(arguments[1], "--input") == 0) {
        run_seed(strtoull(arguments[2], NULL, 10));
        return 0;
    }
    if ((count == 2 || count == 3) && is_number(arguments[1]))
        return run_frames(strtoull(arguments[1], NULL, 10),
                          count == 3 ? strtoull(arguments[2], NULL, 10) : 1);
    if (count > 1)
        return run_files(count - 1, arguments + 1);
    fprintf(stderr, "usage: frames COUNT [SEED] | --input SEED | FILE...\n");
    return 2;
}
