#include "policyd/worker/layers.h"

#include <openssl/evp.h>

#include "policyd/base/limits.h"
#include "policyd/base/metrics.h"
#include "policyd/worker/avcache.h"

void
layers_start(struct layers *layers, struct arena *arena, struct avcache *cache)
{
	layers->list = ARENA_ARRAY(arena, struct layer, MAX_LAYERS);
	layers->count = 0;
	layers->cache = cache;
}

static void
digest_lines(struct span bytes, uint8_t out[SHA256_DIGEST_LENGTH])
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	memset(out, 0, SHA256_DIGEST_LENGTH);
	if (sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL))
		for (struct span rest = bytes; rest.n > 0;) {
			struct span line = span_cut(&rest, '\n');

			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			if (line.n == 0)
				continue;
			EVP_DigestUpdate(sha, line.p, line.n);
			EVP_DigestUpdate(sha, "\n", 1);
		}
	if (sha)
		EVP_DigestFinal_ex(sha, out, NULL);
	EVP_MD_CTX_free(sha);
}

bool
layers_add(struct layers *layers, struct span bytes)
{
	if (layers->count == MAX_LAYERS)
		return false;
	struct layer *layer = &layers->list[layers->count++];

	SHA256((const uint8_t *)bytes.p, bytes.n, layer->exact);
	digest_lines(bytes, layer->lines);
	if (!avcache_has(layers->cache, layer->exact))
		return false;
	metrics_add(M_CLAMAV_KNOWN, 1);
	return true;
}

void
layers_clean(const struct layers *layers, size_t first)
{
	for (size_t i = first; layers->cache && i < layers->count; i++)
		avcache_add(layers->cache, layers->list[i].exact);
}

bool
layers_have(const struct layers *layers, struct span bytes, bool unencoded_text)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (unencoded_text)
		digest_lines(bytes, digest);
	else
		SHA256((const uint8_t *)bytes.p, bytes.n, digest);
	for (size_t i = 0; i < layers->count; i++)
		if (memcmp(unencoded_text ? layers->list[i].lines : layers->list[i].exact, digest, sizeof digest) == 0)
			return true;
	return false;
}
