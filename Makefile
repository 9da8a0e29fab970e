# tapstack: build, test, install. `make help` lists the targets.

PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CFLAGS  ?= -O2 -g
VARIANT ?= plain
B       := build/$(VARIANT)

VERSION := 0.1.0
LIBS    := libnl-3.0 libnl-route-3.0 jansson libconfuse libsodium zlib libseccomp
Q       := $(if $(V),,@)

WARNINGS := -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wundef -Wvla -Wno-missing-field-initializers
ifdef CI
WARNINGS += -Werror
endif
HARDEN := -fstack-protector-strong -fno-common
ifeq ($(VARIANT),sanitize)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HARDEN   :=
endif
FLAGS = $(WARNINGS) $(HARDEN) $(SANITIZE) $(CFLAGS) $(CPPFLAGS) -DTAPSTACK_VERSION='"$(VERSION)"' -MMD -MP
LINK  = $(SANITIZE) $(CFLAGS) $(LDFLAGS)

# ---- what there is: every folder's sources, found by name ----
CORE_SRC := $(wildcard tapstack/wire/*.c tapstack/link/*.c tapstack/core/*.c)
LAB_SRC  := $(wildcard tapstack/lab/*.c)
HOST_SRC := $(wildcard tapstack/host/*.c)
API_SRC  := $(wildcard tapstack/api/*.c)
HTTP_SRC := $(wildcard httpd/*.c)
CLI_SRC  := $(wildcard cli/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
SIM_SRC  := $(wildcard tests/sim/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC := $(wildcard tests/bench/*.c)
TOOL_SRC := $(wildcard tests/lib/*.c)

obj = $(patsubst %.c,$(B)/%.o,$(1))
API_PIC = $(patsubst %.c,$(B)/%.pic.o,$(API_SRC))

PROGRAMS := $(B)/tapstackd $(B)/tapstack-httpd $(B)/tapctl
LIBRARIES := $(B)/libtapstack.a $(B)/libtapstack.so.0 $(B)/libtapstack-core.a

.PHONY: all check lint demo run bench fuzz install uninstall clean help deps
all: $(PROGRAMS) $(LIBRARIES)

$(B)/%.pic.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -fPIC -fvisibility=default -c $< -o $@

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(PKG_CFLAGS) -c $< -o $@

$(B)/libtapstack-core.a: $(call obj,$(CORE_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libtapstack-lab.a: $(call obj,$(LAB_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libtapstack.a: $(call obj,$(API_SRC))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(B)/libtapstack.so.0: $(API_PIC)
	$(Q)$(CC) $(LINK) -shared -Wl,-soname,libtapstack.so.0 -o $@ $^ -lpthread

$(B)/tapstackd: $(call obj,$(HOST_SRC)) $(B)/libtapstack-core.a
	$(Q)$(CC) $(LINK) -o $@ $^ -lnl-route-3 -lnl-3 -ljansson -lconfuse -lsodium -lz -lcap-ng -lseccomp

$(B)/tapstack-httpd: $(call obj,$(HTTP_SRC)) $(B)/libtapstack.a
	$(Q)$(CC) $(LINK) -o $@ $^ -lconfuse -lpthread

$(B)/tapctl: $(call obj,$(CLI_SRC))
	$(Q)$(CC) $(LINK) -o $@ $^ -lreadline -ljansson

# A unit test is one file with a main of its own: tests/unit/test_NAME.c -> build/.../unit/test_NAME.
# It links the core, the lab, libtapstack and httpd's objects but main.
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
HTTP_PARTS := $(filter-out %/main.o,$(call obj,$(HTTP_SRC)))
HOST_PARTS := $(filter-out %/main.o,$(call obj,$(HOST_SRC)))
$(B)/unit/%: $(B)/tests/unit/%.o $(B)/libtapstack-lab.a $(HTTP_PARTS) $(HOST_PARTS) $(B)/libtapstack.a $(B)/libtapstack-core.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LINK) -o $@ $< $(B)/libtapstack-lab.a $(HTTP_PARTS) $(HOST_PARTS) $(B)/libtapstack.a $(B)/libtapstack-core.a \
	    -lcmocka -lnl-route-3 -lnl-3 -ljansson -lconfuse -lsodium -lz -lcap-ng -lseccomp -lpthread
PKG_CFLAGS := -I/usr/include/libnl3

-include $(shell find build/$(VARIANT) -name '*.d' 2>/dev/null)

clean:
	rm -rf build
