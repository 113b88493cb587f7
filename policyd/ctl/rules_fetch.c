/* rules_fetch.c - policyctl rules fetch-maps: maps that come from elsewhere, into <state>/maps, where the zygote sees them change.
 *
 * For a timer (a systemd timer, cron). It has the network that no worker has, and parses nothing but status, ETag and length.
 * Trust    https with the system's authorities, and the host's name checked; and, where the map has a key, an Ed25519 signature of
 *          the file in URL.sig (64 octets, or their base64). Plain http only with a key
 * Cache    the ETag is kept beside the file and asked with; 304 costs nothing. What does not check, or does not read as a map of its
 *          type, is thrown away, and the one before stays
 * Source   RFC 9110 and 9112 (as an HTTP/1.0 client: no chunks), RFC 8032 */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "policyd/base/buf.h"
#include "policyd/ctl/rules_tool.h"

enum { FETCH_S = 30, KEY_BYTES = 32, SIGNATURE_BYTES = 64, MAX_HEAD = 64 * 1024 };

struct url {
	bool tls;
	char host[256], port[8], path[1024];
};

struct answer {
	int status;
	char etag[256];
	struct buf body;
	char why[200];
};

static bool
url_parse(const char *text, struct url *url)
{
	struct span rest = span_of(text), authority;

	url->tls = span_starts(rest, SPAN("https://"));
	if (!url->tls && !span_starts(rest, SPAN("http://")))
		return false;
	rest = span_from(rest, url->tls ? 8 : 7);
	size_t slash = span_find_char(rest, '/');

	authority = span_head(rest, slash == SPAN_NONE ? rest.n : slash);
	rest = span_from(rest, authority.n);
	snprintf(url->path, sizeof url->path, SPAN_FMT, SPAN_ARG(rest.n ? rest : SPAN("/")));
	struct span port = authority, host = span_cut(&port, ':');

	snprintf(url->host, sizeof url->host, SPAN_FMT, SPAN_ARG(host));
	snprintf(url->port, sizeof url->port, SPAN_FMT, SPAN_ARG(port.n ? port : url->tls ? SPAN("443") : SPAN("80")));
	return host.n > 0 && strpbrk(url->host, " @\r\n") == NULL && strpbrk(url->path, " \r\n") == NULL;
}

/* A connection, its certificate checked; NULL and why. */
static BIO *
open_connection(const struct url *url, SSL_CTX *context, char *why, size_t room)
{
	char where[300];
	BIO *bio;
	SSL *ssl = NULL;
	struct timeval limit = { FETCH_S, 0 };
	int fd = -1;

	snprintf(where, sizeof where, "%s:%s", url->host, url->port);
	bio = url->tls ? BIO_new_ssl_connect(context) : BIO_new_connect(where);
	if (bio && url->tls) {
		BIO_set_conn_hostname(bio, where);
		BIO_get_ssl(bio, &ssl);
		SSL_set_tlsext_host_name(ssl, url->host);
		SSL_set1_host(ssl, url->host);
	}
	if (bio == NULL || BIO_do_connect(bio) <= 0) {
		const char *check = ssl && SSL_get_verify_result(ssl) != X509_V_OK ? X509_verify_cert_error_string(SSL_get_verify_result(ssl)) :
		    strerror(errno ? errno : ECONNREFUSED);

		snprintf(why, room, "%s: cannot connect: %s", where, check);
		BIO_free_all(bio);
		return NULL;
	}
	if (BIO_get_fd(bio, &fd) >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	}
	return bio;
}

static struct span
field_of(struct span head, const char *name)
{
	for (struct span rest = head; rest.n > 0;) {
		struct span line = span_cut(&rest, '\n'), value = line, key = span_cut(&value, ':');

		if (span_eq_nocase(key, span_of(name)))
			return span_trim(value);
	}
	return SPAN("");
}

static bool
take_answer(struct answer *a, struct buf *all)
{
	struct span bytes = buf_span(all), head;
	size_t end = span_find(span_head(bytes, MAX_HEAD), SPAN("\r\n\r\n"));
	uint64_t length;

	if (end == SPAN_NONE || !span_starts(bytes, SPAN("HTTP/1.")) || bytes.n < 12) {
		snprintf(a->why, sizeof a->why, "no answer of HTTP");
		return false;
	}
	head = span_head(bytes, end);
	a->status = atoi(bytes.p + 9);
	snprintf(a->etag, sizeof a->etag, SPAN_FMT, SPAN_ARG(field_of(head, "ETag")));
	buf_add_span(&a->body, span_from(bytes, end + 4));
	if (span_u64(field_of(head, "Content-Length"), &length) && a->status == 200 && length != a->body.n) {
		snprintf(a->why, sizeof a->why, "%zu of %llu octets came", a->body.n, (unsigned long long)length);
		return false;
	}
	return !a->body.failed;
}

static bool
get(const char *text, const char *etag, SSL_CTX *context, struct answer *a)
{
	struct url url;
	struct buf all = { 0 };
	char request[2048], block[16384];
	int n;

	*a = (struct answer){ 0 };
	if (!url_parse(text, &url)) {
		snprintf(a->why, sizeof a->why, "no http or https address");
		return false;
	}
	BIO *bio = open_connection(&url, context, a->why, sizeof a->why);

	if (bio == NULL)
		return false;
	n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\nUser-Agent: policyctl\r\nAccept-Encoding: identity\r\n%s%s%s\r\n",
	    url.path, url.host, etag[0] ? "If-None-Match: " : "", etag, etag[0] ? "\r\n" : "");
	BIO_write(bio, request, n);
	while ((n = BIO_read(bio, block, sizeof block)) > 0 && all.n < MAX_MAP_BYTES)
		buf_add(&all, block, (size_t)n);
	BIO_free_all(bio);
	bool ok = take_answer(a, &all);

	buf_free(&all);
	return ok;
}

