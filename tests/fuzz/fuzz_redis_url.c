/* fuzz_redis_url.c - where Redis is, by an operator's hand. */
#include "policyd/store/redis_url.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redis_place place = { 0 };
	char why[200] = "", *url = malloc(size + 1);

	memcpy(url, data, size);
	url[size] = '\0';
	if (redis_url_parse(url, &place, why, sizeof why)) {
		FUZZ_PROMISE(memchr(place.host, '\0', sizeof place.host) && memchr(place.user, '\0', sizeof place.user));
		FUZZ_PROMISE(memchr(place.password, '\0', sizeof place.password) && place.host[0] != '\0');
	} else {
		FUZZ_PROMISE(why[0] != '\0' && memchr(why, '\0', sizeof why));
	}
	free(url);
	return 0;
}
