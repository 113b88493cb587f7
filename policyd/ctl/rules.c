/* rules.c - policyctl rules: check, test, measure and import rules. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lua/manual.h"
#include "policyd/base/nearest.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/ctl/rules_tool.h"

static const char help[] =
    "usage: policyctl rules check [DIR...]        syntax, names, scores, cycles, patterns; exit 1 on a mistake\n"
    "       policyctl rules test [--junit] [DIR...]    each rule on its own examples, as TAP or JUnit\n"
    "       policyctl rules corpus [--mails | --hits | --false-positives] INDEX...\n"
    "                                             hits, S/O, what a rule finds alone, what it tips, overlap, time of each rule;\n"
    "                                             INDEX has \"ham|spam PATH\" lines\n"
    "       policyctl rules bench [--pcre] [--quiet] INDEX...    time of each rule, the dearest first\n"
    "       policyctl rules diff OLD NEW [--customer ID] INDEX...    which mails get another outcome from directory NEW\n"
    "       policyctl rules tune [--penalty X] INDEX...   points for all rules, fitted to labelled mail, as a scores{} to be read; also\n"
    "                                             policyctl tune\n"
    "       policyctl rules status                what a running policyd holds back, and what that would have changed\n"
    "       policyctl rules promote SYMBOL [--canary N] [--why TEXT]    put in force, or in N of 100 mails; on all nodes, at once\n"
    "       policyctl rules demote SYMBOL [--off] [--why TEXT]          to shadow (judged and shown, adds nothing), or off\n"
    "       policyctl rules doc [text|man|luals|luarc]    the manual of rule files; annotations and settings for lua-language-server\n"
    "       policyctl rules fetch-maps            get the maps that come from elsewhere, check their signatures, keep them\n"
    "       policyctl rules import-sa [-o FILE] [--prefix P] PATH...      SpamAssassin's .cf files (or directories of them)\n"
    "       policyctl rules import-rspamd [-o FILE] [--prefix P] PATH...  rspamd's multimap, regexp and composites\n"
    "  -c FILE   take rule directories and scorer from these settings (default: rules and lua here, else as installed)\n"
    "  -r DIR    rule directory, instead of the configured ones\n"
    "  -j N      processes (default: one a core)\n"
    "  --mails   name each mail with its points and symbols; --hits: the same for programs, helpers included\n"
    "  --false-positives   name each ham mail at or above 4 points, with its symbols\n"
    "  --pcre    every pattern by PCRE2, for comparison; --quiet: without the rules' own clocks\n";

static int
check(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	struct rules *rules = rules_tool_load(config);
	size_t untested = 0, helpers = 0;

	(void)argv;
	(void)argc;
	(void)o;
	if (rules == NULL)
		return 1;
	struct patterns_info p = rules_patterns(rules);

	for (size_t i = 0; i < rules_count(rules); i++) {
		helpers += rules_info(rules, i).helper;
		untested += rules_info(rules, i).tests == 0 && !rules_info(rules, i).helper;
	}
	printf("%zu rules, no mistakes; %zu without a test of their own\n", rules_count(rules) - helpers, untested);
	printf("%zu patterns over %zu views: %zu exact, %zu prefiltered, %zu by PCRE2 alone\n", p.patterns, p.views, p.exact, p.prefilter, p.alone);
	rules_free(rules);
	return 0;
}

static int
test(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)argv;
	(void)argc;
	return rules_tests(config, o);
}

static int
corpus(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	return rules_corpus(config, argv, argc, o);
}

static int
bench(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	return rules_bench(config, argv, argc, o);
}

static int
diff(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)config;
	return rules_diff(argv[0], argv[1], argv + 2, argc - 2, o);
}

static int
import_sa(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)config;
	return rules_import_files("sa", argv, argc, o);
}

static int
import_rspamd(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)config;
	return rules_import_files("rspamd", argv, argc, o);
}

static int
tune(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	return rules_tune(config, argv, argc, o);
}

static int
promote(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)argc;
	return rules_set_mode(config, argv[0], o->share > 0 ? "canary" : "on", o);
}

static int
demote(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)argc;
	return rules_set_mode(config, argv[0], o->mode ? o->mode : "shadow", o);
}

static int
status(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)config;
	(void)argv;
	(void)argc;
	(void)o;
	return rules_status();
}

static int
fetch(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	(void)argv;
	(void)argc;
	(void)o;
	return rules_fetch(config);
}

/* Of the rule kit alone: whatever is wrong with rules here, the manual tells how they are written. */
static int
doc(const struct config *config, char **argv, int argc, const struct rules_options *o)
{
	static struct config alone;
	enum manual_form form = 0;
	struct buf out = { 0 };

	(void)o;
	while (argc > 0 && form < MANUAL__COUNT && strcmp(argv[0], manual_form_names[form]) != 0)
		form++;
	if (form == MANUAL__COUNT) {
		fprintf(stderr, "policyctl rules doc: \"%s\" is no form of it; text, man, luals or luarc\n", argv[0]);
		return 2;
	}
	alone = *config;
	alone.rule_dir_count = 0;
	struct rules *rules = rules_tool_load(&alone);

	if (rules == NULL)
		return 1;
	rules_manual(rules, form, &out);
	fwrite(out.p, 1, out.failed ? 0 : out.n, stdout);
	rules_free(rules);
	buf_free(&out);
	return 0;
}

