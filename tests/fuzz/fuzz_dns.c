/* fuzz_dns.c - what a resolver answers. The packet goes where c-ares hands it to us; hence the file itself. */
#include "policyd/net/dns.c"             /* on_answer is its own */
#include "tests/fuzz/fuzz.h"

static void
done(void *arg, const struct dns_answer *answer)
{
	FUZZ_PROMISE(answer->count <= MAX_DNS_ANSWERS && (answer->result == DNS_FOUND) == (answer->count > 0));
	FUZZ_PROMISE(answer->ttl_s >= DNS_TTL_LEAST && answer->ttl_s <= DNS_TTL_MOST);
	++*(int *)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct dns *dns;
	uint8_t *packet = malloc(size + 1);
	int told = 0;

	if (dns == NULL) {                   /* no socket: nothing is sent */
		dns = calloc(1, sizeof *dns);
		dns->line_last = &dns->line;
	}
	struct question *q = find(dns, "2.0.0.127.zen.example");
	struct dns_wait *wait = calloc(1, sizeof *wait);

	*wait = (struct dns_wait){ .question = q, .done = done, .arg = &told };
	q->waits = wait;
	pending_begin(q);
	dns->in_flight++;
	memcpy(packet, data, size);
	on_answer(q, ARES_SUCCESS, 0, packet, (int)size);
	FUZZ_PROMISE(told == 1 && dns->in_flight == 0 && !q->pending);
	free(packet);
	return 0;
}
