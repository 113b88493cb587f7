#include "policyd/auth/canon.h"

enum { CHUNK = 4096 };

/* Bytes on their way to a hash, as many as are asked for. */
struct sink {
	EVP_MD_CTX *hash;
	uint64_t left, size;                 /* to be hashed yet; seen */
	size_t n;
	char chunk[CHUNK];
};

static void
sink_flush(struct sink *s)
{
	size_t n = s->n < s->left ? s->n : (size_t)s->left;

	EVP_DigestUpdate(s->hash, s->chunk, n);
	s->left -= n;
	s->n = 0;
}

static void
sink_add(struct sink *s, const char *p, size_t n)
{
	s->size += n;
	while (n > 0) {
		size_t part = n < CHUNK - s->n ? n : CHUNK - s->n;

		memcpy(s->chunk + s->n, p, part);
		s->n += part;
		p += part;
		n -= part;
		if (s->n == CHUNK)
			sink_flush(s);
	}
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Runs of blanks as one, none at the end. */
static void
add_relaxed(struct sink *s, struct span line)
{
	size_t i = 0;

	while (line.n > 0 && is_blank(line.p[line.n - 1]))
		line.n--;
	while (i < line.n) {
		size_t start = i;

		while (i < line.n && !is_blank(line.p[i]))
			i++;
		sink_add(s, line.p + start, i - start);
		if (i < line.n)
			sink_add(s, " ", 1);
		while (i < line.n && is_blank(line.p[i]))
			i++;
	}
}

static bool
only_blanks(struct span line)
{
	for (size_t i = 0; i < line.n; i++)
		if (!is_blank(line.p[i]))
			return false;
	return true;
}

static void
add_body(struct sink *s, struct span body, bool relaxed)
{
	size_t empty = 0;
	bool any = false;

	while (body.n > 0) {
		struct span line = span_cut(&body, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		if (line.n == 0 || (relaxed && only_blanks(line))) {
			empty++;             /* only if something follows */
			continue;
		}
		for (; empty > 0; empty--)
			sink_add(s, "\r\n", 2);
		if (relaxed)
			add_relaxed(s, line);
		else
			sink_add(s, line.p, line.n);
		sink_add(s, "\r\n", 2);
		any = true;
	}
	if (!any && !relaxed)                /* the empty body: an empty line in one form, nothing in the other */
		sink_add(s, "\r\n", 2);
}

static bool
same_question(const struct signed_mail *mail, size_t i, bool relaxed, bool limited, uint64_t limit)
{
	return mail->hashes[i].relaxed == relaxed && mail->hashes[i].limited == limited && (!limited || mail->hashes[i].limit == limit);
}

enum body_hash
canon_body(struct signed_mail *mail, bool relaxed, bool limited, uint64_t limit, uint8_t digest[SHA256_BYTES])
{
	size_t i = 0;

	while (i < mail->hash_count && !same_question(mail, i, relaxed, limited, limit))
		i++;
	if (i == mail->hash_count) {
		EVP_MD_CTX *hash = EVP_MD_CTX_new();
		struct sink sink = { .hash = hash, .left = limited ? limit : UINT64_MAX };

		if (i == MAX_BODY_HASHES || hash == NULL || (i > 0 && mail->hashed + mail->body.n > MAX_HASHED)) {
			EVP_MD_CTX_free(hash);
			return BODY_TOO_MUCH;
		}
		EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
		add_body(&sink, mail->body, relaxed);
		sink_flush(&sink);
		EVP_DigestFinal_ex(hash, mail->hashes[i].digest, NULL);
		EVP_MD_CTX_free(hash);
		mail->hashes[i].relaxed = relaxed;
		mail->hashes[i].limited = limited;
		mail->hashes[i].limit = limit;
		mail->hashes[i].size = sink.size;
		mail->hashed += mail->body.n;
		mail->hash_count++;
	}
	memcpy(digest, mail->hashes[i].digest, SHA256_BYTES);
	return !limited || limit == mail->hashes[i].size ? BODY_HASHED : limit > mail->hashes[i].size ? BODY_SHORTER : BODY_LONGER;
}

/* ---- header fields ---- */

static void
field_relaxed(struct sink *s, struct span name, struct span value, struct span without)
{
	bool gap = false, any = false;

	for (size_t i = 0; i < name.n; i++) {
		char c = ascii_lower(name.p[i]);

		sink_add(s, &c, 1);
	}
	sink_add(s, ":", 1);
	for (size_t i = 0; i < value.n; i++) {
		if (without.n > 0 && value.p + i == without.p) {
			i += without.n - 1;
			continue;
		}
		if (ascii_space(value.p[i])) {
			gap = true;
			continue;
		}
		if (gap && any)
			sink_add(s, " ", 1);
		sink_add(s, value.p + i, 1);
		gap = false;
		any = true;
	}
}

static void
field_simple(struct sink *s, struct span whole, struct span without)
{
	for (size_t i = 0; i < whole.n; i++) {
		if (without.n > 0 && whole.p + i == without.p) {
			i += without.n - 1;
			continue;
		}
		if (whole.p[i] == '\r' && i + 1 < whole.n && whole.p[i + 1] == '\n')
			continue;
		if (whole.p[i] == '\n')
			sink_add(s, "\r", 1);
		sink_add(s, whole.p + i, 1);
	}
}

void
canon_field(EVP_MD_CTX *hash, const struct header *field, bool relaxed, struct span without, bool last)
{
	struct sink sink = { .hash = hash, .left = UINT64_MAX };

	if (relaxed)
		field_relaxed(&sink, field->name, field->raw, without);
	else
		field_simple(&sink, span_make(field->name.p, (size_t)(field->raw.p + field->raw.n - field->name.p)), without);
	if (!last)
		sink_add(&sink, "\r\n", 2);
	sink_flush(&sink);
}
