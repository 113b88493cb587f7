#include "policyd/worker/worker.h"

#include <openssl/sha.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lua/rules.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/model/features.h"
#include "policyd/model/identity.h"
#include "policyd/scan/account.h"
#include "policyd/scan/alike.h"
#include "policyd/scan/rendered.h"
#include "policyd/scan/banned.h"
#include "policyd/scan/rewrite.h"
#include "policyd/scan/strip.h"
#include "policyd/scan/scanned.h"
#include "policyd/scan/stage.h"
#include "policyd/wire.h"
#include "policyd/worker/antivirus.h"
#include "policyd/worker/line.h"

/* Mails that hurt on purpose, for the tests of what happens then; not in any other build. */
#ifdef POLICYD_TESTING
static void
test_triggers(const struct scan *scan)
{
	struct span head = span_head(scan->message.raw, 4096);

	if (span_find(head, SPAN("\nX-Policyd-Test-Crash: yes")) != SPAN_NONE)
		raise(SIGSEGV);
	if (span_find(head, SPAN("\nX-Policyd-Test-Hang: yes")) != SPAN_NONE)
		for (;;)
			pause();
	if (span_find(head, SPAN("\nX-Policyd-Test-Bomb: yes")) != SPAN_NONE)
		for (;;)
			arena_alloc(scan->arena, 1 << 20);
	if (span_find(head, SPAN("\nX-Policyd-Test-Overflow: yes")) != SPAN_NONE) {
		volatile size_t n = 8;       /* for the sanitizers' own test: they must be heard from inside the cage */
		volatile char *p = malloc(n);

		p[n] = 1;
		free((void *)p);
	}
}

static void
test_triggers_after(const struct scan *scan)
{
	if (span_find(span_head(scan->message.raw, 4096), SPAN("\nX-Policyd-Test-Crash: late")) != SPAN_NONE)
		raise(SIGSEGV);
}
#else
static void
test_triggers(const struct scan *scan)
{
	(void)scan;
}

static void
test_triggers_after(const struct scan *scan)
{
	(void)scan;
}
#endif

static void
send_digest(int sock, uint32_t id, const uint8_t digest[32])
{
	struct buf body = { 0 };

	pack_span(&body, span_make(digest, 32));
	send_or_end(sock, W_DIGEST, id, &body);
	buf_free(&body);
}

/* The fields of W_JOB after the kind; false when it is no such packet. */
static bool
unpack_job(struct unpack *u, struct scan *scan, struct rules *rules)
{
	wire_unpack_session(u, &scan->session);
	wire_unpack_envelope(u, &scan->envelope);
	scan->truncated = unpack_u8(u);
	scan->class_count = unpack_u32(u);
	if (u->bad || scan->class_count == 0 || scan->class_count > MAX_RECIPIENTS)
		return false;
	scan->classes = ARENA_ARRAY(scan->arena, struct class_score, scan->class_count);
	for (size_t i = 0; i < scan->class_count; i++) {
		struct span bytes = unpack_span(u);
		uint64_t mailbox = unpack_u64(u);
		struct policy *policy = ARENA_NEW(scan->arena, struct policy);

		if (bytes.n != sizeof *policy)
			return false;
		memcpy(policy, bytes.p, bytes.n);
		scan->classes[i].policy = policy;
		scan->classes[i].mailbox = mailbox;
		scan->classes[i].probability = 0.5;
	}
	if (!line_take_symbols(u, scan))
		return false;
	rules_modes_reset(rules);
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--) {
		char symbol[64];

		unpack_text(u, symbol, sizeof symbol);
		uint8_t mode = unpack_u8(u);

		rules_mode_set(rules, symbol, (enum rule_mode)mode, (int)unpack_u32(u));
	}
	return !u->bad;
}

