#include "quarantine/store/index.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"

const char *const entry_state_names[STATE__COUNT] = {
	[STATE_NEW] = "new", [STATE_RELEASING] = "releasing", [STATE_RELEASED] = "released", [STATE_DELETED] = "deleted",
	[STATE_EXPIRED] = "expired", [STATE_SEEN] = "seen", [STATE_REQUESTED] = "requested",
};
const char *const entry_vote_names[VOTE__COUNT] = { [VOTE_NONE] = "", [VOTE_HAM] = "ham", [VOTE_SPAM] = "spam" };

struct index {
	struct sql *db;
	char path[1100];
};

enum { SCHEMA_VERSION = 5, DAY_S = 86400, BODY_KEY = 16 };

/* rcpt carries what lists are filtered by, so that a page is one walk down one index; the rest of an entry is one look-up. */
static const char schema[] =
	"CREATE TABLE IF NOT EXISTS mail(id TEXT PRIMARY KEY, seq INTEGER, time_s INTEGER, segment TEXT, offset INTEGER,"
	" length INTEGER, size INTEGER, client TEXT, helo TEXT, sender TEXT, class TEXT, message_id TEXT, header_from TEXT,"
	" subject TEXT, symbols TEXT, digest BLOB, queue_id TEXT, count INTEGER, customer TEXT, body BLOB, allow TEXT) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS mail_body ON mail(body) WHERE body<>x'';"
	"CREATE INDEX IF NOT EXISTS mail_segment ON mail(segment);"
	"CREATE INDEX IF NOT EXISTS mail_message_id ON mail(message_id);"
	"CREATE INDEX IF NOT EXISTS mail_queue_id ON mail(queue_id);"
	"CREATE TABLE IF NOT EXISTS rcpt(id TEXT, n INTEGER, time_s INTEGER, raw TEXT, address TEXT, domain TEXT, customer TEXT,"
	" class TEXT, mode INTEGER, points REAL, tag REAL, quarantine REAL, discard REAL, state INTEGER, before INTEGER,"
	" vote INTEGER, changed_s INTEGER, actor TEXT, note TEXT, change_seq INTEGER, taught INTEGER, retention INTEGER, expires_s INTEGER,"
	" PRIMARY KEY(id, n)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS rcpt_address ON rcpt(address, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_domain ON rcpt(domain, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_customer ON rcpt(customer, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_time ON rcpt(time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_expires ON rcpt(expires_s) WHERE state IN (0, 5, 6);"
	"CREATE INDEX IF NOT EXISTS rcpt_waiting ON rcpt(state, time_s) WHERE state IN (1, 6);"
	"CREATE INDEX IF NOT EXISTS rcpt_lessons ON rcpt(changed_s) WHERE vote<>taught;"
	"CREATE INDEX IF NOT EXISTS rcpt_wanted ON rcpt(time_s) WHERE state=2 OR vote=1;"
	"CREATE TABLE IF NOT EXISTS daily(day INTEGER, customer TEXT, class TEXT, stored INTEGER, released INTEGER,"
	" requested INTEGER, deleted INTEGER, expired INTEGER, ham INTEGER, spam INTEGER, bytes INTEGER,"
	" PRIMARY KEY(day, customer, class)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS held(customer TEXT, state INTEGER, entries INTEGER, PRIMARY KEY(customer, state)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS owned(customer TEXT PRIMARY KEY, mails INTEGER, bytes INTEGER) WITHOUT ROWID;"
	"CREATE TRIGGER IF NOT EXISTS rcpt_in AFTER INSERT ON rcpt BEGIN"
	" INSERT INTO held VALUES(new.customer, new.state, 1) ON CONFLICT DO UPDATE SET entries=entries+1; END;"
	"CREATE TRIGGER IF NOT EXISTS rcpt_moved AFTER UPDATE OF state ON rcpt WHEN old.state<>new.state BEGIN"
	" UPDATE held SET entries=entries-1 WHERE customer=old.customer AND state=old.state;"
	" INSERT INTO held VALUES(new.customer, new.state, 1) ON CONFLICT DO UPDATE SET entries=entries+1; END;"
	"CREATE TRIGGER IF NOT EXISTS rcpt_out AFTER DELETE ON rcpt BEGIN"
	" UPDATE held SET entries=entries-1 WHERE customer=old.customer AND state=old.state; END;"
	"CREATE TRIGGER IF NOT EXISTS mail_in AFTER INSERT ON mail BEGIN"
	" INSERT INTO owned VALUES(new.customer, 1, new.length) ON CONFLICT DO UPDATE SET mails=mails+1, bytes=bytes+new.length; END;"
	"CREATE TRIGGER IF NOT EXISTS mail_out AFTER DELETE ON mail BEGIN"
	" UPDATE owned SET mails=mails-1, bytes=bytes-old.length WHERE customer=old.customer; END;"
	"CREATE TABLE IF NOT EXISTS segment(name TEXT PRIMARY KEY, done INTEGER, damaged INTEGER, dropped INTEGER) WITHOUT ROWID;";

