/* system.c - /health, /metrics, the files of the pages. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/system.h"

enum { ASSET_MOST = 512 * 1024 };

static struct asset {
	const char *name, *type;
	char etag[24];
	struct buf bytes;
} assets[] = {
	{ .name = "app.css", .type = "text/css; charset=utf-8" },
	{ .name = "app.js", .type = "text/javascript; charset=utf-8" },
	{ .name = "icon.svg", .type = "image/svg+xml" },
	{ .name = "openapi.json", .type = "application/json" },
};

bool
assets_load(const char *dir, char *why, size_t room)
{
	for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
		struct asset *a = &assets[i];
		char path[PATH_ROOM + 32];
		uint8_t digest[SHA256_DIGEST_LENGTH];

		snprintf(path, sizeof path, "%s/%s", dir, a->name);
		FILE *f = fopen(path, "re");

		buf_clear(&a->bytes);
		if (f && buf_reserve(&a->bytes, ASSET_MOST))
			a->bytes.n = fread(a->bytes.p, 1, ASSET_MOST, f);
		if (f)
			fclose(f);
		if (a->bytes.n == 0) {
			snprintf(why, room, "%s: cannot be read; web_dir says where the pages' files are", path);
			return false;
		}
		SHA256((const unsigned char *)a->bytes.p, a->bytes.n, digest);
		snprintf(a->etag, sizeof a->etag, "\"%02x%02x%02x%02x%02x%02x\"", digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
	}
	return true;
}

static void
send_asset(struct call *c, const char *name)
{
	for (size_t i = 0; i < sizeof assets / sizeof *assets; i++) {
		const struct asset *a = &assets[i];
		struct http_reply reply = { .status = 200, .type = a->type, .cache = "no-cache", .etag = a->etag };

		if (strcmp(a->name, name) != 0)
			continue;
		if (span_eq(http_field(&c->http->head, "if-none-match"), span_of(a->etag)))
			reply.status = 304;
		else
			buf_add_span(&c->out, buf_span(&a->bytes));
		call_bare(c, &reply);
		return;
	}
	call_error(c, 404, T_NOT_THERE);
}

void
get_static(struct call *c)
{
	send_asset(c, strcmp(c->args[0], "openapi.json") == 0 ? "" : c->args[0]);
}

void
get_openapi(struct call *c)
{
	send_asset(c, "openapi.json");
}

/* 200 when mail can be looked up and released here, 503 with what is missing. */
void
get_health(struct call *c)
{
	const struct review *r = c->review;
	bool store = json_is_object(r->store_status) && json_object_get(r->store_status, "error") == NULL;
	bool broker = json_is_object(r->broker_status) && json_object_get(r->broker_status, "error") == NULL;
	bool full = json_is_true(json_object_get(r->store_status, "full"));
	bool good = store && broker && !full;
	json_t *reply = json_pack("{s:s, s:s, s:s, s:s}", "status", good ? "ok" : "degraded", "store", !store ? "silent" : full ? "full" : "ok", "broker",
	    broker ? "ok" : "silent", "version", POLICYD_VERSION);

	call_json(c, good ? 200 : 503, reply);
}

/* Counts tell a stranger how much mail there is: only to this machine itself, or to the provider's people by their key. */
static bool
may_measure(const struct call *c)
{
	const struct ip *ip = &c->http->client;
	bool local = (ip->family == AF_INET && ip->bytes[0] == 127) ||
	    (ip->family == AF_INET6 && memcmp(ip->bytes, &in6addr_loopback, sizeof in6addr_loopback) == 0);

	return (local && http_field(&c->http->head, "x-forwarded-for").n == 0) || c->who.role == ROLE_SUPPORT || c->who.role == ROLE_ABUSE;
}

void
get_metrics(struct call *c)
{
	if (!may_measure(c)) {
		call_error(c, 403, T_NOT_ALLOWED);
		return;
	}
	for (int i = 0; i < M__COUNT; i++) {
		struct span name = span_of(metric_names[i]);
		bool gauge = span_ends(name, SPAN("_now"));

		if (gauge)
			name.n -= 4;
		buf_printf(&c->out, "# TYPE policyd_" SPAN_FMT "%s %s\npolicyd_" SPAN_FMT "%s %lld\n", SPAN_ARG(name), gauge ? "" : "_total",
		    gauge ? "gauge" : "counter", SPAN_ARG(name), gauge ? "" : "_total", (long long)metrics_get((enum metric)i));
	}
	call_bare(c, &(struct http_reply){ .status = 200, .type = "text/plain; version=0.0.4; charset=utf-8" });
}
