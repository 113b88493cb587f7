#include "policyd/auth/signature.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { LEAST_BITS = 1024, MOST_BITS = 4096, ED25519_BYTES = 32, MOST_KEY_RECORDS = 8 };

static void
end(struct signature *s, enum dkim_result result, const char *why)
{
	if (s->result == DKIM_NONE) {
		s->result = result;
		s->why = why;
	}
}

/* ---- the tags ---- */

static bool
is_domain(struct span name)
{
	size_t label = 0, labels = 1;

	if (name.n == 0 || name.n > MAX_HOST_NAME - 2)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			labels++;
			continue;
		}
		if (!ascii_alnum(name.p[i]) && name.p[i] != '-' && name.p[i] != '_')
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0 && labels > 1;
}

/* Labels; one is enough. */
static bool
is_selector(struct span name)
{
	char text[AUTH_SELECTOR_ROOM + 2];

	if (name.n == 0 || name.n >= AUTH_SELECTOR_ROOM)
		return false;
	memcpy(text, name.p, name.n);
	memcpy(text + name.n, ".x", 2);
	return is_domain(span_make(text, name.n + 2));
}

static void
read_canon(struct signature *s)
{
	const struct tag *c = taglist_find(&s->tags, "c");
	struct span body, header;

	if (c == NULL) {                     /* simple, both; in ARC's suite relaxed */
		s->header_relaxed = s->body_relaxed = s->kind == SIGNATURE_ARC;
		return;
	}
	body = c->value;
	header = span_trim(span_cut(&body, '/'));
	body = span_trim(body);
	s->header_relaxed = span_eq(header, SPAN("relaxed"));
	s->body_relaxed = span_eq(body, SPAN("relaxed"));
	if (!s->header_relaxed && !span_eq(header, SPAN("simple")))
		end(s, DKIM_PERMERROR, "c= is unknown");
	if (!s->body_relaxed && !span_eq(body, SPAN("simple")) && (body.n > 0 || header.n < c->value.n))
		end(s, DKIM_PERMERROR, "c= is unknown");
}

static void
read_algorithm(struct signature *s)
{
	struct span algorithm = taglist_get(&s->tags, "a");

	s->ed25519 = span_eq(algorithm, SPAN("ed25519-sha256"));
	if (span_eq(algorithm, SPAN("rsa-sha1")))
		end(s, s->kind == SIGNATURE_DKIM ? DKIM_POLICY : DKIM_PERMERROR, "SHA-1");
	else if (!s->ed25519 && !span_eq(algorithm, SPAN("rsa-sha256")))
		end(s, DKIM_PERMERROR, "a= is unknown");
}

/* A time of t= or x=, if it is there. */
static bool
read_time(struct signature *s, const char *name, uint64_t *time)
{
	const struct tag *tag = taglist_find(&s->tags, name);

	*time = 0;
	if (tag == NULL)
		return false;
	if (tag->value.n == 0 || tag->value.n > 12 || !span_u64(tag->value, time)) {
		end(s, DKIM_PERMERROR, "a time that is none");
		return false;
	}
	return true;
}

static void
read_times(struct signature *s, int64_t now_s)
{
	uint64_t signed_at, until;
	bool has_signed = read_time(s, "t", &signed_at);

	if (!read_time(s, "x", &until))
		return;
	if (has_signed && until <= signed_at)
		end(s, DKIM_PERMERROR, "x= is before t=");
	else if ((int64_t)until < now_s)
		end(s, DKIM_PERMERROR, "expired");
}

/* i= is of d= or below it. */
static void
read_identity(struct signature *s)
{
	const struct tag *i = taglist_find(&s->tags, "i");
	struct span domain;
	size_t at;

	if (i == NULL)
		return;
	at = span_find_last(i->value, '@');
	domain = at == SPAN_NONE ? i->value : span_from(i->value, at + 1);
	if (at == SPAN_NONE || !span_ends_nocase(domain, s->domain) ||
	    (domain.n > s->domain.n && domain.p[domain.n - s->domain.n - 1] != '.'))
		end(s, DKIM_PERMERROR, "i= is not of d=");
}

/* Names between colons, and From among them. */
static void
read_fields(struct signature *s)
{
	const struct tag *h = taglist_find(&s->tags, "h");
	struct span rest = h ? h->value : SPAN("");
	size_t count = 0;
	bool from = false, seal = false;

	while (rest.n > 0) {
		struct span name = span_trim(span_cut(&rest, ':'));

		from |= span_eq_nocase(name, SPAN("From"));
		seal |= span_eq_nocase(name, SPAN("ARC-Seal"));
		count++;
	}
	if (h == NULL)
		end(s, DKIM_PERMERROR, "no h=");
	else if (count > MAX_SIGNED_FIELDS)
		end(s, DKIM_POLICY, "too many names in h=");
	else if (s->kind == SIGNATURE_DKIM && !from)
		end(s, DKIM_PERMERROR, "From is not signed");
	else if (s->kind == SIGNATURE_ARC && seal)
		end(s, DKIM_PERMERROR, "h= has ARC-Seal");
}

