/* quarantine.c - for make bench-quarantine:
 *
 *   quarantine load STATE ENTRIES DAYS DAY  the share of one day (0: it has just expired; then the last DAYS - 1, oldest
 *                                           first) straight into segments and index
 *   quarantine expire STATE                 how long the store stands still when a day expires, and when its rows have gone
 *   quarantine insert SOCKET SECONDS RATE BYTES   as the broker does it: so many a second (0: as fast as it goes)
 *
 * Each prints one line of JSON. Mails are of our own making: 20,000 mailboxes of 500 customers, one of them with every
 * twenty-fifth mail; words of a fixed dice. */
#include <fcntl.h>
#include <math.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "quarantine/store/store.h"

enum { CUSTOMERS = 500, MAILBOXES = 20000, DAY_S = 86400, RETENTION = 14, FLIGHT = 64, BATCH = 1000 };

static uint64_t dice = 88172645463325252u;

static uint64_t
roll(uint64_t sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % sides;
}

static void
add_words(struct buf *b, size_t bytes)
{
	static const char *const words[] = { "invoice", "offer", "click", "account", "meeting", "quarterly", "unsubscribe", "now", "price",
	    "delivery", "parcel", "winner", "review", "the", "and", "of", "your", "report", "bank", "love" };
	size_t end = b->n + bytes;

	while (b->n < end) {
		if (roll(4) == 0)            /* what does not compress */
			buf_printf(b, "%016llx", (unsigned long long)roll(UINT64_MAX));
		else
			buf_printf(b, "%s%s", words[roll(20)], roll(12) ? " " : "\r\n");
	}
	buf_add_span(b, SPAN("\r\n"));
}

struct made {                                /* one mail to be stored */
	struct store_request request;
	struct store_recipient recipient;
	char address[64], customer[32], from[96], subject[96], message_id[96], symbols[512];
	struct buf mail;
};

static void
make(struct made *m, uint64_t n, int64_t time_s, size_t bytes)
{
	static const char *const classes[] = { "spam", "spam", "spam", "spam", "bulk", "phish", "virus", "banned" };
	uint64_t box = roll(25) ? roll(MAILBOXES) : 0, customer = box % CUSTOMERS, sender = roll(100000);
	double points = 7 + (double)roll(800) / 100;

	snprintf(m->customer, sizeof m->customer, "customer%03u", (unsigned)customer);
	snprintf(m->address, sizeof m->address, "user%05u@c%03u.example", (unsigned)box, (unsigned)customer);
	snprintf(m->from, sizeof m->from, "Sender %u <s%u@from%u.example>", (unsigned)sender, (unsigned)sender, (unsigned)(sender % 5000));
	snprintf(m->subject, sizeof m->subject, "%s %08llx", roll(3) ? "Your parcel is waiting" : "Invoice overdue", (unsigned long long)roll(1u << 31));
	snprintf(m->message_id, sizeof m->message_id, "<%llu.%llx@from.example>", (unsigned long long)n, (unsigned long long)roll(UINT64_MAX));
	snprintf(m->symbols, sizeof m->symbols, "[{\"name\": \"BAYES\", \"points\": %.2f, \"evidence\": \"\"}, {\"name\": \"URIBL_DBL\", \"points\": 3.5,"
	    " \"evidence\": \"from%u.example\"}, {\"name\": \"REPLYTO_FREEMAIL\", \"points\": 1.5, \"evidence\": \"x@free.example\"}]", points - 5,
	    (unsigned)(sender % 5000));
	m->recipient = (struct store_recipient){ .raw = span_of(m->address), .address = span_of(m->address), .customer = span_of(m->customer),
	    .points = points, .tag = 4, .quarantine = 7, .discard = HUGE_VAL, .retention_days = RETENTION };
	m->request = (struct store_request){ .time_s = time_s, .class_name = span_of(classes[roll(8)]), .message_id = span_of(m->message_id),
	    .from = span_of(m->from), .subject = span_of(m->subject), .symbols = span_of(m->symbols), .recipients = &m->recipient,
	    .recipient_count = 1 };
	ip_parse(SPAN("198.51.100.7"), &m->request.session.client);
	snprintf(m->request.session.helo, sizeof m->request.session.helo, "mx%u.from.example", (unsigned)(sender % 5000));
	snprintf(m->request.envelope.sender, sizeof m->request.envelope.sender, "bounce-%u@from%u.example", (unsigned)sender, (unsigned)(sender % 5000));
	snprintf(m->request.envelope.queue_id, sizeof m->request.envelope.queue_id, "4%012llX", (unsigned long long)n);
	buf_clear(&m->mail);
	buf_printf(&m->mail, "From: %s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: %s\r\n\r\n", m->from, m->address, m->subject, m->message_id);
	add_words(&m->mail, bytes);
	m->request.size = m->mail.n;
	SHA256((const unsigned char *)m->mail.p, m->mail.n, m->request.digest);
}

