# policyd: build, set-up, tests and measurements. `make help` lists the targets.
#
# Every policyd/main.c and policyd/ctl/main.c is a program, all else is the engine.
# Objects lie in $B/obj, programs in $B; SAN=1 builds the same beside itself under ASan and UBSan,
# TESTING=1 (`make test` sets it) beside that again with the tests' crash triggers compiled in.

comma   := ,
CC      ?= cc
B       := build$(if $(SAN),/san)$(if $(TESTING),/testing)$(if $(COV),/cov)
O       := $B/obj
PREFIX  ?= /usr/local
SHARE   := $(PREFIX)/share/policyd
VERSION := $(shell cat VERSION)
JOBS    := -j$(shell nproc)
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

PKGS    := lua5.4 libpcre2-8 libhs hiredis libcares libevent libevent_openssl libconfig jansson libpsl libidn2 sqlite3 libzstd libarchive zlib openssl \
           libclamav libseccomp
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla $(if $(findstring clang,$(CC)),,-Wno-format-truncation)
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
CFLAGS  := -std=c11 -O2 -g $(WARN) $(HARDEN) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer) \
           $(if $(COV),--coverage)
CPPFLAGS = -D_GNU_SOURCE -DPOLICYD_VERSION='"$(VERSION)"' -DPOLICYD_SHARE='"$(SHARE)"' $(if $(TESTING),-DPOLICYD_TESTING) -I. \
           $(shell pkg-config --cflags $(PKGS))
LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(if $(SAN),-fsanitize=address$(comma)undefined) $(if $(COV),--coverage)
LDLIBS   = $(shell pkg-config --libs $(PKGS)) -lmilter -lunistring -lm

SRC     := $(shell find policyd lua milter quarantine -name '*.c')
MAINS   := policyd/main.c policyd/ctl/main.c
ENGINE  := $(patsubst %.c,$O/%.o,$(filter-out $(MAINS),$(SRC)))
UNIT    := $(shell find tests/unit -name 'test_*.c')
UNITBIN := $(patsubst tests/unit/%.c,$B/unit/%,$(UNIT))

FUZZ    := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
F       := build/fuzz
FUZZFLAGS := $(filter-out -W% -fsanitize=% -D_FORTIFY_SOURCE=2 -O2,$(CFLAGS)) -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_S  ?= 600

.PHONY: all help deps deps-bench model run demo test check fuzz fuzz-build fuzz-short fuzz-replay fuzz-corpus fuzz-coverage unit units rules-test system suites suites-short layers ledger lanes soak bench bench-rules test-import eval-full bench-quarantine bench-mail bench-lessons eval install manual clean cover mutants suites-check bench-policy bench-limits sim sim-outbound
.DEFAULT_GOAL := all

all: $B/policyd $B/policyctl                ## build policyd and policyctl

$B/policyd: $O/policyd/main.o $B/engine.a
	@echo "LD  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$B/policyctl: $O/policyd/ctl/main.o $B/engine.a
	@echo "LD  $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$B/engine.a: $(ENGINE)
	@rm -f $@
	@$(AR) rcs $@ $^
$O/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC  $<"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<
$B/unit/%: tests/unit/%.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -o $@ $< $B/engine.a $(LDFLAGS) $(LDLIBS) -lcmocka

help:                                      ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12
	@echo "SAN=1 before a target: the same under AddressSanitizer and UndefinedBehaviorSanitizer"

deps:                                      ## install what is missing, by package name (apt; sudo where not root)
	@sh tests/deps.sh

model: deps                                ## the starter model (build/model), from an open corpus or CORPUS=INDEX
	@$(MAKE) $(JOBS) --no-print-directory all
	@corpus/model
run: deps                                  ## the whole system on loopback, with sample mail, until Ctrl-C
	@$(MAKE) $(JOBS) --no-print-directory all
	@[ -e build/model/starter.tbl ] || corpus/model || echo "make run: no starter model; the classifier begins empty"
	@python3 tests/demo.py

test: deps                                 ## everything: unit, rules, layers, and system tests with real MTAs
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 SAN=$(SAN) all units
	@$(MAKE) $(JOBS) --no-print-directory SAN=$(SAN) all demo
	@$(MAKE) --no-print-directory TESTING=1 SAN=$(SAN) check
demo: all                                  # what make run shows, by the programs that are installed (no TESTING), and the end
	@POLICYD_BUILD=$(CURDIR)/$B python3 tests/demo.py --once
check: all unit sim rules-test layers fuzz-short suites-short system
units: $(UNITBIN)
unit: $(UNITBIN)
	@for t in $(UNITBIN); do echo "== $$t"; $$t || exit 1; done
rules-test: all
	@$B/policyctl rules test rules | tail -1
layers:
	@sh tests/layers.sh
system: all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B python3 tests/run.py
ledger: deps                               ## 2,000 mails and 1,000 releases while processes are killed: who got what, exactly once
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/build/testing LEDGER_MAILS=2000 LEDGER_RATE=20 QUARANTINE_RELEASES=1000 \
	    python3 tests/run.py tests/system/test_ledger.py tests/system/test_quarantine_faults.py:test_kills