static const struct {
	const char *name;
	int least;                           /* arguments */
	bool takes_dirs;                     /* they are rule directories */
	int (*run)(const struct config *config, char **argv, int argc, const struct rules_options *o);
} commands[] = {
	{ "check", 0, true, check }, { "test", 0, true, test }, { "corpus", 1, false, corpus }, { "bench", 1, false, bench },
	{ "diff", 3, false, diff }, { "tune", 1, false, tune }, { "promote", 1, false, promote }, { "demote", 1, false, demote },
	{ "status", 0, false, status }, { "fetch-maps", 0, false, fetch }, { "doc", 0, false, doc },
	 { "import-sa", 1, false, import_sa }, { "import-rspamd", 1, false, import_rspamd },
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int
usage(const char *what)
{
	const char *names[COMMANDS];

	for (int i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	const char *near = what[0] ? nearest_name(what, names, COMMANDS) : NULL;

	if (near && strcmp(near, what) != 0)
		fprintf(stderr, "policyctl rules: unknown command \"%s\"; did you mean \"%s\"?\n", what, near);
	fputs(help, stderr);
	return 2;
}

int
cmd_rules(int argc, char **argv)
{
	enum { FALSE_POSITIVES = 256, MAILS, HITS, JUNIT, PCRE, QUIET, PREFIX, CUSTOMER, CANARY, OFF, WHY, PENALTY };
	static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { "rules", required_argument, NULL, 'r' },
	    { "jobs", required_argument, NULL, 'j' }, { "output", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' },
	    { "false-positives", no_argument, NULL, FALSE_POSITIVES }, { "mails", no_argument, NULL, MAILS },
	    { "hits", no_argument, NULL, HITS }, { "junit", no_argument, NULL, JUNIT }, { "pcre", no_argument, NULL, PCRE },
	    { "quiet", no_argument, NULL, QUIET }, { "prefix", required_argument, NULL, PREFIX },
	    { "customer", required_argument, NULL, CUSTOMER }, { "canary", required_argument, NULL, CANARY }, { "off", no_argument, NULL, OFF },
	    { "why", required_argument, NULL, WHY }, { "penalty", required_argument, NULL, PENALTY }, { NULL, 0, NULL, 0 } };
	static struct config config;
	struct rules_options o = { .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN), .config_file = ctl_config_path };
	const char *what;
	int i = 0, c;

	while ((c = getopt_long(argc, argv, "c:r:j:o:h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(help, stdout);
			return 0;
		case 'c': o.config_file = optarg; break;
		case 'r':
			if (o.dir_count == MAX_RULE_DIRS)
				return usage("");
			o.dirs[o.dir_count++] = optarg;
			break;
		case 'j': o.jobs = atoi(optarg); break;
		case 'o': o.out = optarg; break;
		case FALSE_POSITIVES: o.show = SHOW_FALSE_POSITIVES; break;
		case MAILS: o.show = SHOW_ALL; break;
		case HITS: o.show = SHOW_HITS; break;
		case JUNIT: o.junit = true; break;
		case PCRE: o.alone = true; break;
		case QUIET: o.quiet = true; break;
		case PREFIX: o.prefix = optarg; break;
		case CUSTOMER: o.customer = optarg; break;
		case CANARY:
			o.share = atoi(optarg);
			if (o.share < 1 || o.share > 99) {
				fprintf(stderr, "policyctl rules: --canary takes 1 to 99 of 100 mails\n");
				return 2;
			}
			break;
		case PENALTY: o.penalty = atof(optarg); break;
		case OFF: o.mode = "off"; break;
		case WHY: o.why = optarg; break;
		default: return usage("");
		}
	}
	what = strcmp(argv[0], "tune") == 0 ? "tune" : optind < argc ? argv[optind++] : "";
	o.jobs = o.jobs < 1 ? 1 : o.jobs;
	argv += optind;
	argc -= optind;
	while (i < COMMANDS && strcmp(commands[i].name, what) != 0)
		i++;
	if (i == COMMANDS || argc < commands[i].least)
		return usage(what);
	if (!rules_tool_config(o.config_file, commands[i].takes_dirs && argc > 0 ? argv : o.dirs,
	    commands[i].takes_dirs && argc > 0 ? argc : o.dir_count, &config))
		return 2;
	return commands[i].run(&config, argv, argc, &o);
}
