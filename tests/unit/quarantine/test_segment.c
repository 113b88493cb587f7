/* Segments and their records: every octet counts, keys are needed, bodies are found again, a failed sync leaves nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "quarantine/store/segment.h"

static char dir[] = "/tmp/pd-segment-XXXXXX", why[256];
static const char mail[] = "From: a@b.example\r\nSubject: hold me\r\n\r\nA body that is held, and long enough to be packed, packed, packed.\r\n";

static void
remove_all(void)
{
	char command[512];

	for (int i = 0; i < 10000; i++) {
		snprintf(command, sizeof command, "%s/20240102-0014-%04d.seg", dir, i);
		if (unlink(command) < 0)
			break;
	}
}

static struct segments *
open_it(void)
{
	struct segments *s = segments_open(dir, why, sizeof why);

	if (s == NULL)
		fail_msg("%s", why);
	return s;
}

static void
append(struct segments *s, uint64_t seq, const char *customer, struct seg_place *place)
{
	const struct key *key = keys_for(segments_keys(s), span_of(customer), why, sizeof why);
	struct record r = { .type = SEG_MAIL, .seq = seq, .time_ms = 1704200000000, .meta = SPAN("meta of the mail") };

	assert_non_null(key);
	assert_true(segments_append(s, &r, SPAN(mail), 10, key, place, why, sizeof why));
	assert_true(segments_sync(s, why, sizeof why));
}

static bool
reads(struct segments *s, const struct seg_place *place)
{
	struct buf bytes = { 0 }, out = { 0 };
	struct record r;
	bool good = segments_read(s, place, &bytes, &r, why, sizeof why) && record_unpack(&r, &out, why, sizeof why) &&
	    span_eq(buf_span(&out), SPAN(mail)) && span_eq(r.meta, SPAN("meta of the mail"));

	buf_free(&bytes);
	buf_free(&out);
	return good;
}

static void
every_octet_counts(void **state)
{
	struct segments *s = open_it();
	struct seg_place place;
	char path[256];

	(void)state;
	append(s, 7, "acme", &place);
	assert_string_equal(place.name, "20240102-0014-0000.seg");
	assert_true(reads(s, &place));
	snprintf(path, sizeof path, "%s/%s", dir, place.name);
	int fd = open(path, O_RDWR);

	for (uint64_t i = 0; i < place.length; i++)
		for (int bit = 0; bit < 8; bit++) {
			uint8_t octet, flipped;

			assert_int_equal(pread(fd, &octet, 1, (off_t)i), 1);
			flipped = octet ^ (uint8_t)(1 << bit);
			assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
			if (reads(s, &place))
				fail_msg("octet %d, bit %d: not noticed", (int)i, bit);
			assert_int_equal(pwrite(fd, &octet, 1, (off_t)i), 1);
		}
	assert_true(reads(s, &place));
	close(fd);
	segments_close(s);
	remove_all();
}

/* A record in which the checksum is right as well, made by whoever can write the file but has no key. */
static void
no_part_passes_as_anothers(void **state)
{
	struct segments *s = open_it();
	struct seg_place one, two;
	struct buf a = { 0 }, b = { 0 };
	struct record r;
	char path[256];

	(void)state;
	append(s, 1, "acme", &one);
	append(s, 2, "acme", &two);
	snprintf(path, sizeof path, "%s/%s", dir, one.name);
	int fd = open(path, O_RDWR);

	assert_int_equal(one.length, two.length);
	buf_reserve(&a, one.length);
	buf_reserve(&b, two.length);
	assert_int_equal(pread(fd, a.p, one.length, (off_t)one.offset), (ssize_t)one.length);
	assert_int_equal(pread(fd, b.p, two.length, (off_t)two.offset), (ssize_t)two.length);
	a.n = b.n = one.length;
	memcpy(a.p + RECORD_HEAD, b.p + RECORD_HEAD, a.n - RECORD_HEAD);     /* two's sealed parts under one's head */
	assert_false(record_open(&a, segments_keys(s), &r, why, sizeof why));
	assert_true(record_open(&b, segments_keys(s), &r, why, sizeof why));
	buf_free(&a);
	buf_free(&b);
	close(fd);
	segments_close(s);
	remove_all();
}