struct index *
index_open(const char *path, char *why, size_t room)
{
	struct index *x = calloc(1, sizeof *x);

	if (x == NULL || (x->db = sql_open_anew(path, schema, SCHEMA_VERSION, why, room)) == NULL) {
		free(x);
		return NULL;
	}
	snprintf(x->path, sizeof x->path, "%s", path);
	return x;
}

void
index_close(struct index *x)
{
	if (x)
		sql_close(x->db);
	free(x);
}

struct sql *
index_sql(struct index *x)
{
	return x->db;
}

bool
index_trouble(struct index *x)
{
	return sql_trouble(x->db);
}

bool
index_damaged(const struct index *x)
{
	return sql_damaged(x->db);
}

void
index_discard(const struct index *x)
{
	sql_remove(x->path);
}

bool
index_begin(struct index *x)
{
	return sql_begin(x->db);
}

bool
index_commit(struct index *x)
{
	return sql_commit(x->db);
}

void
index_rollback(struct index *x)
{
	sql_rollback(x->db);
}

bool
index_clear(struct index *x, int64_t oldest_day)
{
	return sql_script(x->db, "DELETE FROM mail; DELETE FROM rcpt; DELETE FROM segment; DELETE FROM held; DELETE FROM owned") &&
	    sql_do(x->db, "DELETE FROM daily WHERE day>=?", "i", oldest_day);
}

static struct span
domain_of(struct span address)
{
	size_t at = span_find_last(address, '@');

	return at == SPAN_NONE ? SPAN("") : span_from(address, at + 1);
}

/* For lists: "GTUBE=1000.00 BAYES=2.10"; why, in words, stands in the record. */
static void
short_symbols(struct span text, struct buf *out)
{
	json_t *list = json_loadb(text.p ? text.p : "", text.n, 0, NULL), *symbol;
	size_t i;

	json_array_foreach(list, i, symbol) {
		const char *name = json_string_value(json_object_get(symbol, "name"));

		buf_printf(out, "%s%.80s=%.2f", i ? " " : "", name ? name : "?", json_number_value(json_object_get(symbol, "points")));
	}
	json_decref(list);
}

bool
index_add(struct index *x, const char *id, uint64_t seq, const struct store_request *r, struct span body, const struct seg_place *place)
{
	char client[INET6_ADDRSTRLEN];
	struct buf symbols = { 0 };

	ip_print(&r->session.client, client);
	short_symbols(r->symbols, &symbols);
	bool good = sql_do(x->db, "INSERT OR IGNORE INTO mail VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1,?,?,?)", "tiitiiitttsssssbtsbs",
	    id, (int64_t)seq, r->time_s, place->name, (int64_t)place->offset, (int64_t)place->length, (int64_t)r->size, client,
	    r->session.helo, r->envelope.sender, r->class_name, r->message_id, r->from, r->subject, buf_span(&symbols),
	    span_make(r->digest, sizeof r->digest), r->envelope.queue_id, r->recipients[0].customer, span_head(body, BODY_KEY), r->allow);

	buf_free(&symbols);
	for (uint32_t n = 0; good && n < r->recipient_count; n++) {
		const struct store_recipient *one = &r->recipients[n];

		good = sql_do(x->db, "INSERT OR IGNORE INTO rcpt VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,0,0,0,?,'','',0,0,?,?)", "siisssssiffffiii",
		    span_of(id), (int64_t)n, r->time_s, one->raw, one->address, domain_of(one->address), one->customer, r->class_name,
		    (int64_t)one->mode, one->points, one->tag, one->quarantine, one->discard, r->time_s, (int64_t)one->retention_days,
		    r->time_s + (int64_t)one->retention_days * DAY_S);
		stats_stored(x, r->time_s, one->customer, r->class_name, n == 0 ? place->length : 0);
	}
	return good;
}