static void
read_limit(struct signature *s)
{
	const struct tag *l = taglist_find(&s->tags, "l");

	s->limited = l != NULL;
	if (l && (l->value.n == 0 || l->value.n > 18 || !span_u64(l->value, &s->limit)))
		end(s, DKIM_PERMERROR, "l= is no number");
}

/* What DKIM-Signature has and the ARC headers have not, or the other way round. */
static void
read_kind(struct signature *s)
{
	const struct tag *v = taglist_find(&s->tags, "v"), *q = taglist_find(&s->tags, "q");

	if (s->kind == SEAL_ARC && taglist_find(&s->tags, "h"))
		end(s, DKIM_PERMERROR, "a seal with h=");
	if (s->kind != SIGNATURE_DKIM)
		return;
	if (v == NULL || !span_eq(v->value, SPAN("1")))
		end(s, DKIM_PERMERROR, "v= is not 1");
	if (q && span_find(q->value, SPAN("dns/txt")) == SPAN_NONE)
		end(s, DKIM_PERMERROR, "q= is unknown");
	read_identity(s);
}

void
signature_read(struct arena *a, enum signature_kind kind, const struct header *field, int64_t now_s, struct signature *s)
{
	*s = (struct signature){ .kind = kind, .field = field };
	if (!taglist_parse(field->raw, &s->tags)) {
		end(s, DKIM_PERMERROR, "not a list of tags");
		return;
	}
	s->domain = taglist_get(&s->tags, "d");
	s->selector = taglist_get(&s->tags, "s");
	if (!is_domain(s->domain))
		end(s, DKIM_PERMERROR, "d= is no domain");
	if (!is_selector(s->selector))
		end(s, DKIM_PERMERROR, "s= is no selector");
	read_kind(s);
	read_algorithm(s);
	if (!base64_read(a, taglist_get(&s->tags, "b"), &s->b) || s->b.n == 0)
		end(s, DKIM_PERMERROR, "b= is no signature");
	read_times(s, now_s);
	if (kind == SEAL_ARC)
		return;
	read_canon(s);
	read_fields(s);
	read_limit(s);
	if (!base64_read(a, taglist_get(&s->tags, "bh"), &s->bh) || s->bh.n != SHA256_BYTES)
		end(s, DKIM_PERMERROR, "bh= is no hash");
}

/* ---- the key ---- */

static bool
list_has(struct span list, struct span word)
{
	while (list.n > 0)
		if (span_eq(span_trim(span_cut(&list, ':')), word))
			return true;
	return false;
}

static EVP_PKEY *
key_of_bytes(const struct signature *s, struct span bytes)
{
	const unsigned char *p = (const unsigned char *)bytes.p;
	EVP_PKEY *key;

	if (s->ed25519)
		return bytes.n == ED25519_BYTES ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p, bytes.n) : NULL;
	if ((key = d2i_PUBKEY(NULL, &p, (long)bytes.n)) == NULL) {   /* RFC 6376 says one form, its example another */
		p = (const unsigned char *)bytes.p;
		key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)bytes.n);
	}
	if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

/* One key record; NULL with a reason: it is none for this signature. */
static EVP_PKEY *
key_of_record(struct arena *a, struct signature *s, struct span text, const char **why)
{
	struct taglist tags;
	struct span bytes, kind, identity = taglist_get(&s->tags, "i");
	const struct tag *v, *k, *h, *services, *p;

	*why = "key record is not well formed";
	if (text.n > MAX_KEY_RECORD || !taglist_parse(text, &tags))
		return NULL;
	v = taglist_find(&tags, "v");
	k = taglist_find(&tags, "k");
	h = taglist_find(&tags, "h");
	services = taglist_find(&tags, "s");
	p = taglist_find(&tags, "p");
	if (p == NULL || (v && !span_eq(v->value, SPAN("DKIM1"))))
		return NULL;
	*why = "key revoked";
	if (p->value.n == 0)
		return NULL;
	*why = "key is of another kind";
	kind = k ? k->value : SPAN("rsa");
	if (!span_eq(kind, s->ed25519 ? SPAN("ed25519") : SPAN("rsa")) || (h && !list_has(h->value, SPAN("sha256"))) ||
	    (services && !list_has(services->value, SPAN("*")) && !list_has(services->value, SPAN("email"))))
		return NULL;
	*why = "i= may not be below d=";
	s->testing = list_has(taglist_get(&tags, "t"), SPAN("y"));
	size_t at = span_find_last(identity, '@');

	if (s->kind == SIGNATURE_DKIM && at != SPAN_NONE && list_has(taglist_get(&tags, "t"), SPAN("s")) &&
	    !span_eq_nocase(span_from(identity, at + 1), s->domain))
		return NULL;
	*why = "key cannot be read";
	return base64_read(a, p->value, &bytes) ? key_of_bytes(s, bytes) : NULL;
}