static void
without_its_key_it_is_closed(void **state)
{
	struct segments *s = open_it();
	struct seg_place place;
	const struct key *key;
	char path[256], saved[256];

	(void)state;
	append(s, 9, "gone", &place);
	key = keys_for(segments_keys(s), SPAN("gone"), why, sizeof why);
	snprintf(path, sizeof path, "%s/keys/%08x.key", dir, key->id);
	snprintf(saved, sizeof saved, "%s/keys/saved", dir);
	segments_close(s);
	assert_int_equal(rename(path, saved), 0);
	s = open_it();
	assert_false(reads(s, &place));
	assert_non_null(strstr(why, "policyctl restore"));
	segments_close(s);
	assert_int_equal(rename(saved, path), 0);
	chmod(path, 0644);
	assert_null(segments_open(dir, why, sizeof why));
	assert_non_null(strstr(why, "owner alone"));
	chmod(path, 0600);
	s = open_it();
	assert_true(reads(s, &place));
	segments_close(s);
	remove_all();
}

static void
damage_hides_nothing_behind_it(void **state)
{
	struct segments *s = open_it();
	struct seg_place places[3];
	struct buf bytes = { 0 };
	struct record r;
	uint64_t at = 0, next;
	char path[256];
	int good = 0, bad = 0, result;

	(void)state;
	for (int i = 0; i < 3; i++)
		append(s, (uint64_t)i + 1, "acme", &places[i]);
	snprintf(path, sizeof path, "%s/%s", dir, places[0].name);
	int fd = open(path, O_RDWR);

	assert_int_equal(pwrite(fd, "\xff\xff\xff", 3, (off_t)places[1].offset + 36), 3);       /* its length, of all things */
	assert_int_equal(ftruncate(fd, (off_t)(places[2].offset + places[2].length + 20)), 0);     /* and a torn tail */
	for (; (result = segments_next(s, places[0].name, at, &bytes, &r, &next)) != 0; at = next) {
		good += result == 1;
		bad += result == -1;
	}
	assert_int_equal(good, 2);
	assert_int_equal(bad, 1);
	buf_free(&bytes);
	close(fd);
	segments_close(s);
	remove_all();
}

static void
bodies_are_found_by_customer(void **state)
{
	struct segments *s = open_it();
	struct seg_body body = { .digest = { 1, 2, 3 }, .key = 5 }, other = { .digest = { 1, 2, 3 }, .key = 6 };
	struct seg_place place;

	(void)state;
	append(s, 1, "acme", &place);
	segments_keep_body(s, &place, &body);
	assert_non_null(segments_body(s, 1704200000000, 14, &body));
	assert_int_equal(segments_body(s, 1704200000000, 14, &body)->length, place.length);
	assert_null(segments_body(s, 1704200000000, 14, &other));
	assert_null(segments_body(s, 1704200000000, 30, &body));
	assert_null(segments_body(s, 1704200000000 + 86400000, 14, &body));
	segments_close(s);
	remove_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_octet_counts), cmocka_unit_test(no_part_passes_as_anothers),
	    cmocka_unit_test(without_its_key_it_is_closed), cmocka_unit_test(damage_hides_nothing_behind_it),
	    cmocka_unit_test(bodies_are_found_by_customer) };
	char keys[64], path[512];

	assert_non_null(mkdtemp(dir));
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	snprintf(keys, sizeof keys, "%s/keys", dir);
	struct segments *s = segments_open(dir, why, sizeof why);

	for (size_t i = 0; s && keys_at(segments_keys(s), i); i++) {
		snprintf(path, sizeof path, "%s/%08x.key", keys, keys_at(segments_keys(s), i)->id);
		unlink(path);
	}
	if (s)
		segments_close(s);
	rmdir(keys);
	rmdir(dir);
	return failed;
}
