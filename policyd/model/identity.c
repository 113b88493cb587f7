#include "policyd/model/identity.h"

#include <openssl/evp.h>
#include <string.h>

enum { AT_ONCE = 4096 };

/* Bytes on their way into a digest, with some left out. */
struct sieve {
	EVP_MD_CTX *md;
	char kept[AT_ONCE];
	size_t n, all;
};

static void
flush(struct sieve *s)
{
	EVP_DigestUpdate(s->md, s->kept, s->n);
	s->all += s->n;
	s->n = 0;
}

static void
keep(struct sieve *s, char c)
{
	if (s->n == sizeof s->kept)
		flush(s);
	s->kept[s->n++] = c;
}

/* Line ends as one; those at the very end, which copying adds and takes, not at all. */
static void
add_body(struct sieve *s, struct span body)
{
	while (body.n > 0 && (body.p[body.n - 1] == '\n' || body.p[body.n - 1] == '\r'))
		body.n--;
	for (size_t i = 0; i < body.n; i++)
		if (body.p[i] != '\r')
			keep(s, body.p[i]);
	keep(s, '\n');
}

static void
add_letters(struct sieve *s, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c & 0x80 || (c >= 'a' && c <= 'z'))
			keep(s, c);
		else if (c >= 'A' && c <= 'Z')
			keep(s, (char)(c + 'a' - 'A'));
	}
}

static void
add_bodies(struct sieve *s, const struct message *msg)
{
	for (size_t i = 0; i < msg->strict_count; i++)
		if (msg->parts[i].kind != PART_MULTIPART)
			add_body(s, msg->parts[i].data);
}

static void
finish(struct sieve *s, uint8_t out[IDENTITY_BYTES])
{
	flush(s);
	EVP_DigestFinal_ex(s->md, out, NULL);
}

void
identity_of(const struct message *msg, struct identity *out)
{
	static const char *const names[] = { "From", "Subject", "Date", "Message-ID" };
	struct sieve s = { .md = EVP_MD_CTX_new() };

	memset(out, 0, sizeof *out);
	if (s.md == NULL)
		return;
	EVP_DigestInit_ex(s.md, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		add_body(&s, header_value(&msg->headers, names[i]));
	add_bodies(&s, msg);
	finish(&s, out->mail);

	EVP_DigestInit_ex(s.md, EVP_sha256(), NULL);
	s.all = 0;
	add_letters(&s, msg->subject);
	add_letters(&s, msg->text);
	finish(&s, out->alike);
	if (s.all < ALIKE_LETTERS_LEAST)
		memcpy(out->alike, out->mail, sizeof out->alike);
	EVP_MD_CTX_free(s.md);
}