/* Raw octets, or base64 of them. */
static bool
octets(struct span text, size_t want, uint8_t *out)
{
	uint8_t decoded[256];

	if (text.n == want) {
		memcpy(out, text.p, want);
		return true;
	}
	text = span_trim(text);
	if (text.n % 4 != 0 || text.n > 300 || EVP_DecodeBlock(decoded, (const uint8_t *)text.p, (int)text.n) < (int)want)
		return false;
	memcpy(out, decoded, want);
	return true;
}

static bool
is_signed(const struct fetched_map *map, struct span bytes, SSL_CTX *context, char *why, size_t room)
{
	uint8_t key[KEY_BYTES], signature[SIGNATURE_BYTES];
	char url[1200];
	struct answer a;
	bool good = false;

	if (!octets(span_of(map->key), KEY_BYTES, key)) {
		snprintf(why, room, "its key is no Ed25519 key in base64");
		return false;
	}
	snprintf(url, sizeof url, "%s.sig", map->url);
	if (!get(url, "", context, &a) || a.status != 200 || !octets(buf_span(&a.body), SIGNATURE_BYTES, signature)) {
		snprintf(why, room, "%s: no signature: %s", url, a.why[0] ? a.why : a.status != 200 ? "not there" : "not 64 octets");
	} else {
		EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, sizeof key);
		EVP_MD_CTX *check = EVP_MD_CTX_new();

		good = public && check && EVP_DigestVerifyInit(check, NULL, NULL, NULL, public) == 1 &&
		    EVP_DigestVerify(check, signature, sizeof signature, (const uint8_t *)bytes.p, bytes.n) == 1;
		if (!good)
			snprintf(why, room, "the signature is not that of its key: thrown away");
		EVP_MD_CTX_free(check);
		EVP_PKEY_free(public);
	}
	buf_free(&a.body);
	return good;
}

static bool
write_file(const char *path, struct span bytes)
{
	char temporary[PATH_ROOM + 340];
	FILE *f;

	snprintf(temporary, sizeof temporary, "%s.new", path);
	f = fopen(temporary, "we");
	bool ok = f && fwrite(bytes.p ? bytes.p : "", 1, bytes.n, f) == bytes.n;

	if (f)
		ok = fclose(f) == 0 && ok;
	return ok && rename(temporary, path) == 0;
}

static void
read_etag(const char *path, char *etag, size_t room)
{
	FILE *f = fopen(path, "re");

	etag[0] = '\0';
	if (f && fgets(etag, (int)room, f))
		etag[strcspn(etag, "\r\n")] = '\0';
	if (f)
		fclose(f);
}

static bool
fetch_map(const struct fetched_map *map, SSL_CTX *context)
{
	char etag_path[PATH_ROOM + 320], etag[256], why[400] = "";
	struct answer a;
	bool ok = false;

	snprintf(etag_path, sizeof etag_path, "%s.etag", map->path);
	read_etag(etag_path, etag, sizeof etag);
	if (access(map->path, R_OK) < 0)
		etag[0] = '\0';
	if (!get(map->url, etag, context, &a)) {
		snprintf(why, sizeof why, "%s", a.why);
	} else if (a.status == 304) {
		printf("%s: as it was\n", map->name);
		ok = true;
	} else if (a.status != 200) {
		snprintf(why, sizeof why, "answered %d", a.status);
	} else if (map->key[0] == '\0' || is_signed(map, buf_span(&a.body), context, why, sizeof why)) {
		struct named_map *read = named_map_read(map->url, map->type, buf_span(&a.body), why, sizeof why);

		ok = read && write_file(map->path, buf_span(&a.body)) && write_file(etag_path, span_of(a.etag));
		if (ok)
			printf("%s: %zu entries\n", map->name, named_map_count(read));
		else if (read)
			snprintf(why, sizeof why, "%s: %s", map->path, strerror(errno));
		named_map_free(read);
	}
	if (!ok)
		fprintf(stderr, "%s: %s: %s\n", map->name, map->url, why);
	buf_free(&a.body);
	return ok;
}

int
rules_fetch(const struct config *config)
{
	struct rules *rules = rules_tool_load(config);
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct fetched_map map;
	char dir[PATH_ROOM + 40];
	int code = 0;

	if (rules == NULL || context == NULL || config->state[0] == '\0') {
		if (rules && config->state[0] == '\0')
			fprintf(stderr, "policyctl rules fetch-maps: needs policyd's settings (-c FILE): maps are kept in its state directory\n");
		rules_free(rules);
		SSL_CTX_free(context);
		return 2;
	}
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_default_verify_paths(context);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	snprintf(dir, sizeof dir, "%s/maps", config->state);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		code = 1;
	}
	for (size_t i = 0; code != 1 && rules_fetched_map(rules, i, &map); i++)
		code = fetch_map(&map, context) ? code : 3;
	rules_free(rules);
	SSL_CTX_free(context);
	return code == 3 ? 1 : code;
}
