/* main.c - policyd: settings, then the master. Every other process is forked from it (supervise.c). */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "policyd/supervise.h"

static const char usage[] =
	"usage: policyd [-t] [-c FILE]\n"
	"  -c, --config FILE   settings (default /etc/policyd/policyd.conf)\n"
	"  -t, --test          check the settings and exit: 0 good, 2 not\n"
	"      --version       print the version and exit\n"
	"      --help          print this and exit\n"
	"policyd stays in the foreground; policyctl talks to it.\n";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "test", no_argument, NULL, 't' },
		{ "version", no_argument, NULL, 'v' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	static struct config config;
	static struct master master;
	const char *file = "/etc/policyd/policyd.conf";
	char why[2048];
	bool test = false;

	for (int c; (c = getopt_long(argc, argv, "c:t", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'v':
			puts("policyd " POLICYD_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "policyd: \"%s\" is too much\n%s", argv[optind], usage);
		return 2;
	}
	if (!config_load(file, &config, why, sizeof why)) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	if (test) {
		printf("%s: OK\n", file);
		return 0;
	}
	log_open(config.log_syslog ? LOG_TO_SYSLOG : LOG_TO_STDERR, config.log_debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "master");
	master.argv = argv;
	if (!master_open(&master, &config, why, sizeof why)) {
		fprintf(stderr, "policyd: %s\n", why);
		return 1;
	}
	return master_run(&master);
}
