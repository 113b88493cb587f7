/* libclamav with a database of one line: typed results, the memory of what is clean, databases that are no good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/mail/prepare.h"
#include "policyd/scan/stage.h"
#include "policyd/worker/antivirus.h"
#include "policyd/worker/avcache.h"

#define HEAD "From: a@b.example\r\nTo: c@d.example\r\nSubject: %d\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
#define ATTACH "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=a.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"

static struct config config;
static char folder[] = "/tmp/policyd-antivirus-XXXXXX", database[300];

static void
write_database(const char *text)
{
	FILE *f = fopen(database, "w");

	fputs(text, f);
	fclose(f);
}

static int
set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(database, sizeof database, "%s/a.hdb", folder);
	write_database("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test\n");
	config.clamav = CLAMAV_LIB;
	config.clamav_timeout_ms = 20000;
	config.clamav_cache = 1;
	config.clamav_max_age_days = 3;
	snprintf(config.clamav_database, sizeof config.clamav_database, "%s", folder);
	mail_prepare();
	log_open(LOG_TO_STDERR, LOG_LEVEL_ERROR, "test");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(database);
	return rmdir(folder);
}

static struct antivirus *
open_engine(void)
{
	struct antivirus *av;
	char why[300];

	if (!antivirus_open(&config, "/tmp", &av, why, sizeof why))
		fail_msg("%s", why);
	return av;
}

/* The classes that the mail gets; `*result` the stage's own. */
static unsigned
scan_mail(struct antivirus *av, const char *mail, enum stage_result *result)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct scan *scan = ARENA_NEW(a, struct scan);
	struct kit kit = { .config = &config, .antivirus = av };

	scan->arena = a;
	scan->kit = &kit;
	scan->message.raw = span_of(mail);
	stage_mime(scan);
	*result = stage_clamav(scan);
	unsigned classes = scan->verdict.classes;

	arena_close(a);
	return classes;
}

static char *
mail_with(int number, const char *base64)
{
	char *mail;

	assert_true(asprintf(&mail, HEAD ATTACH "%s\r\n--b--\r\n", number, base64) > 0);
	return mail;
}

static const char virus[] = "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=";
static const char harmless[] = "bm90aGluZyB0byBzZWUgaGVyZSwgYnV0IGxvbmcgZW5vdWdoIHRvIGJlIHJlbWVtYmVyZWQgYnkgYW55Ym9keQ==";

static void
results_are_typed(void **state)
{
	struct antivirus *av = open_engine();
	enum stage_result result;
	char *clean = mail_with(1, harmless), *infected = mail_with(2, virus);

	(void)state;
	assert_int_equal(scan_mail(av, clean, &result), 0);
	assert_int_equal(result, STAGE_DONE);
	assert_int_equal(scan_mail(av, infected, &result), CLASS_VIRUS);
	char deep[4096] = "From: a@b.example\r\n";
	const char *forwarded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nFrom: a@b.example\r\n";

	for (int i = 0; i < 30; i++)             /* deeper than it goes: a limit, and not clean */
		strcat(deep, forwarded);
	assert_int_equal(scan_mail(av, deep, &result) & CLASS_UNSCANNABLE, CLASS_UNSCANNABLE);
	antivirus_close(av);
	config.clamav = CLAMAV_CLAMD;            /* none there: ours is the fault */
	av = open_engine();
	antivirus_lend(av, -1);
	scan_mail(av, clean, &result);
	assert_int_equal(result, STAGE_UNKNOWN);
	config.clamav = CLAMAV_LIB;
	antivirus_close(av);
	free(clean);
	free(infected);
}

static void
clean_is_known_to_all_workers(void **state)
{
	struct antivirus *av = open_engine();
	enum stage_result result;
	char *first = mail_with(1, harmless), *second = mail_with(2, harmless), *infected = mail_with(3, virus);
	int status;

	(void)state;
	if (fork() == 0) {
		scan_mail(av, first, &result);
		scan_mail(av, infected, &result);
		_exit(result == STAGE_DONE ? 0 : 1);
	}
	wait(&status);
	assert_int_equal(status, 0);
	int64_t known = metrics_get(M_CLAMAV_KNOWN);

	assert_int_equal(scan_mail(av, second, &result), 0);
	assert_true(metrics_get(M_CLAMAV_KNOWN) > known);       /* another worker has scanned that attachment */
	assert_int_equal(scan_mail(av, infected, &result), CLASS_VIRUS);
	antivirus_close(av);
	av = open_engine();                      /* another engine: nothing is known */
	known = metrics_get(M_CLAMAV_KNOWN);
	scan_mail(av, second, &result);
	assert_int_equal(metrics_get(M_CLAMAV_KNOWN), known);
	antivirus_close(av);
	free(first);
	free(second);
	free(infected);
}

static void
table_keeps_what_it_is_told(void **state)
{
	struct avcache *c = avcache_open();
	uint8_t digest[32] = { 0 };
	size_t kept = 0;

	(void)state;
	assert_false(avcache_has(c, digest));    /* zeros are in no empty slot */
	for (int i = 0; i < 1000; i++) {
		memcpy(digest, &i, sizeof i);
		digest[9] = (uint8_t)(i * 7);
		avcache_add(c, digest);
		assert_true(avcache_has(c, digest));
	}
	for (int i = 0; i < 1000; i++) {
		memcpy(digest, &i, sizeof i);
		digest[9] = (uint8_t)(i * 7);
		kept += avcache_has(c, digest);
		digest[31] = 1;
		assert_false(avcache_has(c, digest));
		digest[31] = 0;
	}
	assert_true(kept > 990);
	avcache_close(c);
}

static void
bad_databases_are_refused(void **state)
{
	static const char *const bad[] = { "", "44d88612fea8a8f36de82e1278abb02f:sixty-eight:Eicar\n", "not a database\n", "44d88612fea8a8f3" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct antivirus *av;
		char why[300] = "";

		write_database(bad[i]);
		assert_false(antivirus_open(&config, "/tmp", &av, why, sizeof why));
		assert_true(why[0] != '\0' && strstr(why, folder) != NULL);
		antivirus_close(av);
	}
	write_database("44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test\n");
}

static void
old_databases_alarm(void **state)
{
	struct timeval old[2] = { { wall_s() - 10 * 86400, 0 }, { wall_s() - 10 * 86400, 0 } };
	struct antivirus *av;

	(void)state;
	utimes(database, old);
	utimes(folder, old);
	av = open_engine();
	antivirus_alarm(antivirus_status(av).database_time_s, &config);
	assert_int_equal(metrics_get(M_CLAMAV_OLD_NOW), 1);
	antivirus_close(av);
	utimes(database, NULL);
	av = open_engine();
	antivirus_alarm(antivirus_status(av).database_time_s, &config);
	assert_int_equal(metrics_get(M_CLAMAV_OLD_NOW), 0);
	antivirus_close(av);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(results_are_typed), cmocka_unit_test(clean_is_known_to_all_workers),
	    cmocka_unit_test(table_keeps_what_it_is_told), cmocka_unit_test(bad_databases_are_refused), cmocka_unit_test(old_databases_alarm) };

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