EVP_PKEY *
signature_key(struct arena *a, struct answers *dns, struct signature *s)
{
	struct span name = arena_printf(a, SPAN_FMT "._domainkey." SPAN_FMT, SPAN_ARG(s->selector), SPAN_ARG(s->domain));
	struct rr_answer txt = dns->look(dns, RR_TXT, name);
	const char *why = "no key";
	EVP_PKEY *key = NULL;

	s->pending = txt.status == RR_PENDING;
	if (s->pending)
		return NULL;
	if (txt.status == RR_UNKNOWN) {
		end(s, DKIM_TEMPERROR, "no answer to the question for the key");
		return NULL;
	}
	for (size_t i = 0; txt.status == RR_FOUND && i < txt.count && i < MOST_KEY_RECORDS && key == NULL; i++)
		key = key_of_record(a, s, txt.at[i].text, &why);
	ERR_clear_error();
	if (key == NULL) {
		end(s, DKIM_PERMERROR, why);
		return NULL;
	}
	s->key_bits = (unsigned)EVP_PKEY_get_bits(key);
	if (!s->ed25519 && s->key_bits < LEAST_BITS)
		end(s, DKIM_POLICY, "weak key");
	else if (!s->ed25519 && s->key_bits > MOST_BITS)
		end(s, DKIM_POLICY, "key too large");
	if (s->result == DKIM_NONE)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

/* ---- the signature ---- */

static bool
verify_rsa(EVP_PKEY *key, struct span b, const uint8_t digest[SHA256_BYTES])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_verify(ctx, (const unsigned char *)b.p, b.n, digest, SHA256_BYTES) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

/* RFC 8463, 3: what Ed25519 signs is the hash. */
static bool
verify_ed25519(EVP_PKEY *key, struct span b, const uint8_t digest[SHA256_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, (const unsigned char *)b.p, b.n, digest, SHA256_BYTES) == 1;

	EVP_MD_CTX_free(ctx);
	return good;
}

void
signature_check(struct signature *s, EVP_PKEY *key, const uint8_t digest[SHA256_BYTES])
{
	bool good = s->ed25519 ? verify_ed25519(key, s->b, digest) : verify_rsa(key, s->b, digest);

	ERR_clear_error();
	end(s, good ? DKIM_PASS : DKIM_FAIL, good ? "" : "signature does not verify");
}

/* The fields of h=, each name once more from below (RFC 6376, 5.4.2), and the signature's own. */
static bool
hash_fields(struct arena *a, const struct signed_mail *mail, const struct signature *s, uint8_t digest[SHA256_BYTES])
{
	const struct header_list *all = mail->headers;
	struct span rest = taglist_get(&s->tags, "h");
	bool *used = ARENA_ARRAY(a, bool, all->count + 1);
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(hash);
		return false;
	}
	while (rest.n > 0) {
		struct span name = span_trim(span_cut(&rest, ':'));

		for (size_t i = all->count; i > 0 && name.n > 0; i--)
			if (!used[i - 1] && &all->at[i - 1] != s->field && span_eq_nocase(all->at[i - 1].name, name)) {
				used[i - 1] = true;
				canon_field(hash, &all->at[i - 1], s->header_relaxed, (struct span){ 0 }, false);
				break;
			}
	}
	canon_field(hash, s->field, s->header_relaxed, taglist_find(&s->tags, "b")->raw, true);
	EVP_DigestFinal_ex(hash, digest, NULL);
	EVP_MD_CTX_free(hash);
	return true;
}

void
signature_verify(struct arena *a, struct answers *dns, struct signed_mail *mail, struct signature *s)
{
	uint8_t digest[SHA256_BYTES];
	EVP_PKEY *key;

	if (s->result != DKIM_NONE || (key = signature_key(a, dns, s)) == NULL)
		return;
	switch (canon_body(mail, s->body_relaxed, s->limited, s->limit, digest)) {
	case BODY_TOO_MUCH:
		end(s, DKIM_POLICY, "too much to hash");
		break;
	case BODY_SHORTER:
		end(s, DKIM_PERMERROR, "l= is larger than the body");
		break;
	case BODY_LONGER:
		s->partial = true;
		/* fall through */
	case BODY_HASHED:
		if (memcmp(digest, s->bh.p, SHA256_BYTES) != 0)
			end(s, DKIM_FAIL, "body has changed");
		break;
	}
	if (s->result == DKIM_NONE && hash_fields(a, mail, s, digest))
		signature_check(s, key, digest);
	EVP_PKEY_free(key);
	end(s, DKIM_TEMPERROR, "no memory");
}

void
signature_prepare(void)
{
	static const uint8_t nothing[SHA256_BYTES];
	struct signature s = { .b = SPAN("x") };
	EVP_PKEY *rsa = EVP_RSA_gen(LEAST_BITS), *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (rsa)
		verify_rsa(rsa, s.b, nothing);
	if (ed25519)
		verify_ed25519(ed25519, s.b, nothing);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ed25519);
	ERR_clear_error();
}
