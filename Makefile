# policyd: build, set-up, tests and measurements. `make help` lists the targets.
#
# Every policyd/main.c and policyd/ctl/main.c is a program, all else is the engine.
# Objects lie in $B/obj, programs in $B; SAN=1 builds the same beside itself under ASan and UBSan.
# TESTING=1 (always on for `make test`) builds beside that again, with the test triggers compiled in.

comma   := ,
CC      ?= cc
B       := build$(if $(SAN),/san)$(if $(TESTING),/testing)
O       := $B/obj
PREFIX  ?= /usr/local
SYSCONF ?= /etc
VERSION := $(shell cat VERSION)

PKGS    := lua5.4 libpcre2-8 hiredis libcares libevent libevent_openssl libconfig jansson libpsl libidn2 \
           sqlite3 libzstd libarchive openssl libclamav libseccomp
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wno-format-truncation
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
CFLAGS  := -std=c11 -O2 -g $(WARN) $(HARDEN) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
CPPFLAGS = -D_GNU_SOURCE -DPOLICYD_VERSION='"$(VERSION)"' $(if $(TESTING),-DPOLICYD_TESTING) -I. $(shell pkg-config --cflags $(PKGS))
LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(if $(SAN),-fsanitize=address$(comma)undefined)
LDLIBS   = $(shell pkg-config --libs $(PKGS)) -lmilter -lunistring -lopendkim -lm -ldl

SRC     := $(shell find policyd lua milter quarantine -name '*.c')
MAINS   := policyd/main.c policyd/ctl/main.c
ENGINE  := $(patsubst %.c,$O/%.o,$(filter-out $(MAINS),$(SRC)))
UNIT    := $(shell find tests/unit -name 'test_*.c')
UNITBIN := $(patsubst tests/unit/%.c,$B/unit/%,$(UNIT))

.PHONY: all unit clean
all: $B/policyd $B/policyctl

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

# One program per tests/unit/**/test_*.c (cmocka); `make unit` runs them all.
$B/unit/%: tests/unit/%.c $B/engine.a
	@mkdir -p $(@D)
	@echo "LD  $@"
	@$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -o $@ $< $B/engine.a $(LDFLAGS) $(LDLIBS) -lcmocka
unit: $(UNITBIN)
	@for t in $(UNITBIN); do echo "== $$t"; $$t || exit 1; done

clean:
	rm -rf build

-include $(shell find $B -name '*.d' 2>/dev/null)
