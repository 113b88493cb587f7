/* facts.c - see the header. Strings go out as they are read: four megabytes of text need no second copy. */
#include "tests/suites/facts.h"

#include <openssl/sha.h>

#include "policyd/mail/forged.h"
#include "policyd/scan/decide.h"

static const struct { enum mail_class class; const char *name; } class_names[] = {
	{ CLASS_SPAM, "spam" }, { CLASS_VIRUS, "virus" }, { CLASS_PHISH, "phish" }, { CLASS_BANNED, "banned" },
	{ CLASS_BULK, "bulk" }, { CLASS_UNSCANNABLE, "unscannable" },
};

static void
put(FILE *out, struct span s)
{
	putc('"', out);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static void
put_field(FILE *out, const char *name, struct span value)
{
	fprintf(out, ", \"%s\": ", name);
	put(out, value);
}

static void
put_parts(FILE *out, const struct message *msg, bool data)
{
	static const char *const kinds[] = { [PART_TEXT] = "text", [PART_HTML] = "html", [PART_MULTIPART] = "multipart",
	    [PART_MESSAGE] = "message", [PART_ATTACHMENT] = "attachment" };

	fprintf(out, ", \"parts\": [");
	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];
		unsigned char digest[SHA256_DIGEST_LENGTH];

		SHA256((const unsigned char *)(p->data.p ? p->data.p : ""), p->data.n, digest);
		fprintf(out, "%s{\"parent\": %d, \"reading\": %d, \"kind\": \"%s\", \"raw_size\": %zu, \"size\": %zu", i ? ", " : "", p->parent, p->reading,
		    kinds[p->kind], p->raw.n, p->data.n);
		put_field(out, "type", p->type);
		put_field(out, "real_type", p->real_type);
		put_field(out, "charset", p->charset);
		put_field(out, "encoding", p->encoding);
		put_field(out, "disposition", p->disposition);
		put_field(out, "name", p->file_name);
		if (p->kind == PART_TEXT || p->kind == PART_HTML)
			put_field(out, "text", p->text);
		fprintf(out, ", \"sha256\": \"");
		for (size_t k = 0; k < sizeof digest; k++)
			fprintf(out, "%02x", digest[k]);
		putc('"', out);
		if (data) {
			fprintf(out, ", \"data\": \"");
			for (size_t k = 0; k < p->data.n; k++)
				fprintf(out, "%02x", (unsigned char)p->data.p[k]);
			putc('"', out);
		}
		putc('}', out);
	}
	fprintf(out, "]");
}

static void
put_verdict(FILE *out, const struct scan *scan)
{
	const struct verdict *v = &scan->verdict;
	const struct judgement judgement = { .points = verdict_points(v), .classes = v->classes, .defer = v->defer };
	struct policy policy;
	const char *between = "";

	policy_default(&policy);
	fprintf(out, ", \"outcome\": \"%s\", \"points\": %g, \"classes\": [", outcome_names[decide(&policy, &judgement)], judgement.points);
	for (size_t i = 0; i < sizeof class_names / sizeof *class_names; i++)
		if (v->classes & class_names[i].class) {
			fprintf(out, "%s\"%s\"", between, class_names[i].name);
			between = ", ";
		}
	fprintf(out, "], \"symbols\": {");
	for (size_t i = 0; i < v->count; i++) {
		fprintf(out, "%s", i ? ", " : "");
		put(out, v->at[i].name);
		fprintf(out, ": ");
		put(out, v->at[i].evidence);
	}
	fprintf(out, "}");
}

void
facts_print(FILE *out, const char *path, const struct scan *scan, struct cost cost, bool data)
{
	const struct message *msg = &scan->message;
	struct forged *forged;
	size_t forged_count = message_forged(msg, SPAN("mx.customer.example"), scan->arena, &forged);

	fprintf(out, "{\"file\": ");
	put(out, span_of(path));
	fprintf(out, ", \"ms\": %.3f, \"mb\": %.1f", (double)cost.us / 1000, (double)cost.peak_kb / 1024);
	put_verdict(out, scan);
	put_field(out, "from", msg->from.addr);
	put_field(out, "from_domain", msg->from.domain);
	put_field(out, "subject", msg->subject);
	put_field(out, "text", msg->text);
	put_field(out, "hidden", msg->hidden);
	fprintf(out, ", \"hosts\": [");
	for (size_t i = 0; i < msg->link_count; i++) {
		fprintf(out, "%s", i ? ", " : "");
		put(out, msg->links[i].host);
	}
	fprintf(out, "], \"entries\": [");
	for (size_t i = 0; i < msg->entry_count; i++) {
		fprintf(out, "%s", i ? ", " : "");
		put(out, msg->entries[i].name);
	}
	fprintf(out, "], \"forged\": [");
	for (size_t i = 0; i < forged_count; i++) {
		fprintf(out, "%s", i ? ", " : "");
		put(out, forged[i].name);
	}
	fprintf(out, "]");
	put_parts(out, msg, data);
	fprintf(out, "}\n");
}

void
facts_died(FILE *out, const char *path, int signal, int code)
{
	fprintf(out, "{\"file\": ");
	put(out, span_of(path));
	fprintf(out, ", \"died\": \"%s %d\"}\n", signal ? "signal" : "exit code", signal ? signal : code);
}