bool
index_change(struct index *x, const char *id, uint32_t n, const struct index_change *c)
{
	struct index_rcpt before = { .n = n };
	struct sql_rows *rows = sql_ask(x->db, "SELECT customer, class, state, vote, time_s, change_seq FROM rcpt WHERE id=? AND n=?", "ti",
	    id, (int64_t)n);
	bool found = sql_row(rows), newer = false;

	if (found) {
		sql_text(rows, 0, before.customer, sizeof before.customer);
		sql_text(rows, 1, before.class_name, sizeof before.class_name);
		before.state = (enum entry_state)sql_int(rows, 2);
		before.vote = (enum entry_vote)sql_int(rows, 3);
		before.time_s = sql_int(rows, 4);
		newer = c->seq > (uint64_t)sql_int(rows, 5);
	}
	sql_end(rows);
	if (newer) {
		stats_changed(x, &before, c);
		sql_do(x->db, "UPDATE rcpt SET state=?, before=?, vote=?, changed_s=?, actor=?, note=?, change_seq=? WHERE id=? AND n=?",
		    "iiiittiti", (int64_t)c->state, (int64_t)c->before, (int64_t)c->vote, c->changed_s, c->actor, c->note, (int64_t)c->seq,
		    id, (int64_t)n);
	}
	return found;
}

bool
index_note(struct index *x, const char *id, uint32_t n, const char *note)
{
	return sql_do(x->db, "UPDATE rcpt SET note=? WHERE id=? AND n=?", "tti", note, id, (int64_t)n);
}

bool
index_count(struct index *x, const char *id)
{
	return sql_do(x->db, "UPDATE mail SET count=count+1 WHERE id=?", "t", id);
}

void
index_segment(struct index *x, const char *name, uint64_t done, uint64_t damaged)
{
	sql_do(x->db, "INSERT INTO segment VALUES(?,?,?,0) ON CONFLICT(name) DO UPDATE SET done=excluded.done,"
	    " damaged=segment.damaged+excluded.damaged", "tii", name, (int64_t)done, (int64_t)damaged);
}

uint64_t
index_segment_done(struct index *x, const char *name)
{
	return (uint64_t)sql_number(x->db, "SELECT done FROM segment WHERE name=?", "t", name);
}

uint64_t
index_last_seq(struct index *x)
{
	return (uint64_t)sql_number(x->db, "SELECT max(seq) FROM (SELECT max(seq) AS seq FROM mail UNION ALL SELECT max(change_seq) FROM rcpt)", "");
}

bool
index_find_retry(struct index *x, const struct store_request *r, const struct store_recipient *to, int64_t since_s, char id[ID_ROOM])
{
	char client[INET6_ADDRSTRLEN];

	ip_print(&r->session.client, client);
	struct sql_rows *rows = sql_ask(x->db, "SELECT mail.id FROM rcpt INDEXED BY rcpt_address CROSS JOIN mail ON mail.id=rcpt.id"
	    " WHERE rcpt.address=? AND rcpt.time_s>=? AND rcpt.raw=? AND rcpt.state=0 AND mail.digest=? AND mail.client=? AND mail.sender=?"
	    " LIMIT 1", "sisbtt", to->address, since_s, to->raw, span_make(r->digest, sizeof r->digest), client, r->envelope.sender);
	bool found = sql_row(rows);

	if (found)
		sql_text(rows, 0, id, ID_ROOM);
	sql_end(rows);
	return found;
}

