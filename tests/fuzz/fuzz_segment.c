/* fuzz_segment.c - a segment file of the quarantine that a disk has had its way with: whole records between torn ones, flipped
 * octets, rubbish, records of a later version. Every whole one is found, once and in order, whatever stands beside it; what a
 * record says (it may have been sealed by another version) is read in bounds. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "quarantine/store/store.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS = 64, PIECE = 256 };

static struct segments *segments;
static const struct key *key;
static char dir[] = "/tmp/fuzz-segment-XXXXXX";

static void
remove_dir(void)
{
	char path[64];

	snprintf(path, sizeof path, "%s/keys/00000001.key", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/keys", dir);
	rmdir(path);
	snprintf(path, sizeof path, "%s/20240102-0014-0000.seg", dir);
	unlink(path);
	rmdir(dir);
}

static void
set_up(void)
{
	static const struct key fixed = { .id = 1, .customer = "acme", .bytes = "a key that all inputs are seal" };
	char why[256];

	FUZZ_PROMISE(mkdtemp(dir) != NULL);
	atexit(remove_dir);
	segments = segments_open(dir, why, sizeof why);
	FUZZ_PROMISE(segments && keys_add(segments_keys(segments), &fixed, why, sizeof why));
	key = keys_find(segments_keys(segments), 1);
}

struct made {
	struct buf file;
	uint64_t whole[RECORDS], later[RECORDS];     /* seq of whole records; where those of a later version stand */
	size_t count, later_count;
};

static struct span
take(const uint8_t **data, size_t *size)
{
	size_t n = fuzz_choice(data, size);

	n = n < *size ? n : *size;
	struct span piece = span_make((const char *)*data, n);

	*data += n;
	*size -= n;
	return piece;
}

static void
add_piece(struct made *m, unsigned op, const uint8_t **data, size_t *size, uint64_t seq)
{
	struct span meta = take(data, size), body = take(data, size);
	struct record r = { .type = op & 8 ? SEG_STATE : SEG_MAIL, .seq = seq, .time_ms = 1704200000000, .meta = meta };
	size_t start = m->file.n;
	char why[256];

	if ((op & 7) == 3) {                 /* rubbish */
		buf_add_span(&m->file, meta);
		return;
	}
	FUZZ_PROMISE(record_build(&r, body, key, &m->file, why, sizeof why));
	size_t length = m->file.n - start;

	switch (op & 7) {
	case 4:                              /* torn */
		m->file.n = start + body.n * length / PIECE;
		break;
	case 5:                              /* an octet is another one */
		m->file.p[start + body.n * length / PIECE] ^= (char)(1 << (op >> 4 & 7));
		break;
	case 6:                              /* of a later version */
		m->file.p[start + 4] = 9;
		m->later[m->later_count++] = start;
		break;
	default:
		m->whole[m->count++] = seq;
	}
}

/* Rubbish that claims to be of a later version may hide what follows it: that is what such a claim means. */
static bool
claims_too_much(const struct made *m)
{
	static const uint32_t magic = RECORD_MAGIC;
	size_t k = 0;

	for (size_t at = 0; at + RECORD_HEAD <= m->file.n; at++) {
		if (memcmp(m->file.p + at, &magic, 4) != 0 || (m->file.p[at + 4] <= RECORD_VERSION && m->file.p[at + 5] == 0 && m->file.p[at + 4] >= 0))
			continue;
		while (k < m->later_count && m->later[k] < at)
			k++;
		if (k == m->later_count || m->later[k] != at)
			return true;
	}
	return false;
}

static void
read_record(struct arena *a, const struct record *r)
{
	struct unpack u = { r->meta, false };
	struct stored_meta meta;
	struct stored_change change;
	struct buf mail = { 0 };
	char why[256];

	if (stored_unpack(&u, a, &meta))
		for (uint32_t i = 0; i < meta.request.recipient_count; i++)
			fuzz_touch(meta.request.recipients[i].address);
	if (stored_unpack_change(r->meta, &change))
		FUZZ_PROMISE(memchr(change.actor, '\0', sizeof change.actor) && change.to.state < STATE__COUNT);
	if (record_unpack(r, &mail, why, sizeof why))
		FUZZ_PROMISE(mail.n == r->size);
	buf_free(&mail);
}

static void
walk(struct arena *a, const struct made *m)
{
	static const char name[] = "20240102-0014-0000.seg";
	char path[64];
	struct buf bytes = { 0 };
	struct record record;
	uint64_t at = 0, next;
	size_t found = 0;
	int result;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	FUZZ_PROMISE(fd >= 0 && write(fd, m->file.p ? m->file.p : "", m->file.n) == (ssize_t)m->file.n);
	close(fd);
	while ((result = segments_next(segments, name, at, &bytes, &record, &next)) != 0) {
		FUZZ_PROMISE(next > at && next <= m->file.n);
		if (result > 0) {
			FUZZ_PROMISE(found < m->count && record.seq == m->whole[found]);
			found++;
			read_record(a, &record);
		}
		at = next;
	}
	FUZZ_PROMISE(found == m->count);
	buf_free(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct made m = { 0 };

	if (segments == NULL)
		set_up();
	if (fuzz_choice(&data, &size) & 1) {         /* a body that claims a size */
		struct record r = { .size = fuzz_choice(&data, &size) * 1000u, .body = fuzz_input(a, data, size) };

		read_record(a, &r);
	} else {
		for (uint64_t seq = 1; size > 0 && seq <= RECORDS; seq++)
			add_piece(&m, fuzz_choice(&data, &size), &data, &size, seq);
		if (!claims_too_much(&m))
			walk(a, &m);
	}
	buf_free(&m.file);
	arena_close(a);
	return 0;
}