/* What a lesson needs of one mail; a lesson speaks for or against the rules, too. */
static void
pack_lesson(struct buf *body, struct scan *scan, struct span raw)
{
	struct features features;
	struct identity identity;
	struct alike alike;
	struct buf packed = { 0 };
	uint32_t found = 0;

	scan->message = (struct message){ .raw = raw };
	scan->verdict = (struct verdict){ 0 };
	message_parse(scan->arena, raw, &scan->message);
	stage_rules(scan);
	identity_of(&scan->message, &identity);
	features_extract(scan->arena, &scan->message, &scan->session, &features);
	features_pack(&packed, &features);
	body->failed |= packed.failed;
	pack_span(body, span_make(identity.mail, sizeof identity.mail));
	pack_span(body, span_make(identity.alike, sizeof identity.alike));
	pack_span(body, buf_span(&packed));
	for (size_t i = 0; i < scan->verdict.count; i++)
		found += scan->verdict.at[i].points > 0 || scan->verdict.at[i].held > 0;
	pack_u32(body, found);
	for (size_t i = 0; i < scan->verdict.count; i++)
		if (scan->verdict.at[i].points > 0 || scan->verdict.at[i].held > 0)
			pack_span(body, scan->verdict.at[i].name);
	alike_read(&scan->message, &alike);
	pack_span(body, span_make(&alike, sizeof alike));
	buf_free(&packed);
}

static void
answer_features(int sock, uint32_t id, struct scan *scan)
{
	struct buf body = { 0 };

	pack_u32(&body, 1);
	pack_lesson(&body, scan, scan->message.raw);
	send_or_end(sock, W_FEATURES, id, &body);
	buf_free(&body);
}

/* A mail that somebody forwards as an attachment: message/rfc822, or a file that is called so. */
static bool
is_mail(const struct part *p)
{
	return p->kind == PART_MESSAGE || (p->kind == PART_ATTACHMENT && span_ends_nocase(p->file_name, SPAN(".eml")));
}

/* The mails attached to a report; those attached to them in turn are theirs. */
static void
answer_attached(int sock, uint32_t id, struct scan *scan)
{
	struct span raw = scan->message.raw, mails[MAX_REPORTED];
	struct message report = { .raw = raw };
	struct buf body = { 0 };
	uint32_t count = 0;

	message_parse(scan->arena, raw, &report);
	for (size_t i = 0; i < report.strict_count && count < MAX_REPORTED; i++) {
		int above = report.parts[i].parent;

		while (above >= 0 && !is_mail(&report.parts[above]))
			above = report.parts[above].parent;
		if (above < 0 && i > 0 && is_mail(&report.parts[i]) && report.parts[i].data.n > 0)
			mails[count++] = report.parts[i].data;
	}
	pack_u32(&body, count);
	for (uint32_t i = 0; i < count; i++)
		pack_lesson(&body, scan, mails[i]);
	scan->message.raw = raw;
	send_or_end(sock, W_FEATURES, id, &body);
	buf_free(&body);
}

static void
answer_render(int sock, uint32_t id, struct scan *scan, const uint8_t digest[32])
{
	struct buf body = { 0 };

	test_triggers(scan);
	message_parse(scan->arena, scan->message.raw, &scan->message);
	rendered_pack(&body, scan->arena, &scan->message, digest, scan_guarded_id(scan));
	send_or_end(sock, W_RENDERED, id, &body);
	buf_free(&body);
}

/* The banned files go; where nothing is banned any more (the policy was changed meanwhile) the copy is whole. */
static void
strip_copy(struct arena *a, struct buf *mail, const char *banned, const char *reference)
{
	struct message *msg = ARENA_NEW(a, struct message);
	struct buf without = { 0 };

	message_parse(a, buf_span(mail), msg);
	if (!banned_any(a, msg, banned))
		return;
	if (!strip_mail(a, &without, msg, banned, reference))
		_exit(1);                    /* it could be done when it was scanned: never delivered with what is banned in it */
	buf_free(mail);
	*mail = without;
}

/* A mail of the MTA's queue as one recipient's variant has it. */
static void
answer_variant(int sock, uint32_t id, const struct scan *scan, struct unpack *u)
{
	struct span packed = unpack_span(u), received = unpack_span(u);
	char banned[sizeof scan->classes->policy->banned_types];
	struct packet packet = { .type = W_VARIANT_MADE, .id = id, .fd_count = 1 };
	struct buf out = { 0 }, traces = { 0 }, body = { 0 };
	struct variant v;

	unpack_text(u, banned, sizeof banned);
	if (u->bad || !variant_unpack(&packed, &v))
		_exit(1);
	rewrite_mail(&out, scan->message.raw, &v, received);
	if (v.strip)
		strip_copy(scan->arena, &out, banned, v.reference);
	rewrite_traces(&traces, scan->message.raw);
	pack_span(&body, buf_span(&traces));
	packet.body = buf_span(&body);
	packet.fds[0] = out.failed || traces.failed || body.failed ? -1 : memfd_sealed("variant", buf_span(&out));
	if (packet.fds[0] < 0 || ipc_send(sock, &packet) != IPC_OK)
		_exit(1);
	close(packet.fds[0]);
	buf_free(&out);
	buf_free(&traces);
	buf_free(&body);
}