static void
read_rcpt(struct sql_rows *rows, struct index_rcpt *one)
{
	one->n = (uint32_t)sql_int(rows, 0);
	sql_text(rows, 1, one->raw, sizeof one->raw);
	sql_text(rows, 2, one->address, sizeof one->address);
	sql_text(rows, 3, one->customer, sizeof one->customer);
	sql_text(rows, 4, one->class_name, sizeof one->class_name);
	one->state = (enum entry_state)sql_int(rows, 5);
	one->before = (enum entry_state)sql_int(rows, 6);
	one->vote = (enum entry_vote)sql_int(rows, 7);
	one->time_s = sql_int(rows, 8);
	one->changed_s = sql_int(rows, 9);
	one->retention_days = (uint32_t)sql_int(rows, 10);
	sql_text(rows, 11, one->actor, sizeof one->actor);
	one->change_seq = (uint64_t)sql_int(rows, 13);
	if (((1u << one->state) & STATES_OPEN) && sql_int(rows, 12) < wall_s())
		one->state = STATE_EXPIRED;  /* before anybody came to write it down */
}

bool
index_find(struct index *x, const char *id, struct seg_place *place, struct index_rcpt **rcpts, size_t *count)
{
	size_t n = 0, all = 0;
	struct sql_rows *rows = sql_ask(x->db, "SELECT segment, offset, length, (SELECT count(*) FROM rcpt WHERE rcpt.id=mail.id)"
	    " FROM mail WHERE id=?", "t", id);

	*rcpts = NULL;
	*count = 0;
	if (sql_row(rows)) {
		sql_text(rows, 0, place->name, sizeof place->name);
		place->offset = (uint64_t)sql_int(rows, 1);
		place->length = (uint64_t)sql_int(rows, 2);
		all = (size_t)sql_int(rows, 3);
	}
	sql_end(rows);
	if (all == 0 || (*rcpts = calloc(all, sizeof **rcpts)) == NULL)
		return false;
	rows = sql_ask(x->db, "SELECT n, raw, address, customer, class, state, before, vote, time_s, changed_s, retention, actor, expires_s, change_seq FROM rcpt"
	    " WHERE id=? ORDER BY n", "t", id);
	while (n < all && sql_row(rows))
		read_rcpt(rows, &(*rcpts)[n++]);
	sql_end(rows);
	*count = n;
	return n > 0;
}

void
index_releasing(struct index *x, void (*each)(void *arg, const char *id, uint32_t n), void *arg)
{
	struct sql_rows *rows = sql_ask(x->db, "SELECT id, n FROM rcpt WHERE state=1", "");

	while (sql_row(rows)) {
		char id[ID_ROOM];

		sql_text(rows, 0, id, sizeof id);
		each(arg, id, (uint32_t)sql_int(rows, 1));
	}
	sql_end(rows);
}

/* Expiry needs no record: a rebuild finds the same by the clock. */
bool
index_expire(struct index *x, int64_t now_s, int most)
{
	struct sql_rows *rows = sql_ask(x->db, "SELECT id, n FROM rcpt WHERE state IN (0, 5, 6) AND expires_s<? ORDER BY expires_s LIMIT ?",
	    "ii", now_s, (int64_t)most);
	struct index_old *old = calloc((size_t)most, sizeof *old);
	int n = 0;

	while (old && n < most && sql_row(rows)) {
		sql_text(rows, 0, old[n].id, sizeof old[n].id);
		old[n++].rcpt.n = (uint32_t)sql_int(rows, 1);
	}
	sql_end(rows);
	for (int i = 0; i < n; i++) {
		sql_do(x->db, "UPDATE daily SET expired=expired+1 WHERE (day, customer, class)=(SELECT time_s/86400, customer, class FROM rcpt"
		    " WHERE id=? AND n=?)", "ti", old[i].id, (int64_t)old[i].rcpt.n);
		sql_do(x->db, "UPDATE rcpt SET before=state, state=4, changed_s=expires_s, actor='', note='' WHERE id=? AND n=?", "ti",
		    old[i].id, (int64_t)old[i].rcpt.n);
	}
	free(old);
	return n == most;
}

void
index_forget_segment(struct index *x, const char *name)
{
	sql_do(x->db, "UPDATE segment SET dropped=1, done=0 WHERE name=?", "t", name);
}

size_t
index_segments(struct index *x, struct segments *on_disk, char (*names)[SEG_NAME_ROOM], size_t room)
{
	struct sql_rows *rows = sql_ask(x->db, "SELECT name FROM segment WHERE dropped=0", "");
	size_t n = 0;

	while (n < room && sql_row(rows)) {
		sql_text(rows, 0, names[n], SEG_NAME_ROOM);
		n += !segments_has(on_disk, names[n]);
	}
	sql_end(rows);
	return n;
}

