#include "policyd/auth/arc.h"

#include "policyd/auth/signature.h"

struct arc_set {
	const struct header *results, *message, *seal;
	struct signature signature;          /* of the seal */
};

struct chain {
	struct arc_set *sets;                /* [1] to [count] */
	unsigned count;
	const char *why;                     /* what is wrong with it; NULL: nothing yet */
};

/* "i=1" at the front of an ARC-Authentication-Results, with a ';' behind it; 0: it is not there. */
static unsigned
results_instance(struct span raw, struct span *rest)
{
	struct span value;
	uint64_t i;

	*rest = raw;
	if (span_find_char(raw, ';') == SPAN_NONE)
		return 0;
	value = span_cut(rest, ';');
	if (!span_eq(span_trim(span_cut(&value, '=')), SPAN("i")) || span_trim(value).n > 2 || !span_u64(span_trim(value), &i))
		return 0;
	return (unsigned)i;
}

static unsigned
tagged_instance(struct span raw)
{
	struct taglist tags;
	struct span value;
	uint64_t i;

	if (!taglist_parse(raw, &tags))
		return 0;
	value = taglist_get(&tags, "i");
	return value.n > 0 && value.n <= 2 && span_u64(value, &i) ? (unsigned)i : 0;
}

static void
place(struct chain *c, const struct header *h, unsigned instance, size_t which)
{
	const struct header **to;

	if (instance == 0 || instance > ARC_MOST) {
		c->why = "an instance that is none";
		return;
	}
	struct arc_set *set = &c->sets[instance];

	to = which == 0 ? &set->results : which == 1 ? &set->message : &set->seal;
	if (*to)
		c->why = "an instance twice";
	*to = h;
	if (instance > c->count)
		c->count = instance;
}

/* Every ARC header to its set. False: there is none. */
static bool
gather(struct arena *a, const struct header_list *headers, struct chain *c)
{
	static const char *const names[] = { "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal" };
	struct span rest;
	bool any = false;

	*c = (struct chain){ .sets = ARENA_ARRAY(a, struct arc_set, ARC_MOST + 1) };
	for (size_t i = 0; i < headers->count; i++)
		for (size_t k = 0; k < 3; k++)
			if (span_eq_nocase(headers->at[i].name, span_of(names[k]))) {
				const struct header *h = &headers->at[i];

				place(c, h, k == 0 ? results_instance(h->raw, &rest) : tagged_instance(h->raw), k);
				any = true;
			}
	return any;
}

/* RFC 8617, 5.2, steps 2 and 3: the newest seal does not say "fail", the sets are whole, the first says none, the others pass. */
static void
check_structure(struct arena *a, struct chain *c, int64_t now_s)
{
	for (unsigned i = 1; i <= c->count && c->why == NULL; i++) {
		struct arc_set *set = &c->sets[i];

		if (set->results == NULL || set->message == NULL || set->seal == NULL) {
			c->why = "a set that is not whole";
			return;
		}
		signature_read(a, SEAL_ARC, set->seal, now_s, &set->signature);
		if (set->signature.result != DKIM_NONE)
			c->why = set->signature.why;
		else if (!span_eq(taglist_get(&set->signature.tags, "cv"), i == 1 ? SPAN("none") : SPAN("pass")))
			c->why = "cv= is not what it must be";
	}
}

/* What seal `n` signs: all sets up to it, its own seal without b= at the end (RFC 8617, 5.1.1). */
static bool
hash_sets(const struct chain *c, unsigned n, uint8_t digest[SHA256_BYTES])
{
	static const struct span nothing;
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(hash);
		return false;
	}
	for (unsigned i = 1; i <= n; i++) {
		canon_field(hash, c->sets[i].results, true, nothing, false);
		canon_field(hash, c->sets[i].message, true, nothing, false);
		if (i < n)
			canon_field(hash, c->sets[i].seal, true, nothing, false);
	}
	canon_field(hash, c->sets[n].seal, true, taglist_find(&c->sets[n].signature.tags, "b")->raw, true);
	EVP_DigestFinal_ex(hash, digest, NULL);
	EVP_MD_CTX_free(hash);
	return true;
}

/* How one signature's result ends the chain; false: it holds. */
static bool
broken_by(const struct signature *s, struct arc_verdict *out)
{
	if (s->result == DKIM_PASS)
		return false;
	out->result = s->result == DKIM_TEMPERROR ? ARC_TEMPERROR : ARC_FAIL;
	out->why = s->why;
	return true;
}

bool
arc_check(struct arena *a, struct answers *dns, struct signed_mail *mail, int64_t now_s, struct arc_verdict *out)
{
	struct signature message;
	struct chain c;
	bool pending;

	*out = (struct arc_verdict){ .result = ARC_NONE, .why = "" };
	if (!gather(a, mail->headers, &c))
		return true;
	if (c.why == NULL)
		check_structure(a, &c, now_s);
	out->result = ARC_FAIL;
	out->instances = c.count;
	out->why = c.why;
	if (c.why)
		return true;
	out->sealer = c.sets[c.count].signature.domain;
	results_instance(c.sets[c.count].results->raw, &out->results);
	signature_read(a, SIGNATURE_ARC, c.sets[c.count].message, now_s, &message);
	signature_verify(a, dns, mail, &message);
	pending = message.pending;
	if (!pending && broken_by(&message, out))
		return true;
	for (unsigned n = c.count; n > 0; n--) {
		struct signature *s = &c.sets[n].signature;
		EVP_PKEY *key = signature_key(a, dns, s);
		uint8_t digest[SHA256_BYTES];

		if (key && !pending && hash_sets(&c, n, digest))
			signature_check(s, key, digest);
		EVP_PKEY_free(key);
		pending |= s->pending;
		if (!pending && broken_by(s, out))
			return true;
	}
	if (!pending)
		out->result = ARC_PASS;
	return !pending;
}
