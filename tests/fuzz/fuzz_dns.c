/* fuzz_dns.c - what a resolver answers. The packet goes where c-ares hands it to us; hence the file itself. */
#include "policyd/net/dns.c"             /* on_answer is its own */
#include "tests/fuzz/fuzz.h"

static void
done(void *arg, const struct dns_answer *answer)
{
	size_t bytes = 0;

	FUZZ_PROMISE(answer->count <= MAX_DNS_RECORDS && (answer->status == RR_FOUND) == (answer->count > 0));
	FUZZ_PROMISE(answer->ttl_s >= DNS_TTL_LEAST && answer->ttl_s <= DNS_TTL_MOST);
	for (size_t i = 0; i < answer->count; i++)
		for (size_t k = 0; k < answer->at[i].text.n; k++)    /* the sanitizer looks whether it may be read */
			bytes += (unsigned char)answer->at[i].text.p[k];
	*(int *)arg += bytes < SIZE_MAX;
}

/* As an answer to a question of each type. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum rr_type types[] = { RR_A, RR_PTR, RR_MX, RR_TXT, RR_AAAA };
	static struct dns *dns;
	uint8_t *packet = malloc(size + 1);

	memcpy(packet, data, size);
	if (dns == NULL) {                   /* no socket: nothing is sent, an alias not followed */
		dns = calloc(1, sizeof *dns);
		dns->line_last = &dns->line;
		dns->closing = true;
	}
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct question *q = find(dns, types[i], "2.0.0.127.zen.example");
		struct dns_wait *wait = calloc(1, sizeof *wait);
		int told = 0;

		*wait = (struct dns_wait){ .question = q, .done = done, .arg = &told };
		q->waits = wait;
		pending_begin(q);
		dns->in_flight++;
		on_answer(q, ARES_SUCCESS, 0, packet, (int)size);
		FUZZ_PROMISE(told == 1 && dns->in_flight == 0 && !q->pending);
	}
	free(packet);
	return 0;
}
