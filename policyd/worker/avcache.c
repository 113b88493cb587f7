#include "policyd/worker/avcache.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

enum { WAYS = 4, SETS = 1 << 14 };           /* 65,536 digests in 2.5 MB */

struct slot {
	_Atomic uint64_t word[4], check;     /* check: the words and the salt, so that half an entry is none */
};

struct avcache {
	uint64_t salt;
	struct slot slots[SETS][WAYS];
};

struct avcache *
avcache_open(void)
{
	struct avcache *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	if (getrandom(&c->salt, sizeof c->salt, 0) != sizeof c->salt || c->salt == 0)
		c->salt = 1;                 /* never 0: an empty slot would pass for a digest of zeros */
	return c;
}

void
avcache_close(struct avcache *c)
{
	if (c)
		munmap(c, sizeof *c);
}

static uint64_t
check_of(const struct avcache *c, const uint64_t word[4])
{
	return c->salt ^ word[0] ^ word[1] ^ word[2] ^ word[3];
}

static bool
slot_is(const struct avcache *c, const struct slot *slot, const uint64_t word[4])
{
	for (int i = 0; i < 4; i++)
		if (atomic_load_explicit(&slot->word[i], memory_order_relaxed) != word[i])
			return false;
	return atomic_load_explicit(&slot->check, memory_order_acquire) == check_of(c, word);
}

bool
avcache_has(const struct avcache *c, const uint8_t digest[32])
{
	uint64_t word[4];

	if (c == NULL)
		return false;
	memcpy(word, digest, sizeof word);
	for (int way = 0; way < WAYS; way++)
		if (slot_is(c, &c->slots[word[0] % SETS][way], word))
			return true;
	return false;
}

void
avcache_add(struct avcache *c, const uint8_t digest[32])
{
	uint64_t word[4];

	if (c == NULL || avcache_has(c, digest))
		return;
	memcpy(word, digest, sizeof word);
	struct slot *set = c->slots[word[0] % SETS], *slot = &set[word[1] % WAYS];

	for (int way = 0; way < WAYS; way++)
		if (atomic_load_explicit(&set[way].check, memory_order_relaxed) == 0) {
			slot = &set[way];
			break;
		}
	for (int i = 0; i < 4; i++)
		atomic_store_explicit(&slot->word[i], word[i], memory_order_relaxed);
	atomic_store_explicit(&slot->check, check_of(c, word), memory_order_release);
}
