#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "policyd/base/map.h"

/* Against a plain array, through many puts and takes that collide. */
static void
agrees_with_an_array(void **state)
{
	enum { KEYS = 300 };
	struct map m = { 0 };
	static char marks[KEYS];
	void *want[KEYS] = { 0 };
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		seed = seed * 1103515245 + 12345;
		unsigned key = seed / 65536 % KEYS;

		if (seed & 0x100) {
			assert_true(map_put(&m, key * 16, &marks[key]));
			want[key] = &marks[key];
		} else {
			assert_ptr_equal(map_take(&m, key * 16), want[key]);
			want[key] = NULL;
		}
		key = (key * 7 + 3) % KEYS;
		assert_ptr_equal(map_get(&m, key * 16), want[key]);
	}
	size_t count = 0, at = 0;

	for (int i = 0; i < KEYS; i++)
		count += want[i] != NULL;
	assert_int_equal(m.count, count);
	while (map_next(&m, &at))
		count--;
	assert_int_equal(count, 0);
	map_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_an_array) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
