#include "policyd/broker/wanted.h"

#include <stdlib.h>
#include <string.h>

#include "policyd/base/clock.h"
#include "policyd/base/link.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/broker.h"
#include "policyd/broker/transaction.h"
#include "policyd/store/canonical.h"
#include "policyd/store/customers.h"

struct own_wait {
	struct tx *tx;                       /* NULL: it has gone */
	void (*go_on)(struct tx *tx);
};

/* Whom the trainer was asked for lately: a few thousand names by hash; one that shares its place is asked for again. */
static struct {
	uint64_t name;
	int64_t until_ms;
} asked[OWN_ASKED_MOST];

static bool
is_fresh(const char *customer, uint64_t mailbox)
{
	uint64_t name = span_hash(span_of(customer), 11) ^ mailbox;
	int64_t now = clock_ms();
	size_t at = name % OWN_ASKED_MOST;

	if (asked[at].name == name && asked[at].until_ms > now)
		return true;
	asked[at].name = name;
	asked[at].until_ms = now + OWN_FRESH_MS;
	return false;
}

static void
answered(void *arg, struct packet *answer)
{
	struct own_wait *wait = arg;
	struct tx *tx = wait->tx;
	struct unpack u = { answer ? answer->body : SPAN(""), false };

	if (answer == NULL || unpack_u8(&u) != 1) {
		metrics_add(M_CUSTOMERS_UNKNOWN, 1);
		memset(asked, 0, sizeof asked);      /* ask again for the next mail */
	}
	if (tx) {
		tx->own_wait = NULL;
		wait->go_on(tx);
	}
	free(wait);
}

uint64_t
wanted_mailbox(struct broker *b, const struct policy *policy, struct span address)
{
	char base[2 * MAX_ADDRESS + 2];

	if (!policy->mailbox_model || policy->customer[0] == '\0')
		return 0;
	customers_base(b->customers, address, base, sizeof base);
	if (base[0] == '\0')                 /* it has no extension */
		canonical_address(address, base, sizeof base);
	return span_hash(span_of(base), 19) | 1;
}

static void
want(struct buf *names, uint32_t *count, const char *customer, uint64_t mailbox)
{
	if (is_fresh(customer, mailbox))
		return;
	pack_text(names, customer);
	pack_u64(names, mailbox);
	++*count;
}

void
wanted_then(struct tx *tx, void (*go_on)(struct tx *tx))
{
	struct buf names = { 0 }, body = { 0 };
	uint32_t count = 0;

	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		struct recipient *r = &tx->recipients[i];

		r->mailbox = wanted_mailbox(tx->broker, r->policy, span_of(r->raw));
		if (r->policy->own_model && r->policy->customer[0])
			want(&names, &count, r->policy->customer, 0);
		if (r->mailbox)
			want(&names, &count, r->policy->customer, r->mailbox);
	}
	struct own_wait *wait = count ? calloc(1, sizeof *wait) : NULL;

	pack_u32(&body, count);
	buf_add_span(&body, buf_span(&names));
	buf_free(&names);
	if (wait == NULL) {
		buf_free(&body);
		go_on(tx);
		return;
	}
	*wait = (struct own_wait){ tx, go_on };
	tx->own_wait = wait;
	if (!link_ask(tx->broker->trainer, W_WANT, &body, NULL, 0, OWN_WAIT_MS, answered, wait)) {
		tx->own_wait = NULL;
		free(wait);
		go_on(tx);
	}
}

void
wanted_forget(struct own_wait *wait)
{
	if (wait)
		wait->tx = NULL;
}