static int
give_up(const char *why)
{
	fprintf(stderr, "quarantine: %s\n", why);
	exit(1);
}

static void
open_store(struct store *s, const char *state)
{
	static struct config config;
	static struct child child = { .name = "bench", .config = &config };
	char path[PATH_ROOM + 64], why[512];

	snprintf(config.state, sizeof config.state, "%s", state);
	mkdir(state, 0711);
	snprintf(path, sizeof path, "%s/quarantine", state);
	mkdir(path, 0700);
	*s = (struct store){ .self = &child, .last = &s->first, .last_release = &s->releases, .arena = arena_open(256 << 20) };
	s->segments = segments_open(path, why, sizeof why);
	if (s->segments == NULL)
		give_up(why);
	snprintf(path, sizeof path, "%s/quarantine/index.sqlite", state);
	s->index = index_open(path, why, sizeof why);
	if (s->index == NULL)
		give_up(why);
	s->seq = index_last_seq(s->index);
}

static int
load(const char *state, uint64_t entries, int days, int day)
{
	struct store s;
	struct made m = { 0 };
	uint64_t share = entries / (uint64_t)days, bytes = 0;
	int64_t start = clock_ms(), today = wall_s() / DAY_S, first = (today - (day == 0 ? RETENTION + 1 : days - 1 - day)) * DAY_S;
	int64_t most = day == days - 1 ? wall_s() - first : DAY_S;
	char why[256];

	dice ^= (uint64_t)day * 0x9e3779b97f4a7c15u;
	open_store(&s, state);
	for (uint64_t i = 0; i < share; i++) {
		struct stored stored = { 0 };

		if (i % BATCH == 0)
			index_begin(s.index);
		make(&m, (uint64_t)day * share + i, first + (int64_t)(i * (uint64_t)most / share), 1000 + roll(1000));
		if (!store_mail(&s, &m.request, buf_span(&m.mail), &stored, why, sizeof why))
			give_up(why);
		free(stored.ids);
		bytes += m.mail.n;
		if (i % BATCH == BATCH - 1)
			index_commit(s.index);
	}
	index_commit(s.index);
	if (!segments_sync(s.segments, why, sizeof why))
		give_up(why);
	index_close(s.index);
	segments_close(s.segments);
	printf("{\"entries\": %llu, \"mail_bytes\": %llu, \"seconds\": %.1f}\n", (unsigned long long)share, (unsigned long long)bytes,
	    (double)(clock_ms() - start) / 1000);
	return 0;
}