bool
index_tidy(struct index *x, int most)
{
	char name[SEG_NAME_ROOM] = "";
	struct sql_rows *rows = sql_ask(x->db, "SELECT name FROM segment WHERE dropped=1 LIMIT 1", "");

	if (sql_row(rows))
		sql_text(rows, 0, name, sizeof name);
	sql_end(rows);
	if (name[0] == '\0')
		return false;
	sql_do(x->db, "DELETE FROM rcpt WHERE id IN (SELECT id FROM mail WHERE segment=? LIMIT ?)", "ti", name, (int64_t)most);
	sql_do(x->db, "DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE segment=? LIMIT ?)", "ti", name, (int64_t)most);
	if (sql_number(x->db, "SELECT count(*) FROM (SELECT 1 FROM mail WHERE segment=? LIMIT 1)", "t", name) == 0)
		sql_do(x->db, "DELETE FROM segment WHERE name=?", "t", name);
	return true;
}

/* ---- votes that are to be lessons ---- */

bool
index_untaught(struct index *x, char id[ID_ROOM], struct index_rcpt *rcpt, enum entry_vote *taught)
{
	struct sql_rows *rows = sql_ask(x->db, "SELECT n, raw, address, customer, class, state, before, vote, time_s, changed_s, retention,"
	    " actor, expires_s, change_seq, id, taught FROM rcpt INDEXED BY rcpt_lessons WHERE vote<>taught ORDER BY changed_s LIMIT 1", "");
	bool found = sql_row(rows);

	if (found) {
		read_rcpt(rows, rcpt);
		sql_text(rows, 14, id, ID_ROOM);
		*taught = (enum entry_vote)sql_int(rows, 15);
	}
	sql_end(rows);
	return found;
}

bool
index_taught(struct index *x, const char *id, uint32_t n, enum entry_vote vote)
{
	return sql_do(x->db, "UPDATE rcpt SET taught=? WHERE id=? AND n=?", "iti", (int64_t)vote, id, (int64_t)n);
}

/* ---- quotas ---- */

int64_t
index_open_entries(struct index *x, const char *customer)
{
	return sql_number(x->db, "SELECT total(entries) FROM held WHERE customer=? AND state IN (0, 5, 6)", "t", customer);
}

uint64_t
index_bytes(struct index *x, const char *customer)
{
	return (uint64_t)sql_number(x->db, "SELECT bytes FROM owned WHERE customer=?", "t", customer);
}

int64_t
index_alike(struct index *x, const char *customer, struct span body, int64_t most)
{
	return sql_number(x->db, "SELECT count(*) FROM (SELECT 1 FROM mail CROSS JOIN rcpt ON rcpt.id=mail.id WHERE mail.body=? AND mail.body<>x''"
	    " AND mail.customer=? AND rcpt.state IN (0, 5, 6) LIMIT ?)", "bti", span_head(body, BODY_KEY), customer, most);
}

size_t
index_oldest(struct index *x, const char *customer, struct span body, struct index_old *old, size_t most)
{
	static const char columns[] = "rcpt.n, raw, address, rcpt.customer, rcpt.class, state, before, vote, rcpt.time_s, changed_s, retention, actor,"
	    " expires_s, change_seq, rcpt.id";
	char text[512];
	size_t n = 0;

	if (body.n > 0)
		snprintf(text, sizeof text, "SELECT %s FROM mail CROSS JOIN rcpt ON rcpt.id=mail.id WHERE mail.body=? AND mail.body<>x''"
		    " AND mail.customer=? AND state IN (0, 5) ORDER BY mail.seq LIMIT ?", columns);
	else
		snprintf(text, sizeof text, "SELECT %s FROM rcpt INDEXED BY rcpt_customer WHERE customer=? AND state IN (0, 5)"
		    " ORDER BY time_s LIMIT ?", columns);
	struct sql_rows *rows = body.n > 0 ? sql_ask(x->db, text, "bti", span_head(body, BODY_KEY), customer, (int64_t)most) :
	    sql_ask(x->db, text, "ti", customer, (int64_t)most);

	while (n < most && sql_row(rows)) {
		read_rcpt(rows, &old[n].rcpt);
		sql_text(rows, 14, old[n++].id, ID_ROOM);
	}
	sql_end(rows);
	return n;
}