lanes: deps                                ## password resets while 100,000 coupons pass: how long they take, who overtook whom
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/build/testing COUPONS=100000 python3 tests/run.py tests/system/test_lanes.py:test_a_password_reset_does_not_wait_for_coupons
cover: deps                                ## branch coverage of the decision core, which must be 100 %
	@$(MAKE) $(JOBS) --no-print-directory all
	@sh tests/proof/coverage.sh $(CURDIR)/build/engine.a
mutants: deps                              ## one change at a time in the decision core: the tests must notice 95 %
	@$(MAKE) $(JOBS) --no-print-directory all
	@python3 tests/proof/mutants.py $(CURDIR)/build/engine.a

deps-bench: deps                           ## the peers to measure against (unpacked under build/peers) and the corpus
	@sh tests/bench/deps.sh
$B/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread -o $@ $< -lm $(shell pkg-config --libs libclamav)
$B/mailscan: $(wildcard tests/suites/*.c) $B/engine.a
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
suites: deps                               ## hostile and odd mail from several projects: a table of what passes
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 all build$(if $(SAN),/san)/testing/mailscan
	@$(SUDO) env CORPUS=$(CORPUS) POLICYD_BUILD=$(CURDIR)/build$(if $(SAN),/san)/testing python3 -m tests.suites.run
suites-short: all $B/mailscan
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B python3 -m tests.suites.run --short
bench-limits: deps                         ## the policy port with limits on, while DNS is slow for strangers (about 2 minutes)
	@$(MAKE) $(JOBS) --no-print-directory all $B/bench/policyload
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B python3 tests/bench/limits.py
SIM := $B/sim/outbound $B/sim/attack
$B/sim/%: tests/sim/%.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
sim: $(SIM)
	@$B/sim/outbound 1000 30 20 1 | tail -1
	@$B/sim/attack | tail -1
sim-outbound: deps                         ## 30 months of 1,000 accounts, 20 of each stolen; five weeks of incoming mail with attacks
	@$(MAKE) $(JOBS) --no-print-directory $(SIM)
	@sh tests/sim/run.sh $B/sim 30
$B/bench/policytable: tests/bench/policytable.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
bench-policy: deps                         ## a million mailboxes: memory, look-up, import, start (about 3 minutes)
	@$(MAKE) $(JOBS) --no-print-directory all $B/bench/policytable
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B python3 tests/bench/policies.py
$B/mailspeed: tests/bench/mailspeed.c $B/engine.a
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) $$(pkg-config --cflags gmime-3.0) -o $@ $^ $(LDFLAGS) $(LDLIBS) $$(pkg-config --libs gmime-3.0)
bench-mail: deps                           ## speed of reading mail beside GMime: base64, HTML, a typical mail
	@sh tests/bench/deps.sh mail
	@$(MAKE) $(JOBS) --no-print-directory all $B/mailspeed
	@mkdir -p build/bench
	@$B/mailspeed build/bench/mail.json
$B/bench/quarantine: tests/bench/quarantine.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
bench-quarantine: deps                     ## 2.5 million held mails: pages, inserts, expiry (about 20 minutes, 20 GB of disk)
	@$(MAKE) $(JOBS) --no-print-directory all $B/bench/quarantine
	@$(SUDO) python3 tests/bench/quarantine.py
bench: deps-bench                          ## speed beside rspamd, clamav-milter and bare libclamav (about 25 minutes)
	@$(MAKE) $(JOBS) --no-print-directory all $B/bench/milterload $B/bench/policyload $B/bench/bareclam
	@$(SUDO) python3 tests/bench/bench.py
eval: deps-bench                           ## accuracy of the classifier, hits of every rule, on a labelled corpus (CORPUS=INDEX)
	@$(MAKE) $(JOBS) --no-print-directory all
	@sh corpus/eval $$(python3 -m tests.lib.corpus)
bench-lessons: deps-bench                  ## lessons a second through workers, trainer and Redis, with the corpus (CORPUS=INDEX)
	@$(MAKE) $(JOBS) --no-print-directory all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B python3 tests/bench/lessons.py $$(python3 -m tests.lib.corpus)
web-suites: deps                           ## every mail of the hostile suites on the review pages, in a real browser
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/build/testing WEB_SUITES=all python3 tests/run.py tests/system/test_web.py:test_hostile_mails_do_nothing
eval-full: deps-bench                      ## rules and classifier together in five folds, beside SpamAssassin and rspamd (EVERY=8: a part; all: an hour)
	@$(MAKE) $(JOBS) --no-print-directory all
	@sh tests/import/unpack.sh
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/$B corpus/full $$(python3 -m tests.lib.corpus) $(or $(EVERY),1)
bench-rules: deps-bench                    ## what rules cost a mail: 100 and 10,000 patterns, 300 rules in Lua, those we ship
	@$(MAKE) $(JOBS) --no-print-directory all
	@python3 tests/bench/rules.py $$(python3 -m tests.lib.corpus)
manual: deps                               ## build/manual: what rule files may say, as text and man page, and annotations for editors
	@$(MAKE) $(JOBS) --no-print-directory all
	@mkdir -p build/manual && for f in text:rules.md man:policyd-rules.7 luals:policyd.lua luarc:.luarc.json; do \
		$B/policyctl rules doc $${f%%:*} >build/manual/$${f#*:} || exit 1; done; ls -A build/manual
test-import: deps-bench                    ## Debian's SpamAssassin rules, translated, beside SpamAssassin itself (EVERY=1: all mails)
	@$(MAKE) $(JOBS) --no-print-directory all
	@sh tests/import/run.sh $$(python3 -m tests.lib.corpus)
soak: deps                                 ## 1,000 reloads under load, kills: 200 with variants on their way, the store at every write; digests over 30 days
	@$(MAKE) $(JOBS) --no-print-directory TESTING=1 all
	@$(SUDO) env POLICYD_BUILD=$(CURDIR)/build/testing RELOADS=1000 VARIANT_KILLS=200 DIGEST_DAYS=30 STORE_KILLS=25 \
	  python3 tests/run.py tests/system/test_faults.py:test_reloads_under_load tests/system/test_variants.py:test_one_fate_each \
	  tests/system/test_review.py:test_days_with_restarts tests/system/test_store_kills.py

# Objects of clang's own for fuzzing, beside gcc's; replay runs the committed inputs through gcc's build of the targets.
$F/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC  $< (fuzz)"
	@clang $(FUZZFLAGS) -fsanitize=fuzzer-no-link,address,undefined $(CPPFLAGS) -MMD -MP -c -o $@ $<
$F/engine.a: $(ENGINE:$O/%=$F/obj/%)
	@rm -f $@
	@$(AR) rcs $@ $^
$F/fuzz_%: $F/obj/tests/fuzz/fuzz_%.o $F/engine.a
	@echo "LD  $@"
	@clang -fsanitize=fuzzer,address,undefined -pie -o $@ $^ $(LDLIBS)
$B/replay/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -o $@ $^ $(LDFLAGS) $(LDLIBS)
fuzz-build:
	@$(MAKE) $(JOBS) --no-print-directory $(FUZZ:%=$F/%)
fuzz: deps                                 ## every parser of outside bytes under libFuzzer, FUZZ_S=600 seconds a target; then coverage
	@$(MAKE) --no-print-directory fuzz-build
	@sh tests/fuzz/run.sh $F $(FUZZ_S) $(FUZZ)
	@$(MAKE) --no-print-directory fuzz-coverage
fuzz-short:
	@if echo 'int main(void) { return 0; }' | clang -fsanitize=address -x c -o /dev/null - 2>/dev/null; then \
		$(MAKE) --no-print-directory fuzz-build && sh tests/fuzz/run.sh $F 3 $(FUZZ); \
	else $(MAKE) --no-print-directory SAN=1 fuzz-replay; fi
fuzz-replay: $(FUZZ:%=$B/replay/%)
	@sh tests/fuzz/replay.sh $B/replay $(FUZZ)
fuzz-corpus: fuzz-build
	@sh tests/fuzz/merge.sh $F $(FUZZ)
fuzz-coverage: deps                        ## lines of the parsers that the committed inputs of the fuzz targets reach
	@$(MAKE) $(JOBS) --no-print-directory COV=1 $(FUZZ:%=build/cov/replay/%)
	@find build/cov -name '*.gcda' -delete
	@$(MAKE) --no-print-directory COV=1 fuzz-replay
	@sh tests/fuzz/coverage.sh

install: all                               ## into DESTDIR, under PREFIX
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(SHARE)/rules $(DESTDIR)$(SHARE)/lua $(DESTDIR)$(SHARE)/web $(DESTDIR)/etc/policyd
	install -m 755 $B/policyd $B/policyctl $(DESTDIR)$(PREFIX)/sbin
	install -m 644 lua/*.lua $(DESTDIR)$(SHARE)/lua
	install -m 644 rules/*.lua $(DESTDIR)$(SHARE)/rules
	install -m 644 quarantine/web/* $(DESTDIR)$(SHARE)/web
	install -d $(DESTDIR)$(PREFIX)/share/man/man7
	$B/policyctl rules doc man >$(DESTDIR)$(PREFIX)/share/man/man7/policyd-rules.7
	install -d $(DESTDIR)$(SHARE)/dovecot
	install -m 644 etc/dovecot/*.sieve $(DESTDIR)$(SHARE)/dovecot
	[ ! -e build/model/starter.tbl ] || install -m 644 build/model/starter.tbl $(DESTDIR)$(SHARE)
	[ -e $(DESTDIR)/etc/policyd/excluded-names ] || install -m 644 etc/excluded-names $(DESTDIR)/etc/policyd/excluded-names
	[ -e $(DESTDIR)/etc/policyd/policyd.conf ] || install -m 640 etc/policyd.conf $(DESTDIR)/etc/policyd/policyd.conf

clean:                                     ## remove what was built
	rm -rf build/obj build/policyd build/policyctl build/engine.a build/unit build/testing build/san build/fuzz build/cov

-include $(shell find $O $F/obj $B/unit -name '*.d' -type f 2>/dev/null)
