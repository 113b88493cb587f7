#include "policyd/base/crypt.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define SCRYPT_N (1u << 16)
#define SCRYPT_MEMORY (96u << 20)
enum { SCRYPT_R = 8, SCRYPT_P = 1 };

bool
crypt_seal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], struct span with, struct span plain, uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;
	bool good = ctx && plain.n < INT_MAX && EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)with.p, (int)with.n) == 1 &&
	    EVP_EncryptUpdate(ctx, to, &n, (const uint8_t *)plain.p, (int)plain.n) == 1 && n == (int)plain.n &&
	    EVP_EncryptFinal_ex(ctx, to + plain.n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, CRYPT_TAG, to + plain.n) == 1;

	EVP_CIPHER_CTX_free(ctx);
	return good;
}

bool
crypt_open(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], struct span with, struct span sealed, uint8_t *to)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[CRYPT_TAG];
	int n, text = (int)sealed.n - CRYPT_TAG;
	bool good = ctx && sealed.n >= CRYPT_TAG && sealed.n < INT_MAX;

	if (good) {
		memcpy(tag, sealed.p + text, CRYPT_TAG);
		good = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
		    EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)with.p, (int)with.n) == 1 &&
		    EVP_DecryptUpdate(ctx, to, &n, (const uint8_t *)sealed.p, text) == 1 && n == text &&
		    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, CRYPT_TAG, tag) == 1 && EVP_DecryptFinal_ex(ctx, to + text, &n) == 1;
	}
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

bool
crypt_random(void *to, size_t n)
{
	return RAND_bytes(to, (int)n) == 1;
}

bool
crypt_stretch(struct span passphrase, const uint8_t salt[16], uint8_t key[CRYPT_KEY])
{
	return EVP_PBE_scrypt(passphrase.p, passphrase.n, salt, 16, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY, key, CRYPT_KEY) == 1;
}

void
crypt_forget(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}
