/* list_filter.c - which entries a request means: along which index they are found, and what each row is asked. */
#include <math.h>
#include <stdio.h>

#include "policyd/base/clock.h"
#include "quarantine/store/list.h"

const char rcpt_columns[] =
	"SELECT id, n, time_s, address, customer, class, mode, points, tag, quarantine, discard, state, before, vote, changed_s,"
	" actor, note, expires_s, domain FROM rcpt";
const char mail_columns[] =
	"SELECT sender, header_from, subject, size, count, client, helo, message_id, queue_id, digest, symbols, body, allow FROM mail WHERE id=?";

const char *
request_text(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static bool
read_names(const json_t *value, struct names *names)
{
	names->given = value != NULL;
	if (json_is_string(value))
		names->at[names->count++] = json_string_value(value);
	for (size_t i = 0; i < json_array_size(value) && names->count < NAMES_MOST; i++)
		if (json_is_string(json_array_get(value, i)))
			names->at[names->count++] = json_string_value(json_array_get(value, i));
	return value == NULL || names->count > 0 || json_is_array(value);
}

static bool
has(const struct names *names, struct span what)
{
	for (size_t i = 0; i < names->count; i++)
		if (span_eq(span_of(names->at[i]), what))
			return true;
	return !names->given;
}

bool
entry_in_scope(const json_t *request, struct span address, struct span customer)
{
	const json_t *scope = json_object_get(request, "scope"), *who = json_object_get(scope, "customer");
	struct names rcpts = { 0 }, domains = { 0 };
	size_t at = span_find_last(address, '@');

	if (scope == NULL)
		return true;
	if (!json_is_object(scope) || (who && !(json_is_string(who) && span_eq(span_of(json_string_value(who)), customer))))
		return false;
	return read_names(json_object_get(scope, "rcpts"), &rcpts) && read_names(json_object_get(scope, "domains"), &domains) &&
	    has(&rcpts, address) && has(&domains, at == SPAN_NONE ? SPAN("") : span_from(address, at + 1));
}

/* Lower case, ASCII and what Unicode folds simply would need a table: search ignores the case of ASCII only. */
bool
filter_finds_words(const struct filter *f, struct span from, struct span sender, struct span subject)
{
	for (size_t i = 0; i < f->word_count; i++)
		if (span_find_nocase(subject, f->words[i]) == SPAN_NONE && span_find_nocase(from, f->words[i]) == SPAN_NONE &&
		    span_find_nocase(sender, f->words[i]) == SPAN_NONE)
			return false;
	return true;
}

/* What has passed its time is expired before anybody came to write it down. */
int64_t
row_state(struct sql_rows *r)
{
	int64_t state = sql_int(r, R_STATE);

	return state >= 0 && state < STATE__COUNT && ((1u << state) & STATES_OPEN) && sql_int(r, R_EXPIRES) < wall_s() ? STATE_EXPIRED : state;
}

bool
filter_takes_rcpt(const struct filter *f, struct sql_rows *r)
{
	int64_t state = row_state(r);
	double points = sql_real(r, R_POINTS);

	return has(&f->state, span_of(state >= 0 && state < STATE__COUNT ? entry_state_names[state] : "?")) &&
	    has(&f->class_name, sql_span(r, R_CLASS)) && has(&f->rcpt, sql_span(r, R_ADDRESS)) &&
	    has(&f->domain, sql_span(r, R_DOMAIN)) && has(&f->customer, sql_span(r, R_CUSTOMER)) &&
	    points >= f->points_min && points <= f->points_max &&
	    entry_in_scope(f->request, sql_span(r, R_ADDRESS), sql_span(r, R_CUSTOMER));
}

void
print_hex(struct span bytes, char to[65])
{
	size_t n = 0;

	for (size_t i = 0; i < bytes.n && i < 32; i++)
		n += (size_t)snprintf(to + n, 3, "%02x", (unsigned char)bytes.p[i]);
	to[n] = '\0';
}

static bool
has_symbol(struct span symbols, struct span name)
{
	while (symbols.n > 0) {
		struct span word = span_cut(&symbols, ' ');

		if (span_eq(span_cut(&word, '='), name))
			return true;
	}
	return false;
}

bool
filter_takes_mail(const struct filter *f, struct sql_rows *mail)
{
	struct span from = sql_span(mail, M_FROM);
	size_t at = span_find_last(from, '@');

	if (f->sender[0] && !span_eq_nocase(sql_span(mail, M_SENDER), span_of(f->sender)))
		return false;
	if (f->from_domain[0] && !span_starts_nocase(at == SPAN_NONE ? SPAN("") : span_from(from, at + 1), span_of(f->from_domain)))
		return false;
	if (f->symbol[0] && !has_symbol(sql_span(mail, M_SYMBOLS), span_of(f->symbol)))
		return false;
	if ((f->message_id[0] && !span_eq(sql_span(mail, M_MESSAGE_ID), span_of(f->message_id))) ||
	    (f->queue_id[0] && !span_eq(sql_span(mail, M_QUEUE_ID), span_of(f->queue_id))))
		return false;
	char digest[65];

	print_hex(sql_span(mail, M_DIGEST), digest);
	return (!f->digest[0] || strcmp(digest, f->digest) == 0) &&
	    filter_finds_words(f, sql_span(mail, M_FROM), sql_span(mail, M_SENDER), sql_span(mail, M_SUBJECT));
}

bool
filter_read(const json_t *request, struct filter *f, char *why, size_t room)
{
	const json_t *least = json_object_get(request, "points_min"), *most = json_object_get(request, "points_max");
	int64_t until = json_integer_value(json_object_get(request, "until"));
	struct span search = span_of(request_text(request, "search"));

	*f = (struct filter){ .request = request, .sender = request_text(request, "sender"), .from_domain = request_text(request, "from_domain"),
	    .symbol = request_text(request, "symbol"), .message_id = request_text(request, "message_id"), .queue_id = request_text(request, "queue_id"),
	    .digest = request_text(request, "digest"), .body = request_text(request, "body"), .points_min = json_is_number(least) ? json_number_value(least) : -HUGE_VAL,
	    .points_max = json_is_number(most) ? json_number_value(most) : HUGE_VAL,
	    .since = json_integer_value(json_object_get(request, "since")), .until = until > 0 ? until : INT64_MAX };
	if (!read_names(json_object_get(request, "rcpt"), &f->rcpt) || !read_names(json_object_get(request, "domain"), &f->domain) ||
	    !read_names(json_object_get(request, "customer"), &f->customer) || !read_names(json_object_get(request, "class"), &f->class_name) ||
	    !read_names(json_object_get(request, "state"), &f->state)) {
		snprintf(why, room, "rcpt, domain, customer, class and state are each a text or a list of texts");
		return false;
	}
	for (size_t i = 0; i < f->state.count; i++) {
		int k = 0;

		while (k < STATE__COUNT && strcmp(f->state.at[i], entry_state_names[k]) != 0)
			k++;
		if (k == STATE__COUNT) {
			snprintf(why, room, "\"%.40s\" is no state; expected new, seen, requested, releasing, released, deleted or expired",
			    f->state.at[i]);
			return false;
		}
	}
	while (search.n > 0 && f->word_count < WORDS_MOST) {
		struct span word = span_cut(&search, ' ');

		if (word.n > 0)
			f->words[f->word_count++] = word;
	}
	f->mail = f->word_count || f->sender[0] || f->from_domain[0] || f->symbol[0] || f->message_id[0] || f->queue_id[0] || f->digest[0];
	return true;
}

/* Where the walk goes: the narrowest of what is given. Texts to bind are left in `bind`. */
static void
choose_index(const struct filter *f, char *text, size_t room, const struct names **bind)
{
	static const char *const few[] = { "releasing", "requested" };
	const json_t *scope = json_object_get(f->request, "scope");
	static struct names scoped;
	const char *column = NULL;
	size_t n;

	*bind = NULL;
	if (f->message_id[0] || f->queue_id[0] || f->body[0]) {
		snprintf(text, room, " WHERE id IN (SELECT id FROM mail WHERE %s=?)", f->message_id[0] ? "message_id" :
		    f->queue_id[0] ? "queue_id" : "body<>x'' AND body");
		return;
	}
	bool waiting = f->state.given && f->state.count > 0;

	for (size_t i = 0; i < f->state.count; i++)
		waiting &= strcmp(f->state.at[i], few[0]) == 0 || strcmp(f->state.at[i], few[1]) == 0;
	if (waiting) {                       /* few of them in all, whoever they are for */
		snprintf(text, room, " INDEXED BY rcpt_waiting WHERE state IN (1, 6)");
		return;
	}
	scoped = (struct names){ 0 };
	if (f->rcpt.count)
		column = "address", *bind = &f->rcpt;
	else if (read_names(json_object_get(scope, "rcpts"), &scoped) && scoped.count)
		column = "address", *bind = &scoped;
	else if (f->domain.count)
		column = "domain", *bind = &f->domain;
	else if (read_names(json_object_get(scope, "domains"), &scoped) && scoped.count)
		column = "domain", *bind = &scoped;
	else if (f->customer.count)
		column = "customer", *bind = &f->customer;
	else if (read_names(json_object_get(scope, "customer"), &scoped) && scoped.count)
		column = "customer", *bind = &scoped;
	if (column == NULL) {
		snprintf(text, room, " INDEXED BY rcpt_time WHERE 1");
		return;
	}
	n = (size_t)snprintf(text, room, " INDEXED BY rcpt_%s WHERE %s IN (?", column, column);
	for (size_t i = 1; i < (*bind)->count; i++)
		n += (size_t)snprintf(text + n, room - n, ", ?");
	snprintf(text + n, room - n, ")");
}

static size_t
from_hex(const char *hex, char to[32])
{
	size_t n = 0;
	unsigned octet;

	for (; n < 32 && sscanf(hex + 2 * n, "%2x", &octet) == 1; n++)
		to[n] = (char)octet;
	return n;
}

struct sql_rows *
filter_walk(struct index *x, const struct filter *f, bool up, const struct cursor *from)
{
	char text[2048], where[512], body[32];
	const struct names *bind;

	choose_index(f, where, sizeof where, &bind);
	snprintf(text, sizeof text, "%s%s AND time_s>=? AND time_s<?%s ORDER BY time_s %s, id %s, n %s", rcpt_columns, where,
	    from == NULL ? "" : up ? " AND (time_s, id, n)>(?, ?, ?)" : " AND time_s<=? AND (time_s, id, n)<(?, ?, ?)",
	    up ? "ASC" : "DESC", up ? "ASC" : "DESC", up ? "ASC" : "DESC");
	struct sql_rows *rows = sql_ask(index_sql(x), text, "");

	if (f->message_id[0])
		sql_bind_text(rows, span_of(f->message_id));
	else if (f->queue_id[0])
		sql_bind_text(rows, span_of(f->queue_id));
	else if (f->body[0])
		sql_bind_blob(rows, span_make(body, from_hex(f->body, body)));
	for (size_t i = 0; bind && i < bind->count; i++)
		sql_bind_text(rows, span_of(bind->at[i]));
	sql_bind_int(rows, f->since);
	sql_bind_int(rows, f->until);
	if (from) {
		if (!up)
			sql_bind_int(rows, from->time);
		sql_bind_int(rows, from->time);
		sql_bind_text(rows, span_of(from->id));
		sql_bind_int(rows, from->n);
	}
	return rows;
}
