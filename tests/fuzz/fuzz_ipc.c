/* fuzz_ipc.c - packets between our processes: a worker that a mail has taken over sends what it likes. */
#include "policyd/model/features.h"
#include "policyd/scan/account.h"
#include "policyd/scan/question.h"
#include "policyd/scan/scanned.h"
#include "policyd/wire.h"
#include "tests/fuzz/fuzz.h"

static void
unpack_all(struct arena *a, unsigned kind, struct unpack *u)
{
	struct scanned scanned;
	struct session session;
	struct envelope envelope;
	struct symbol symbol;
	struct store_request request;
	struct features features;
	char text[40];

	switch (kind % 9) {
	case 0:
		if (scanned_unpack(u, &scanned)) {
			for (uint32_t i = 0; i < scanned.symbol_count; i++) {
				fuzz_touch(scanned.symbols[i].name);
				fuzz_touch(scanned.symbols[i].evidence);
			}
			fuzz_touch(scanned.subject);
			fuzz_touch(scanned.subject_raw);
			scanned_free(&scanned);
		}
		break;
	case 1:
		wire_unpack_session(u, &session);
		wire_unpack_envelope(u, &envelope);
		break;
	case 2:
		wire_unpack_symbol(u, &symbol);
		fuzz_touch(symbol.name);
		fuzz_touch(symbol.evidence);
		break;
	case 3:
		if (wire_unpack_store(u, a, &request))
			for (uint32_t i = 0; i < request.recipient_count; i++)
				fuzz_touch(request.recipients[i].raw);
		break;
	case 4:
		if (features_unpack(u->left, a, &features))
			for (uint32_t i = 0; i < features.words.count; i++)
				fuzz_touch(span_make(&features.words.hash[i], sizeof(uint32_t)));
		break;
	case 5: {
		static struct account account;

		if (account_unpack(u, &account)) {
			FUZZ_PROMISE(account.part_count <= ACCOUNT_MOST && account.link_count <= ACCOUNT_MOST && account.note_count <= NOTE__COUNT);
			for (uint32_t i = 0; i < account.entry_count; i++)
				fuzz_touch(account.entries[i].name);
			for (uint32_t i = 0; i < account.link_count; i++)
				fuzz_touch(account.links[i].shown);
		}
		break;
	}
	case 7: {
		struct question question;

		for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--) {
			question_unpack(u, &question);
			fuzz_touch(question.name);
			fuzz_touch(question.field);
			fuzz_touch(question.customer);
		}
		break;
	}
	case 8: {
		struct rr_answer answer;

		while (!u->bad) {
			answer_unpack(u, a, &answer);
			FUZZ_PROMISE(answer.status <= RR_UNKNOWN && (answer.status == RR_FOUND) == (answer.count > 0));
			for (size_t i = 0; i < answer.count; i++)
				fuzz_touch(answer.at[i].text);
			if (answer.status == RR_UNKNOWN)
				break;
		}
		break;
	}
	default:
		unpack_u8(u);
		unpack_u32(u);
		unpack_u64(u);
		unpack_f64(u);
		fuzz_touch(unpack_span(u));
		unpack_text(u, text, sizeof text);
		FUZZ_PROMISE(memchr(text, '\0', sizeof text) != NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	unsigned kind = fuzz_choice(&data, &size);
	struct unpack u = { fuzz_input(a, data, size), false };

	unpack_all(a, kind, &u);
	arena_close(a);
	return 0;
}
