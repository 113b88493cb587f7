#include "policyd/scan/alike.h"

#include <openssl/sha.h>

#include "policyd/base/utf8.h"

enum { SHINGLE = 3, WORD_MOST = 24, EAST_ASIAN = 0x2e80 };

static const uint64_t NUMBER = 0x9e3779b97f4a7c15;           /* what every word with a digit is taken for */

/* The finalizer of MurmurHash3: every bit of the input moves half of the output's. */
static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccd;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53;
	return x ^ x >> 33;
}

/* The next word of `*rest` as a hash; 0: the text has ended. Letters of scripts that write no blanks are words by themselves. */
static uint64_t
next_word(struct span *rest)
{
	uint64_t hash = 14695981039346656037u;
	bool digit = false;
	size_t length = 0, n;

	while (rest->n > 0) {
		uint32_t code = utf8_decode(*rest, &n);
		bool letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || code >= 0xc0, number = code >= '0' && code <= '9';

		n = n ? n : 1;
		if (code >= EAST_ASIAN) {
			if (length > 0)
				break;
			*rest = span_from(*rest, n);
			return mix(code);
		}
		if (!letter && !number && length > 0)
			break;
		*rest = span_from(*rest, n);
		if (!letter && !number)
			continue;
		digit |= number;
		length++;
		hash = (hash ^ (code < 0x80 ? (uint8_t)ascii_lower((char)code) : code)) * 1099511628211u;
	}
	if (length == 0)
		return 0;
	return digit || length > WORD_MOST ? NUMBER : mix(hash) | 1;
}

void
alike_text(struct span text, struct alike *out)
{
	uint64_t minima[ALIKE_HASHES], words[SHINGLE] = { 0 }, word, before = 0;
	size_t count = 0;

	memset(minima, 0xff, sizeof minima);
	while (count < ALIKE_WORDS && (word = next_word(&text)) != 0) {
		if (word == NUMBER && before == NUMBER)
			continue;            /* of numbers in a row there may be any number */
		before = word;
		words[0] = words[1];
		words[1] = words[2];
		words[2] = word;
		if (++count < SHINGLE)
			continue;
		uint64_t shingle = mix(words[0]) * 3 + mix(words[1] + 1) * 5 + mix(words[2] + 2) * 7;

		for (unsigned i = 0; i < ALIKE_HASHES; i++) {
			uint64_t h = mix(shingle + i * NUMBER);

			minima[i] = h < minima[i] ? h : minima[i];
		}
	}
	*out = (struct alike){ .text = count >= ALIKE_LEAST };
	for (int i = 0; out->text && i < ALIKE_HASHES; i++)
		out->minima[i] = (uint8_t)minima[i];
	for (int i = 0; out->text && i < ALIKE_BANDS; i++)
		out->bands[i] = mix(mix(mix(minima[i * ALIKE_ROWS]) + minima[i * ALIKE_ROWS + 1]) + minima[i * ALIKE_ROWS + 2] + (unsigned)i);
}

static void
add_part(struct alike *out, struct span data)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)data.p, data.n, digest);
	for (uint32_t i = 0; i < out->part_count; i++)
		if (memcmp(out->parts[i], digest, ALIKE_ID) == 0)
			return;
	memcpy(out->parts[out->part_count++], digest, ALIKE_ID);
}

void
alike_read(const struct message *msg, struct alike *out)
{
	alike_text(msg->text, out);
	for (size_t i = 0; i < msg->strict_count && out->part_count < ALIKE_PARTS; i++)
		if (msg->parts[i].kind == PART_ATTACHMENT && msg->parts[i].data.n >= ALIKE_PART_LEAST)
			add_part(out, msg->parts[i].data);
}

double
alike_share(const uint8_t a[ALIKE_HASHES], const uint8_t b[ALIKE_HASHES])
{
	int same = 0;

	for (int i = 0; i < ALIKE_HASHES; i++)
		same += a[i] == b[i];
	return (double)same / ALIKE_HASHES;
}
