# tapstack: build, test, install. `make help` lists the targets.

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CFLAGS  ?= -O2 -g
VARIANT ?= plain
# CI=1: warnings are errors. V=1: show the commands.
# A VARIANT is a build folder of its own; one with `sanitize` in its name has the sanitizers.
B       := build/$(VARIANT)
Q       := $(if $(V),,@)
VERSION := 0.1.0

WARNINGS := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wcast-qual -Wundef -Wvla -Wno-missing-field-initializers \
            $(if $(CI),-Werror)
HARDEN   := -fstack-protector-strong -fno-common
SANITIZE :=
ifneq ($(findstring sanitize,$(VARIANT)),)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HARDEN   := -fno-common
endif
FLAGS = $(WARNINGS) $(HARDEN) $(SANITIZE) $(CFLAGS) $(CPPFLAGS) -I/usr/include/libnl3 \
        -DTAPSTACK_VERSION='"$(VERSION)"' -MMD -MP
LINK  = $(CC) $(SANITIZE) $(CFLAGS) $(LDFLAGS)

CORE_LIBS := -lsodium -lz
HOST_LIBS := -lnl-route-3 -lnl-3 -ljansson -lconfuse -lcap-ng -lseccomp $(CORE_LIBS)

# ---- what there is: the sources of every folder, found by name ----

