# The mover, an ordinary program: no header and no flag of the server's.
#
# BUILD may name another directory, so that a sanitized build stands beside the plain one:
#   make BUILD=build/asan SANITIZE=address,undefined mover

BUILD          ?= build
PKG_CONFIG     ?= pkg-config
MOVER           = $(BUILD)/custbackup
MOVER_SOURCES  := $(sort $(wildcard $(SOURCE)src/mover/*.c $(SOURCE)src/mover/*/*.c))
MOVER_OBJECTS  := $(patsubst $(SOURCE)src/%.c,$(BUILD)/%.o,$(MOVER_SOURCES))
# libmongoc and what it needs take longer to load than all the rest: only jobs that want them load this module.
MONGODB_MODULE  = $(BUILD)/custbackup_mongodb.so
MONGODB_OBJECTS = $(filter $(BUILD)/mover/engines/mongodb%,$(MOVER_OBJECTS))
# Everything but main(): what the unit tests and fuzzers link.
MOVER_LIBRARY   = $(BUILD)/libmover.a
# libmongoc is libmongoc-1.0 up to 1.30 and mongoc2 from 2.0 on.
MONGOC_PACKAGE := $(if $(shell $(PKG_CONFIG) --exists libmongoc-1.0 2>/dev/null && echo yes),libmongoc-1.0,mongoc2)
MOVER_PACKAGES := jansson libcrypto libssl zlib libpq libcurl expat $(shell $(PKG_CONFIG) --exists libisal 2>/dev/null && echo libisal)

# A build that lacks something is told so in a sentence, before it begins. PKG_CONFIG=true: all of it lies where the compiler looks anyway.
ifneq ($(filter-out help %clean uninstall% install-manual installcheck,$(or $(MAKECMDGOALS),all)),)
ifeq ($(shell $(PKG_CONFIG) --exists $(MOVER_PACKAGES) $(MONGOC_PACKAGE) 2>/dev/null && echo yes),)
MOVER_MISSING := $(if $(shell command -v $(PKG_CONFIG)),$(shell for package in $(MOVER_PACKAGES) $(MONGOC_PACKAGE); do \
	$(PKG_CONFIG) --exists $$package || echo $$package; done),$(PKG_CONFIG))
$(error the mover cannot be built, for want of $(subst mongoc2,libmongoc,$(MOVER_MISSING)): $(SOURCE)test/bin/install-missing installs what a build needs, and so do `make check` and `make demo`)
endif
endif

MOVER_CPPFLAGS := -D_GNU_SOURCE -I$(SOURCE)src/mover $(if $(filter libisal,$(MOVER_PACKAGES)),-DHAVE_ISAL) \
	$(shell $(PKG_CONFIG) --cflags $(MOVER_PACKAGES) $(MONGOC_PACKAGE) 2>/dev/null)
MOVER_LIBS     := $(shell $(PKG_CONFIG) --libs $(MOVER_PACKAGES) 2>/dev/null) -lresolv -lpthread
MONGODB_LIBS   := $(shell $(PKG_CONFIG) --libs $(MONGOC_PACKAGE) 2>/dev/null) -lresolv
MOVER_OPTIMIZE ?= -O2
MOVER_CFLAGS    = -std=c17 $(MOVER_OPTIMIZE) -g -Wall -Wextra -Wmissing-prototypes -Wvla -fPIE -fstack-protector-strong \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined,-D_FORTIFY_SOURCE=2)
MOVER_SAFETY    = -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE))
MOVER_LDFLAGS   = -pie $(MOVER_SAFETY)
# Where the executable finds its module: beside itself, or where Postgres keeps modules, seen from bindir.
MODULE_PATH     = $$ORIGIN:$$ORIGIN/$(shell realpath -m --relative-to='$(bindir)' '$(pkglibdir)')

.PHONY: mover
mover: $(MOVER) $(MONGODB_MODULE)

$(MOVER): $(filter-out $(MONGODB_OBJECTS),$(MOVER_OBJECTS)) $(BUILD)/mover/module.symbols
	$(CC) $(MOVER_CFLAGS) $(MOVER_LDFLAGS) -Wl,--dynamic-list=$(BUILD)/mover/module.symbols -Wl,-rpath,'$(MODULE_PATH)' \
		-o $@ $(filter %.o,$^) $(MOVER_LIBS)

$(MONGODB_MODULE): $(MONGODB_OBJECTS)
	$(CC) $(MOVER_CFLAGS) -fPIC -shared $(MOVER_SAFETY) -o $@ $^ $(MONGODB_LIBS)

# What the module takes from the executable, which exports nothing else.
$(BUILD)/mover/module.symbols: $(MONGODB_OBJECTS)
	nm -u $^ | awk 'BEGIN { print "{" } $$1 == "U" && !seen[$$2]++ { print "\t" $$2 ";" } END { print "};" }' >$@

$(MONGODB_OBJECTS): MOVER_CFLAGS += -fPIC

$(MOVER_LIBRARY): $(filter-out $(BUILD)/mover/main.o,$(MOVER_OBJECTS))
	rm -f $@ && $(AR) qcs $@ $^

# Not the server's CFLAGS: those belong to the extension.
$(MOVER_OBJECTS): $(BUILD)/%.o: $(SOURCE)src/%.c
	@mkdir -p $(@D)
	$(CC) $(MOVER_CFLAGS) $(MOVER_CPPFLAGS) -MMD -MP -c -o $@ $<

-include $(MOVER_OBJECTS:.o=.d)

# C unit tests: one program a file of test/unit, each prints TAP.
UNIT_TESTS := $(patsubst $(SOURCE)test/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard $(SOURCE)test/unit/*_test.c)))

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS) $(BUILD)/unit/archive_dump

$(BUILD)/unit/%: $(SOURCE)test/unit/%.c $(SOURCE)test/unit/tap.h $(MOVER_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(MOVER_CFLAGS) $(MOVER_CPPFLAGS) $(MOVER_LDFLAGS) -I$(SOURCE)test/unit -o $@ $< $(MOVER_LIBRARY) $(MOVER_LIBS) $(MONGODB_LIBS)

# Programs that tests of test/t drive, one file of test/support each; they lie beside the unit tests.
SUPPORT_PROGRAMS := $(patsubst $(SOURCE)test/support/%.c,$(BUILD)/unit/%,$(sort $(wildcard $(SOURCE)test/support/*.c)))

unit-tests: $(SUPPORT_PROGRAMS)

$(BUILD)/unit/%: $(SOURCE)test/support/%.c $(MOVER_LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(MOVER_CFLAGS) $(MOVER_CPPFLAGS) $(MOVER_LDFLAGS) -o $@ $< $(MOVER_LIBRARY) $(MOVER_LIBS) $(MONGODB_LIBS)

# Fuzzers: one file of test/fuzz each, libFuzzer's entry point, clang only, objects of their own.
FUZZERS := $(patsubst $(SOURCE)test/fuzz/%.c,build/fuzz/%,$(sort $(wildcard $(SOURCE)test/fuzz/*_fuzzer.c)))

.PHONY: fuzzers
fuzzers:
	$(MAKE) BUILD=build/fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined build/fuzz/libmover.a
	$(MAKE) BUILD=build/fuzz CC=clang SANITIZE=fuzzer,address,undefined $(FUZZERS)

build/fuzz/%_fuzzer: $(SOURCE)test/fuzz/%_fuzzer.c build/fuzz/libmover.a
	$(CC) $(MOVER_CFLAGS) $(MOVER_CPPFLAGS) $(MOVER_LDFLAGS) -o $@ $< build/fuzz/libmover.a $(MOVER_LIBS) $(MONGODB_LIBS)

.PHONY: print-mover-flags
print-mover-flags:
	@echo '-std=c17 $(MOVER_CPPFLAGS)'