static int
expire(const char *state)
{
	struct store s;

	open_store(&s, state);
	int64_t before = sql_number(index_sql(s.index), "SELECT total(mails) FROM owned", ""), start = clock_us();

	store_expire(&s);
	int64_t stands_still = clock_us() - start, longest = stands_still, rounds = 1, left;

	start = clock_us();
	while (sql_number(index_sql(s.index), "SELECT count(*) FROM segment WHERE dropped=1", "") > 0 ||
	    (left = sql_number(index_sql(s.index), "SELECT count(*) FROM (SELECT 1 FROM rcpt WHERE state IN (0, 5, 6) AND expires_s<? LIMIT 1)", "i", wall_s())) > 0) {
		int64_t from = clock_us();

		store_expire(&s);
		longest = clock_us() - from > longest ? clock_us() - from : longest;
		rounds++;
	}
	printf("{\"files_ms\": %.1f, \"longest_round_ms\": %.1f, \"rounds\": %lld, \"rows\": %lld, \"rows_seconds\": %.1f}\n",
	    (double)stands_still / 1000, (double)longest / 1000, (long long)rounds,
	    (long long)(before - sql_number(index_sql(s.index), "SELECT total(mails) FROM owned", "")), (double)(clock_us() - start) / 1e6);
	index_close(s.index);
	segments_close(s.segments);
	return 0;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int
insert(const char *socket, int seconds, double rate, size_t bytes)
{
	static struct inbox inbox;
	int64_t sent_us[FLIGHT], start = clock_us(), *took = calloc(1 << 22, sizeof *took);
	uint64_t sent = 0, done = 0, failed = 0, stored_bytes = 0;
	struct made made[16] = { 0 };
	int sock = ipc_connect(socket);
	struct buf body = { 0 };
	bool busy[FLIGHT] = { false };

	if (sock < 0 || took == NULL)
		give_up("no store there");
	for (int i = 0; i < 16; i++)         /* made before, so that only what stores is measured; each has its own header */
		make(&made[i], roll(1u << 30), wall_s(), bytes);
	while (done < sent || clock_us() - start < seconds * (int64_t)1000000) {
		bool more = clock_us() - start < seconds * (int64_t)1000000 && (rate <= 0 || (double)sent < rate * (double)(clock_us() - start) / 1e6);
		uint32_t slot = 0;

		while (slot < FLIGHT && busy[slot])
			slot++;
		if (more && slot < FLIGHT) {
			struct made *m = &made[sent % 16];
			char id[32];

			snprintf(id, sizeof id, "%031llu", (unsigned long long)sent + 1);
			memcpy(m->mail.p + 7, id + 20, 11);           /* no two bodies and digests alike */
			memcpy(m->mail.p + m->mail.n / 2, id + 20, 11);
			SHA256((const unsigned char *)m->mail.p, m->mail.n, m->request.digest);
			m->request.time_s = wall_s();
			wire_pack_store(&body, &m->request);
			int fd = memfd_sealed("bench", buf_span(&m->mail));
			struct packet packet = { .type = W_STORE, .id = slot, .body = buf_span(&body), .fds = { fd }, .fd_count = 1 };

			if (fd < 0 || ipc_send_wait(sock, &packet, 10000) != IPC_OK)
				give_up("the store went away");
			close(fd);
			buf_clear(&body);
			busy[slot] = true;
			sent_us[slot] = clock_us();
			sent++;
			stored_bytes += m->mail.n;
			if (slot + 1 < FLIGHT)
				continue;
		}
		struct packet packet;
		enum ipc_result result = ipc_recv_wait(sock, &inbox, &packet, 1);

		if (result == IPC_CLOSED)
			give_up("the store went away");
		if (result == IPC_OK && packet.id < FLIGHT && busy[packet.id]) {
			failed += packet.type != W_STORED;
			if (done < 1 << 22)
				took[done] = clock_us() - sent_us[packet.id];
			done++;
			busy[packet.id] = false;
		}
	}
	double s = (double)(clock_us() - start) / 1e6;
	size_t kept = done < 1 << 22 ? done : 1 << 22;

	qsort(took, kept, sizeof *took, by_value);
	printf("{\"stored\": %llu, \"failed\": %llu, \"seconds\": %.1f, \"per_second\": %.0f, \"mb_per_second\": %.1f, \"p50_ms\": %.1f, \"p99_ms\": %.1f,"
	    " \"longest_ms\": %.1f}\n", (unsigned long long)(done - failed), (unsigned long long)failed, s, (double)(done - failed) / s,
	    (double)stored_bytes / 1e6 / s, (double)took[kept / 2] / 1000, (double)took[kept * 99 / 100] / 1000, (double)took[kept - 1] / 1000);
	free(took);
	buf_free(&body);
	close(sock);
	return failed != 0;
}

int
main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "load") == 0)
		return load(argv[2], strtoull(argv[3], NULL, 10), atoi(argv[4]), atoi(argv[5]));
	if (argc == 3 && strcmp(argv[1], "expire") == 0)
		return expire(argv[2]);
	if (argc == 6 && strcmp(argv[1], "insert") == 0)
		return insert(argv[2], atoi(argv[3]), atof(argv[4]), strtoull(argv[5], NULL, 10));
	fprintf(stderr, "usage: quarantine load STATE ENTRIES DAYS DAY | expire STATE | insert SOCKET SECONDS RATE BYTES\n");
	return 2;
}