obj = $(patsubst %.c,$(B)/%.o,$(1))
CORE_OBJ := $(call obj,$(wildcard tapstack/wire/*.c tapstack/link/*.c tapstack/core/*.c))
LAB_OBJ  := $(call obj,$(wildcard tapstack/lab/*.c))
HOST_OBJ := $(call obj,$(wildcard tapstack/host/*.c))
API_OBJ  := $(call obj,$(wildcard tapstack/api/*.c))
HTTP_OBJ := $(call obj,$(wildcard httpd/*.c))
CLI_OBJ  := $(call obj,$(wildcard cli/*.c))
SIM_OBJ  := $(call obj,$(wildcard tests/sim/*.c))
UNITS    := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
TOOLS    := $(patsubst tests/lib/%.c,$(B)/tools/%,$(filter-out tests/lib/ts_posix.c,$(wildcard tests/lib/*.c)))
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZERS  := $(filter-out fuzz_main,$(FUZZERS))

PROGRAMS  := $(B)/tapstackd $(B)/tapstack-httpd $(B)/tapctl $(B)/tapstack-lab
LIBRARIES := $(B)/libtapstack.a $(B)/libtapstack.so.0 $(B)/libtapstack-core.a
LAB       := $(B)/libtapstack-lab.a


.PHONY: all tests check lint demo run bench mutants soak fuzz fuzzers install uninstall clean help deps
all: $(PROGRAMS) $(LIBRARIES)
tests: all $(UNITS) $(TOOLS) $(B)/sim/sim $(B)/fuzz/frames $(B)/echo $(B)/echo_udp

# ---- compiling and linking ----

$(B)/%.pic.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -fPIC -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -c $< -o $@

$(B)/libtapstack-core.a: $(CORE_OBJ)
$(B)/libtapstack-lab.a:  $(filter-out %/main.o,$(LAB_OBJ))
$(B)/libtapstack.a:      $(API_OBJ)
$(B)/%.a:
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libtapstack.so.0: $(API_OBJ:.o=.pic.o)
	$(Q)$(LINK) -shared -Wl,-soname,libtapstack.so.0 -o $@ $^ -lpthread

$(B)/tapstackd: $(HOST_OBJ) $(B)/libtapstack-core.a
	$(Q)$(LINK) -o $@ $^ $(HOST_LIBS)

$(B)/tapstack-httpd: $(HTTP_OBJ) $(B)/libtapstack.a
	$(Q)$(LINK) -o $@ $^ -lconfuse -lpthread

$(B)/tapstack-lab: $(LAB_OBJ) $(B)/libtapstack-core.a
	$(Q)$(LINK) -o $@ $^ -ljansson $(CORE_LIBS)

$(B)/tapctl: $(CLI_OBJ)
	$(Q)$(LINK) -o $@ $^ -lreadline -ljansson

$(B)/echo $(B)/echo_udp: $(B)/%: tapstack/api/examples/%.c $(B)/libtapstack.a
	$(Q)$(LINK) $(WARNINGS) -Itapstack/api -o $@ $^ -lpthread

# ---- tests: a unit test is one file with a main; it may use every part but the programs' mains ----

PARTS = $(LAB) $(filter-out %/main.o,$(HTTP_OBJ) $(HOST_OBJ)) $(B)/libtapstack.a $(B)/libtapstack-core.a
$(B)/unit/%: $(B)/tests/unit/%.o $(PARTS)
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $< $(PARTS) -lcmocka $(HOST_LIBS) -lpthread

# The console's own test links the console instead.
$(B)/unit/test_cli: $(B)/tests/unit/test_cli.o $(filter-out %/main.o,$(CLI_OBJ))
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ -lcmocka -lreadline -ljansson

$(B)/tools/%: $(B)/tests/lib/%.o $(B)/libtapstack.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ -lpthread

$(B)/sim/sim: $(SIM_OBJ) $(LAB) $(B)/libtapstack-core.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CORE_LIBS)

# The stack's fuzzer with a generator of its own: any number of frames without libFuzzer.
$(B)/fuzz/frames: $(call obj,tests/fuzz/fuzz_stack.c tests/fuzz/fuzz_main.c) $(B)/libtapstack-core.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CORE_LIBS)

$(B)/bench/%: $(B)/tests/bench/%.o $(B)/libtapstack-core.a
	@mkdir -p $(@D)
	$(Q)$(LINK) -o $@ $^ $(CORE_LIBS)

# check and demo install what is missing before they build.
check: deps
	$(Q)$(MAKE) --no-print-directory tests
	@bash tests/lib/check.sh $(B)

lint: all
	@BUILD=$(B) bash tests/lint/run

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	@bash tests/lib/demo.sh $(B)

run: all
	@bash tests/lib/run.sh $(B)

bench: all $(TOOLS) $(B)/bench/filter
	@$(B)/bench/filter
	@bash tests/bench/run $(B)
	@bash tests/bench/forward $(B)

# Planted faults: does a test notice each of them?
mutants: tests
	@bash tests/mutants/run.sh $(MUTANTS)

# New seeds of the simulator on both cores for so many seconds.
SECONDS ?= 600
soak: tests
	@bash tests/lib/soak.sh $(B) $(SECONDS)

# Ten million frames into the stack under the sanitizers; then libFuzzer (clang), each fuzzer for
# FUZZ_SECONDS.
FRAMES ?= 10000000
FUZZ_SECONDS ?= 60
$(B)/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(PARTS)
	@mkdir -p $(@D)
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $< $(PARTS) $(HOST_LIBS) -lpthread

fuzzers: $(addprefix $(B)/fuzz/,$(FUZZERS))
fuzz:
	$(Q)$(MAKE) VARIANT=sanitize build/sanitize/fuzz/frames
	$(Q)$(MAKE) VARIANT=fuzz-sanitize CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzzers
	@bash tests/lib/fuzz.sh $(FRAMES) $(FUZZ_SECONDS)

deps:
	@bash tests/lib/deps.sh $(if $(BENCH),bench)

# ---- installing ----

MAN_PAGES := $(wildcard tapstack/host/*.[58] tapstack/api/*.3 tapstack/lab/*.[17] httpd/*.[58] cli/*.[18])
CONFIGS   := tapstack/host/tapstackd.conf httpd/tapstack-httpd.conf
CORE_HEADERS := $(patsubst tapstack/%,%,$(wildcard tapstack/core/stack.h tapstack/core/counters.h \
    tapstack/core/events.h tapstack/core/settings.h tapstack/wire/address.h tapstack/wire/bytes.h \
    tapstack/wire/frame.h tapstack/wire/memory.h))
D = $(DESTDIR)$(PREFIX)

install: all
	install -d $(D)/sbin $(D)/bin $(D)/lib/pkgconfig $(D)/include/tapstack/core \
	    $(D)/include/tapstack/wire $(D)/share/tapstack/www $(D)/share/doc/tapstack/examples
	install -s $(B)/tapstackd $(B)/tapstack-httpd $(D)/sbin
	install -s $(B)/tapctl $(B)/tapstack-lab $(D)/bin
	install -m 644 $(B)/libtapstack.a $(B)/libtapstack-core.a $(D)/lib
	install -m 755 $(B)/libtapstack.so.0 $(D)/lib
	ln -sf libtapstack.so.0 $(D)/lib/libtapstack.so
	install -m 644 tapstack/api/tapstack.h $(D)/include
	for header in $(CORE_HEADERS); do \
	    install -m 644 tapstack/$$header $(D)/include/tapstack/$$header || exit 1; done
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' tapstack/api/tapstack.pc.in \
	    >$(D)/lib/pkgconfig/tapstack.pc
	for page in $(MAN_PAGES); do \
	    install -D -m 644 $$page $(D)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	install -m 644 $(CONFIGS) $(D)/share/doc/tapstack/examples
	cp -R httpd/www/. $(D)/share/tapstack/www

uninstall:
	rm -f $(D)/sbin/tapstackd $(D)/sbin/tapstack-httpd $(D)/bin/tapctl $(D)/bin/tapstack-lab $(D)/lib/libtapstack.a \
	    $(D)/lib/libtapstack-core.a $(D)/lib/libtapstack.so.0 $(D)/lib/libtapstack.so \
	    $(D)/include/tapstack.h $(D)/lib/pkgconfig/tapstack.pc
	for page in $(MAN_PAGES); do rm -f $(D)/share/man/man$${page##*.}/$${page##*/}; done
	rm -rf $(D)/include/tapstack $(D)/share/tapstack $(D)/share/doc/tapstack

clean:
	rm -rf build

help:
	@echo 'all        programs and libraries, in build/$$(VARIANT)'
	@echo 'deps       install the Debian packages that are missing (as root)'
	@echo 'demo       the tour: a site over tap0 in a namespace of its own (as root)'
	@echo 'run        keep it running, with the console; NETNS=name for a namespace (as root)'
	@echo 'check      all tests; lint: the rules of the house alone'
	@echo 'bench      against nginx on the kernel; fuzz: ten million frames and libFuzzer;'
	@echo 'soak       new seeds of the simulator for SECONDS; mutants: planted faults, is each noticed?'
	@echo 'install    to PREFIX ($(PREFIX)) below DESTDIR; uninstall; clean'
	@echo 'VARIANT=sanitize: with sanitizers. CC, CFLAGS, PREFIX, DESTDIR as usual. V=1 shows commands.'

-include $(shell find $(B) -name '*.d' 2>/dev/null)
.SECONDARY:
