# custbackup: the extension (custbackup.so) by PGXS, and beside it the mover
# (the executable `custbackup`) by rules of its own, so that the server's
# include paths never reach the mover and libpq or OpenSSL never the server.
#
# `make help` lists the targets.

# "" in the source tree; make -f ../Makefile in another directory builds there.
SOURCE      := $(patsubst ./,,$(dir $(firstword $(MAKEFILE_LIST))))

EXTENSION   = custbackup
MODULE_big  = custbackup
DATA_built  = sql/custbackup--1.0.sql
SQL_PARTS   = $(sort $(wildcard $(SOURCE)sql/parts/*.sql))
OBJS        = $(patsubst %.c,%.o,$(patsubst $(SOURCE)%,%,$(sort $(wildcard $(SOURCE)src/extension/*.c))))
EXTRA_CLEAN = build src/extension/*.d

# These goals install what is missing, so they have to work before pg_config exists; the real work
# stands in test/bin. PGXS stays out of them (it refuses `check` itself).
BOOTSTRAPPED = demo check check-17 check-18 bench lint fuzz
ifneq ($(filter $(BOOTSTRAPPED),$(MAKECMDGOALS)),)

.PHONY: $(BOOTSTRAPPED)
$(filter-out check-%,$(BOOTSTRAPPED)):
	@$(SOURCE)test/bin/install-missing $@
	@$(SOURCE)test/bin/$@ $(ARGS)

check-17 check-18:
	@$(SOURCE)test/bin/check-release $(patsubst check-%,%,$@) $(ARGS)

else

PG_CONFIG   ?= pg_config
PGXS        := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
# Nothing here is worth inlining into queries.
override with_llvm = no

.DEFAULT_GOAL := all

ifneq ($(PGXS),)
# A server built by gcc hands its flags to clang, which does not know them all.
PG_CFLAGS    = -std=gnu17 -Wall -Wextra -MMD -MP $(if $(findstring clang,$(CC)),-Wno-unknown-warning-option -Wno-ignored-optimization-argument)
PG_CPPFLAGS  = -isystem $(shell $(PG_CONFIG) --includedir-server)
ifneq ($(filter installcheck,$(MAKECMDGOALS)),)
REGRESS      = $(patsubst $(SOURCE)test/sql/%.sql,%,$(sort $(wildcard $(SOURCE)test/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(SOURCE)test --outputdir=build/regress
endif
include $(PGXS)
-include $(OBJS:.o=.d)
# Of another directory only the sources are looked for: what was built there belongs to another build.
VPATH       :=
vpath %.c $(patsubst %/,%,$(SOURCE))
vpath %.control $(patsubst %/,%,$(SOURCE))
$(OBJS): | $(CURDIR)/src/extension
installcheck: | $(CURDIR)/build/regress
$(CURDIR)/src/extension $(CURDIR)/build/regress:
	mkdir -p $@
else
$(if $(filter-out help clean,$(or $(MAKECMDGOALS),all)),$(error $(PG_CONFIG) or the server's development files are missing; test/bin/install-missing installs what a build needs, or name another PG_CONFIG))
endif

sql/custbackup--1.0.sql: $(SQL_PARTS)
	@mkdir -p sql
	{ printf '%s\n' '\echo Use "CREATE EXTENSION custbackup" to load this file. \quit'; cat $^; } > $@.tmp && mv $@.tmp $@

include $(SOURCE)src/mover/mover.mk

all: mover
install: install-mover install-manual
uninstall: uninstall-mover uninstall-manual

.PHONY: install-mover uninstall-mover install-manual uninstall-manual help
install-mover: mover
	$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) $(MOVER) '$(DESTDIR)$(bindir)/custbackup'
	$(INSTALL_SHLIB) $(MONGODB_MODULE) '$(DESTDIR)$(pkglibdir)/'
uninstall-mover:
	rm -f '$(DESTDIR)$(bindir)/custbackup' '$(DESTDIR)$(pkglibdir)/$(notdir $(MONGODB_MODULE))'

# Where man and the shells look by themselves: a packaged Postgres keeps its programs apart from the rest of /usr.
USER_SHARE  ?= $(if $(filter /usr/lib/% /usr/lib64/% /usr/pgsql-%,$(bindir)),/usr/share,$(patsubst %/bin,%/share,$(bindir)))
MAN1_DIR    ?= $(USER_SHARE)/man/man1
BASH_DIR    ?= $(USER_SHARE)/bash-completion/completions
ZSH_DIR     ?= $(USER_SHARE)/zsh/$(if $(and $(filter /usr/share,$(USER_SHARE)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)
install-manual:
	$(INSTALL) -d '$(DESTDIR)$(MAN1_DIR)' '$(DESTDIR)$(BASH_DIR)' '$(DESTDIR)$(ZSH_DIR)'
	$(INSTALL_DATA) $(SOURCE)docs/custbackup.1 '$(DESTDIR)$(MAN1_DIR)/custbackup.1'
	$(INSTALL_DATA) $(SOURCE)src/mover/completion/custbackup.bash '$(DESTDIR)$(BASH_DIR)/custbackup'
	$(INSTALL_DATA) $(SOURCE)src/mover/completion/_custbackup '$(DESTDIR)$(ZSH_DIR)/_custbackup'
uninstall-manual:
	rm -f '$(DESTDIR)$(MAN1_DIR)/custbackup.1' '$(DESTDIR)$(BASH_DIR)/custbackup' '$(DESTDIR)$(ZSH_DIR)/_custbackup'

help:
	@echo 'make              build custbackup.so and build/custbackup'
	@echo 'make install      into the Postgres that PG_CONFIG names ($(PG_CONFIG)); manual page and completion beside it'
	@echo 'make uninstall    takes away what install has brought'
	@echo 'make demo         see it work: real servers, a real loss, a real restore (KEEP=1 keeps them)'
	@echo 'make check        install what is missing, build, run every test (ARGS="test/t/020_store_file.t" runs some)'
	@echo 'make check-17     the same on Postgres 17 in a Debian 13 of its own (check-18: on 18); needs root'
	@echo 'make installcheck the SQL regression tests against the running, installed server'
	@echo 'make bench        ratios against the plain tools, measured in the same run'
	@echo 'make fuzz         each fuzzer for ten minutes (SECONDS_EACH=20 for less)'
	@echo 'make lint         formatting, static analysis, shell and Perl checks'
	@echo 'make clean        remove what was built'
	@echo
	@echo 'Variables: PG_CONFIG, CC, SANITIZE=address,undefined (mover), BUILD (mover objects), KEEP; MAN1_DIR, BASH_DIR, ZSH_DIR (install)'

endif
