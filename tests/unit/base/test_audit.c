/* The audit log: several writers, one chain; what is cut, changed or put in its place shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/audit.h"

static char path[] = "/tmp/test-audit-XXXXXX";

static struct audit *
open_log(void)
{
	char why[256] = "";
	struct audit *a = audit_open(path, why, sizeof why);

	assert_string_equal(why, "");
	return a;
}

static void
add(struct audit *a, const char *action, size_t count)
{
	struct audit_entry entries[3];

	for (size_t i = 0; i < count; i++)
		entries[i] = (struct audit_entry){ 1764081600, "anna", "admin", "192.0.2.1", action, "q1 bob@shop.example", "shop", "caf\xe9\n" };
	assert_true(audit_write(a, entries, count));
}

static json_int_t
broken_at(struct audit *a)
{
	json_t *said = audit_verify(a);
	json_int_t at = json_integer_value(json_object_get(said, "broken_at"));

	assert_int_equal(at == 0, json_is_true(json_object_get(said, "good")));
	json_decref(said);
	return at;
}

static void
cut(off_t by)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - by), 0);
}

static int
fresh(void **state)
{
	(void)state;
	strcpy(path + sizeof path - 7, "XXXXXX");
	close(mkstemp(path));
	return 0;
}

static int
gone(void **state)
{
	(void)state;
	return unlink(path);
}

static void
test_writers_take_turns(void **state)
{
	struct audit *one = open_log(), *two = open_log();

	(void)state;
	add(one, "mail.release", 1);
	add(two, "mail.delete", 3);
	add(one, "mail.undo", 2);
	add(two, "signin", 1);
	assert_int_equal(broken_at(one), 0);
	assert_int_equal(broken_at(two), 0);
	json_t *list = audit_list(one, "shop", 0, 100), *newest = json_array_get(list, 0);

	assert_int_equal(json_array_size(list), 7);
	assert_int_equal(json_integer_value(json_object_get(newest, "seq")), 7);
	assert_string_equal(json_string_value(json_object_get(newest, "action")), "signin");
	assert_string_equal(json_string_value(json_object_get(newest, "note")), "caf?\n");
	json_decref(list);
	list = audit_list(one, "other", 0, 100);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	audit_close(one);
	audit_close(two);
}

/* Killed while writing: nobody was told of that entry, and the next one stands where it would have. */
static void
test_a_torn_line(void **state)
{
	struct audit *one = open_log(), *two;

	(void)state;
	add(one, "mail.release", 2);
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_int_equal(write(fd, "{\"seq\": 3, \"ac", 14), 14);
	close(fd);
	assert_int_equal(broken_at(one), 0);
	two = open_log();
	add(two, "mail.delete", 1);
	assert_int_equal(broken_at(one), 0);
	assert_int_equal(broken_at(two), 0);
	audit_close(one);
	audit_close(two);
}

static void
test_what_was_cut(void **state)
{
	struct audit *one = open_log(), *two = open_log();

	(void)state;
	add(one, "mail.release", 3);
	audit_follow(two);
	cut(50);
	assert_int_equal(broken_at(one), 3);
	assert_int_equal(broken_at(two), 3);         /* who did not write it knew it, too */
	add(two, "mail.delete", 1);                  /* goes on, with the hole in plain view */
	assert_int_equal(broken_at(two), 3);
	audit_close(one);
	audit_close(two);
}

/* The end cut off, and a chain that fits put in its place by who knows how. */
static void
test_what_was_replaced(void **state)
{
	struct audit *one = open_log(), *forger;

	(void)state;
	add(one, "mail.release", 3);
	cut(50);
	forger = open_log();
	add(forger, "mail.delete", 3);
	assert_int_equal(broken_at(forger), 0);
	assert_true(broken_at(one) > 0);
	audit_close(one);
	audit_close(forger);
}

static void
test_every_octet(void **state)
{
	struct audit *a = open_log();
	struct stat st;

	(void)state;
	add(a, "mail.release", 2);
	assert_int_equal(stat(path, &st), 0);
	int fd = open(path, O_RDWR);

	for (off_t at = 0; at + 1 < st.st_size; at++) {
		char was, now;

		assert_int_equal(pread(fd, &was, 1, at), 1);
		now = was ^ 1;
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		assert_true(broken_at(a) > 0);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	assert_int_equal(broken_at(a), 0);
	close(fd);
	audit_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_writers_take_turns, fresh, gone), cmocka_unit_test_setup_teardown(test_a_torn_line, fresh, gone),
		cmocka_unit_test_setup_teardown(test_what_was_cut, fresh, gone), cmocka_unit_test_setup_teardown(test_what_was_replaced, fresh, gone),
		cmocka_unit_test_setup_teardown(test_every_octet, fresh, gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
