/* fuzz_peer.c - what comes to POST /peer, and what another node answers: as it came, and with a seal that is good (a node of the
 * pool that lies). */
#include "quarantine/review/peer_seal.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t key[CRYPT_KEY] = "the key of a pool of two nodes!";

/* The octets that follow, sealed for `purpose` under a nonce of zeros. */
static struct span
sealed(struct arena *a, struct span purpose, struct span plain)
{
	uint8_t nonce[CRYPT_NONCE] = { 0 };
	char *out = arena_alloc(a, CRYPT_NONCE + plain.n + CRYPT_TAG);

	memcpy(out, nonce, sizeof nonce);
	FUZZ_PROMISE(crypt_seal(key, nonce, purpose, plain, (uint8_t *)out + CRYPT_NONCE));
	return span_make(out, CRYPT_NONCE + plain.n + CRYPT_TAG);
}

static void
open_request(struct span octets, bool good_seal)
{
	uint8_t nonce[CRYPT_NONCE];
	json_t *request = NULL;

	if (peer_open_request(key, octets, nonce, &request))
		FUZZ_PROMISE(good_seal && json_is_object(request));
	json_decref(request);
}

static void
open_reply(struct span octets, bool good_seal)
{
	static const uint8_t asked[CRYPT_NONCE] = { 0 };
	struct buf plain = { 0 };
	json_t *reply = NULL;
	struct span mail;

	if (peer_open_reply(key, asked, octets, &plain, &reply, &mail)) {
		FUZZ_PROMISE(good_seal && json_is_object(reply));
		FUZZ_PROMISE(mail.p >= plain.p + 4 && mail.p + mail.n == plain.p + plain.n);
		fuzz_touch(mail);
	}
	json_decref(reply);
	buf_free(&plain);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char to_question[sizeof "policyd peer reply 1" + CRYPT_NONCE] = "policyd peer reply 1";
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	unsigned way = fuzz_choice(&data, &size);
	struct span octets = fuzz_input(a, data, size);

	switch (way % 4) {
	case 0:
		open_request(octets, false);
		break;
	case 1:
		open_request(sealed(a, SPAN("policyd peer request 1"), octets), true);
		break;
	case 2:
		open_reply(octets, false);
		break;
	default:
		open_reply(sealed(a, span_make(to_question, sizeof to_question), octets), true);
	}
	arena_close(a);
	return 0;
}