/* A virus, a limit, a rule out of hand: this process has run what it should not trust itself after. */
static bool
must_retire(const struct verdict *v)
{
	return (v->classes & (CLASS_VIRUS | CLASS_UNSCANNABLE)) != 0 || verdict_find(v, SPAN("RULE_FAILED")) != NULL;
}

static void
answer_scan(int sock, uint32_t id, struct scan *scan, const uint8_t digest[32], bool explain, bool last, bool *retire)
{
	int64_t start_us = clock_cpu_us();
	struct buf body = { 0 };

	test_triggers(scan);
	pipeline_run(scan);
	test_triggers_after(scan);
	if (explain) {
		account_pack(&body, &scan->message);
		send_or_end(sock, W_ACCOUNT, id, &body);
		buf_free(&body);
		body = (struct buf){ 0 };
	}
	*retire = last || must_retire(&scan->verdict);
	metrics_add(M_SCANS, 1);
	metrics_add(M_SCAN_US, clock_cpu_us() - start_us);
	metrics_add(M_SCAN_BYTES, (int64_t)scan->message.raw.n);
	scanned_pack(&body, scan, digest, (uint64_t)(clock_cpu_us() - start_us), *retire);
	send_or_end(sock, W_SCANNED, id, &body);
	buf_free(&body);
}

/* One job. False: end this process (the answer, if any, has gone out). */
static bool
run_job(int sock, struct inbox *inbox, struct packet *packet, const struct kit *kit, struct arena *arena, bool last)
{
	struct line line;
	struct scan *scan = ARENA_NEW(arena, struct scan);
	struct unpack u = { packet->body, false };
	enum job kind = unpack_u8(&u);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	bool retire = false;

	scan->arena = arena;
	scan->kit = kit;
	line_open(&line, sock, packet->id, inbox, arena);
	scan->asker = kind == JOB_SCAN || kind == JOB_EXPLAIN ? &line.asker : NULL;
	scan->deadline_ms = clock_ms() + kit->config->scan_timeout_ms;
	if (packet->fd_count < 1 || !unpack_job(&u, scan, kit->rules))
		return false;
	scan->message.raw = map_fd(packet->fds[0]);
	if (scan->message.raw.p == NULL)
		return false;
	antivirus_lend(kit->antivirus, packet->fd_count > 1 ? packet->fds[1] : -1);
	SHA256((const unsigned char *)scan->message.raw.p, scan->message.raw.n, digest);
	send_digest(sock, packet->id, digest);
	if (kind == JOB_FEATURES)
		answer_features(sock, packet->id, scan);
	else if (kind == JOB_ATTACHED)
		answer_attached(sock, packet->id, scan);
	else if (kind == JOB_RENDER)
		answer_render(sock, packet->id, scan, digest);
	else if (kind == JOB_VARIANT)
		answer_variant(sock, packet->id, scan, &u);
	else
		answer_scan(sock, packet->id, scan, digest, kind == JOB_EXPLAIN, last, &retire);
	unmap(scan->message.raw);
	packet_close_fds(packet);
	return !retire;
}

void
worker_run(int sock, const struct kit *kit)
{
	struct inbox inbox = { 0 };
	struct arena *arena = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(arena);

	for (int done = 0; done < MAX_WORKER_MAILS; done++) {
		struct packet packet;

		do {
			if (ipc_recv(sock, &inbox, &packet) != IPC_OK)
				_exit(0);
		} while (packet.type == W_FOUND || packet.type == W_TOLD);    /* too late for the mail before */
		if (packet.type != W_JOB)
			break;
		if (!run_job(sock, &inbox, &packet, kit, arena, done + 1 == MAX_WORKER_MAILS))
			break;
		arena_rewind(arena, start);
	}
	_exit(0);
}
