#include "milter/events.h"

#include <libmilter/mfapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/link.h"
#include "milter/reply.h"
#include "milter/spool.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/rcpt.h"
#include "policyd/scan/decide.h"
#include "policyd/scan/lane.h"
#include "policyd/wire.h"

enum { STEP_MS = 20 * 1000, PROGRESS_MS = 5000, EOM_GRACE_MS = 2000 };

/* ---- settings: swapped by the main thread, held by the mails that began with them ---- */

struct settings {
	const struct config *config;
	int users;
};
static struct settings *settings;
static pthread_mutex_t settings_lock = PTHREAD_MUTEX_INITIALIZER;
static char listener_context[32];
static _Atomic uint64_t next_number = 1;
static _Atomic int active;

static void
settings_drop(struct settings *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&settings_lock);
	bool last = --s->users == 0;

	pthread_mutex_unlock(&settings_lock);
	if (last) {
		config_unmap(s->config);
		free(s);
	}
}

static struct settings *
settings_hold(void)
{
	pthread_mutex_lock(&settings_lock);
	struct settings *s = settings;

	s->users++;
	pthread_mutex_unlock(&settings_lock);
	return s;
}

void
events_config(const struct config *config)
{
	struct settings *fresh = calloc(1, sizeof *fresh), *old;

	if (fresh == NULL) {
		config_unmap(config);
		return;
	}
	*fresh = (struct settings){ config, 1 };
	pthread_mutex_lock(&settings_lock);
	old = settings;
	settings = fresh;
	pthread_mutex_unlock(&settings_lock);
	settings_drop(old);
}

int
events_active(void)
{
	return atomic_load(&active);
}

/* ---- one client ---- */

struct client {
	uint64_t conn, conn_generation;      /* generation of the link that knows of the connection */
	uint64_t tx, tx_generation;          /* 0: no transaction */
	struct session session;
	struct envelope envelope;
	char **recipients;                   /* raw RCPT arguments: what delrcpt must be told, octet by octet; behind
	                                        the NUL of each its ESMTP parameters, "NOTIFY=NEVER ORCPT=..." */
	uint32_t recipient_count, recipient_room;
	struct settings *settings;           /* of the present mail */
	unsigned long steps;                 /* negotiated */
	unsigned lane_hints;                 /* enum lane_hint, of the header so far */
	bool may_replace;                    /* the MTA lets us add recipients with DSN parameters */
	struct spool spool;
};

/* Steps that decide nothing send no reply where the MTA agreed to that. */
static sfsistat
no_reply(const struct client *c, unsigned long flag)
{
	return c->steps & flag ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static void
copy_text(char *to, size_t room, const char *text)
{
	snprintf(to, room, "%s", text ? text : "");
}

static const char *
macro(SMFICTX *ctx, const char *name)
{
	return smfi_getsymval(ctx, (char *)name);
}

static void
recipients_free(struct client *c)
{
	for (uint32_t i = 0; i < c->recipient_count; i++)
		free(c->recipients[i]);
	c->recipient_count = 0;
}

/* Nothing of a mail outlives it. */
static void
tx_end(struct client *c)
{
	if (c->tx != 0 && c->tx_generation == gatelink_generation()) {
		struct buf body = { 0 };

		pack_u64(&body, c->tx);
		gatelink_tell(W_TX_END, &body);
	}
	c->tx = 0;
	c->lane_hints = 0;
	recipients_free(c);
	memset(&c->envelope, 0, sizeof c->envelope);
	spool_end(&c->spool);
	settings_drop(c->settings);
	c->settings = NULL;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3, unsigned long *pf0,
    unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
	const unsigned long actions = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_DELRCPT;
	struct client *c;

	(void)f2;
	(void)f3;
	if ((f0 & actions) != actions) {
		log_error("this MTA does not let a milter change headers and delete recipients; mail is deferred");
		return SMFIS_REJECT;
	}
	if ((c = calloc(1, sizeof *c)) == NULL)
		return SMFIS_REJECT;
	c->spool.fd = -1;
	c->steps = f1 & (SMFIP_NR_CONN | SMFIP_NR_HELO | SMFIP_NR_MAIL | SMFIP_NR_HDR | SMFIP_NR_EOH | SMFIP_NR_BODY |
	    SMFIP_NOUNKNOWN | SMFIP_NODATA | SMFIP_HDR_LEADSPC);
	smfi_setpriv(ctx, c);
	c->may_replace = (f0 & SMFIF_ADDRCPT_PAR) != 0;
	*pf0 = actions | (f0 & SMFIF_ADDRCPT_PAR);
	*pf1 = c->steps;
	*pf2 = *pf3 = 0;
	return SMFIS_CONTINUE;
}

/* The connection's struct; an MTA that does not negotiate gets one at the first step. */
static struct client *
client_of(SMFICTX *ctx)
{
	struct client *c = smfi_getpriv(ctx);

	if (c == NULL && (c = calloc(1, sizeof *c)) != NULL) {
		c->spool.fd = -1;
		smfi_setpriv(ctx, c);
	}
	return c;
}

static void
tell_connect(struct client *c)
{
	struct buf body = { 0 };
	uint64_t generation = gatelink_generation();

	pack_u64(&body, c->conn);
	wire_pack_session(&body, &c->session);
	c->conn_generation = gatelink_tell(W_CONNECT, &body) ? generation : 0;
}

static sfsistat
connect_step(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	struct client *c = client_of(ctx);

	if (c == NULL)
		return SMFIS_TEMPFAIL;
	c->conn = atomic_fetch_add(&next_number, 1);
	memset(&c->session, 0, sizeof c->session);
	copy_text(c->session.client_name, sizeof c->session.client_name, host);
	copy_text(c->session.context, sizeof c->session.context, listener_context);
	copy_text(c->session.mta, sizeof c->session.mta, macro(ctx, "j"));
	struct ip *ip = &c->session.client;

	if (address && address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		ip->family = AF_INET;
		ip->port = ntohs(in->sin_port);
		memcpy(ip->bytes, &in->sin_addr, 4);
	} else if (address && address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;
		char text[INET6_ADDRSTRLEN];

		*ip = (struct ip){ .family = AF_INET6 };
		memcpy(ip->bytes, &in6->sin6_addr, 16);
		ip_print(ip, text);
		ip_parse(span_of(text), ip);         /* a v4 client of a v6 socket is a v4 client */
		ip->port = ntohs(in6->sin6_port);
	}
	tell_connect(c);
	return no_reply(c, SMFIP_NR_CONN);
}

static sfsistat
helo_step(SMFICTX *ctx, char *helo)
{
	struct client *c = client_of(ctx);

	if (c == NULL)
		return SMFIS_TEMPFAIL;
	copy_text(c->session.helo, sizeof c->session.helo, helo);
	return no_reply(c, SMFIP_NR_HELO);
}

static void
strip_brackets(char *address)
{
	size_t n = strlen(address);

	if (n >= 2 && address[0] == '<' && address[n - 1] == '>') {
		memmove(address, address + 1, n - 2);
		address[n - 2] = '\0';
	}
}

static sfsistat
envfrom_step(SMFICTX *ctx, char **argv)
{
	struct client *c = client_of(ctx);
	struct buf body = { 0 };

	if (c == NULL)
		return SMFIS_TEMPFAIL;
	tx_end(c);                           /* at MAIL, not at abort: RSET gives none outside a transaction */
	c->settings = settings_hold();
	spool_begin(&c->spool, c->settings->config);
	c->tx = atomic_fetch_add(&next_number, 1);
	copy_text(c->envelope.sender, sizeof c->envelope.sender, argv[0]);
	strip_brackets(c->envelope.sender);
	copy_text(c->envelope.queue_id, sizeof c->envelope.queue_id, macro(ctx, "i"));
	copy_text(c->session.login, sizeof c->session.login, macro(ctx, "{auth_authen}"));
	if (c->conn_generation != gatelink_generation())
		tell_connect(c);             /* the broker is a new one */
	c->tx_generation = c->conn_generation;
	pack_u64(&body, c->conn);
	pack_u64(&body, c->tx);
	wire_pack_session(&body, &c->session);
	wire_pack_envelope(&body, &c->envelope);
	if (!gatelink_tell(W_MAIL, &body))
		c->tx_generation = 0;        /* its recipients are tempfailed */
	return no_reply(c, SMFIP_NR_MAIL);
}

static sfsistat
say(SMFICTX *ctx, sfsistat result, const char *code, const char *xcode, struct span text)
{
	char clean[2 * MAX_REPLY_TEXT];

	reply_clean(text, clean);
	if (smfi_setreply(ctx, (char *)code, (char *)xcode, clean) == MI_FAILURE)
		log_warning("libmilter refused the reply %s %s %s", code, xcode, clean);
	return result;
}

/* The address, and behind it what the client has said of it: a token address inherits that. */
static char *
recipient_text(char **argv)
{
	struct buf text = { 0 };

	buf_add(&text, argv[0], strlen(argv[0]) + 1);
	for (int i = 1; argv[i] && text.n < 4 * MAX_ADDRESS; i++)
		if (strncasecmp(argv[i], "NOTIFY=", 7) == 0 || strncasecmp(argv[i], "ORCPT=", 6) == 0)
			buf_printf(&text, "%s%s", i > 1 ? " " : "", argv[i]);
	buf_add_char(&text, '\0');
	if (!text.failed)
		return text.p;
	buf_free(&text);
	return NULL;
}

static bool
recipient_keep(struct client *c, char **argv)
{
	if (c->recipient_count == c->recipient_room) {
		uint32_t room = c->recipient_room ? c->recipient_room * 2 : 4;
		char **more = realloc(c->recipients, room * sizeof *more);

		if (more == NULL)
			return false;
		c->recipients = more;
		c->recipient_room = room;
	}
	c->recipients[c->recipient_count] = recipient_text(argv);
	return c->recipients[c->recipient_count] != NULL;
}

static sfsistat
envrcpt_step(SMFICTX *ctx, char **argv)
{
	struct client *c = client_of(ctx);
	struct buf body = { 0 }, answer = { 0 };
	char code[8], xcode[16], text[MAX_REPLY_TEXT];

	if (c == NULL || c->tx == 0)         /* RCPT without MAIL */
		return SMFIS_TEMPFAIL;
	if (c->tx_generation != gatelink_generation())
		return say(ctx, SMFIS_TEMPFAIL, "451", "4.3.0", SPAN("The content filter was restarted; try again later"));
	if (c->recipient_count >= MAX_RECIPIENTS)
		return say(ctx, SMFIS_TEMPFAIL, "452", "4.5.3", SPAN("Too many recipients; try the rest later"));
	if (strlen(argv[0]) > MAX_ADDRESS)
		return say(ctx, SMFIS_REJECT, "553", "5.1.3", SPAN("The address is too long"));
	if (!recipient_keep(c, argv))
		return SMFIS_TEMPFAIL;
	pack_u64(&body, c->tx);
	pack_u32(&body, c->recipient_count);
	pack_text(&body, argv[0]);
	if (gatelink_ask(W_RCPT, &body, -1, STEP_MS, STEP_MS, NULL, NULL, W_RCPT_ANSWER, &answer) != GATE_OK) {
		free(c->recipients[c->recipient_count]);
		buf_free(&answer);
		return say(ctx, SMFIS_TEMPFAIL, "451", "4.3.0", SPAN("The content filter gave no answer; try again later"));
	}
	struct unpack u = { buf_span(&answer), false };
	enum rcpt_action action = unpack_u8(&u);

	unpack_text(&u, code, sizeof code);
	unpack_text(&u, xcode, sizeof xcode);
	unpack_text(&u, text, sizeof text);
	buf_free(&answer);
	if (!u.bad && action == RCPT_ACCEPT) {
		c->recipient_count++;        /* never SMFIS_ACCEPT here: it would end the filtering for all */
		return SMFIS_CONTINUE;
	}
	free(c->recipients[c->recipient_count]);
	return say(ctx, action == RCPT_REJECT && !u.bad ? SMFIS_REJECT : SMFIS_TEMPFAIL, code, xcode, span_of(text));
}

static sfsistat
header_step(SMFICTX *ctx, char *name, char *value)
{
	struct client *c = client_of(ctx);

	if (c == NULL || c->settings == NULL)
		return SMFIS_TEMPFAIL;
	c->lane_hints |= lane_hint(span_of(name), span_of(value));
	spool_header(&c->spool, name, value, (c->steps & SMFIP_HDR_LEADSPC) != 0);
	return no_reply(c, SMFIP_NR_HDR);
}

static sfsistat
eoh_step(SMFICTX *ctx)
{
	struct client *c = client_of(ctx);

	if (c == NULL || c->settings == NULL)
		return SMFIS_TEMPFAIL;
	spool_body(&c->spool, SPAN("\r\n"));
	return no_reply(c, SMFIP_NR_EOH);
}

static sfsistat
body_step(SMFICTX *ctx, unsigned char *bytes, size_t size)
{
	struct client *c = client_of(ctx);

	if (c == NULL || c->settings == NULL)
		return SMFIS_TEMPFAIL;
	spool_body(&c->spool, span_make(bytes, size));
	return no_reply(c, SMFIP_NR_BODY);
}

static void
send_progress(void *arg)
{
	smfi_progress(arg);
}

/* libmilter's texts are C strings; a header that carries a NUL ends there, as it does in the MTA. */
static char *
c_string(struct span s, bool leading_space)
{
	char *text = malloc(s.n + 2);

	if (text == NULL)
		return NULL;
	text[0] = ' ';
	memcpy(text + leading_space, s.p ? s.p : "", s.n);
	text[s.n + leading_space] = '\0';
	return text;
}

static bool
apply_edit(SMFICTX *ctx, const struct client *c, enum edit what, struct span name, uint32_t nth, struct span value)
{
	char *header = c_string(name, false), *text = c_string(value, (c->steps & SMFIP_HDR_LEADSPC) != 0);
	int result = MI_FAILURE;

	if (header && text) {
		switch (what) {
		case EDIT_ADD:
			result = smfi_addheader(ctx, header, text);
			break;
		case EDIT_INSERT:
			result = smfi_insheader(ctx, 0, header, text);
			break;
		case EDIT_CHANGE:
			result = smfi_chgheader(ctx, header, (int)nth, text);
			break;
		case EDIT_REMOVE:
			result = smfi_chgheader(ctx, header, (int)nth, NULL);
			break;
		}
	}
	free(header);
	free(text);
	return result == MI_SUCCESS;
}

/* RFC 3461, 4.2: the original recipient in a DSN, unless the client has named one. xtext; beyond ASCII RFC 6533's form. */
static void
add_orcpt(struct buf *parameters, const char *raw)
{
	struct span address = span_of(raw);
	bool ascii = true;

	if (address.n >= 2 && address.p[0] == '<')
		address = span_make(address.p + 1, address.n - 2);
	for (size_t i = 0; i < address.n; i++)
		ascii &= (unsigned char)address.p[i] < 0x80;
	buf_printf(parameters, "%sORCPT=%s;", parameters->n ? " " : "", ascii ? "rfc822" : "utf-8");
	for (size_t i = 0; i < address.n; i++) {
		unsigned char octet = (unsigned char)address.p[i];

		if (octet <= 0x20 || octet == 0x7f || octet == '+' || octet == '=' || (!ascii && octet == '\\'))
			buf_printf(parameters, ascii ? "+%02X" : "\\x{%02X}", octet);
		else
			buf_add_char(parameters, (char)octet);
	}
}

/* Instead of a recipient another address, with what the client has asked of his delivery reports. */
static bool
replace_recipient(SMFICTX *ctx, char *raw, struct span address)
{
	struct buf parameters = { 0 }, to = { 0 };
	const char *said = raw + strlen(raw) + 1;
	bool good;

	if (address.n == 0)                  /* he has his copy by another of the recipients */
		return smfi_delrcpt(ctx, raw) == MI_SUCCESS;
	buf_add_span(&parameters, span_of(said));
	if (span_find_nocase(span_of(said), SPAN("ORCPT=")) == SPAN_NONE)
		add_orcpt(&parameters, raw);
	buf_add_char(&parameters, '\0');
	buf_printf(&to, "<" SPAN_FMT ">", SPAN_ARG(address));
	good = !parameters.failed && !to.failed && smfi_delrcpt(ctx, raw) == MI_SUCCESS &&
	    smfi_addrcpt_par(ctx, to.p, parameters.p) == MI_SUCCESS;
	buf_free(&parameters);
	buf_free(&to);
	return good;
}

/* The broker's outcome, carried out. Any edit that fails tempfails the mail: copies for the quarantine are stored,
 * and the store knows a retry when it sees one. */
static sfsistat
apply_outcome(SMFICTX *ctx, struct client *c, struct span body)
{
	struct unpack u = { body, false };
	enum smtp_reply reply = unpack_u8(&u);
	char code[8], xcode[16], text[MAX_REPLY_TEXT];

	unpack_text(&u, code, sizeof code);
	unpack_text(&u, xcode, sizeof xcode);
	unpack_text(&u, text, sizeof text);
	for (uint32_t n = unpack_u32(&u); n > 0 && !u.bad; n--) {
		uint32_t index = unpack_u32(&u);

		if (u.bad || index >= c->recipient_count || smfi_delrcpt(ctx, c->recipients[index]) != MI_SUCCESS)
			return SMFIS_TEMPFAIL;
	}
	for (uint32_t n = unpack_u32(&u); n > 0 && !u.bad; n--) {
		uint32_t index = unpack_u32(&u);
		struct span address = unpack_span(&u);

		if (u.bad || index >= c->recipient_count || !replace_recipient(ctx, c->recipients[index], address))
			return SMFIS_TEMPFAIL;
	}
	for (uint32_t n = unpack_u32(&u); n > 0 && !u.bad; n--) {
		enum edit what = unpack_u8(&u);
		struct span name = unpack_span(&u);
		uint32_t nth = unpack_u32(&u);
		struct span value = unpack_span(&u);

		if (u.bad || !apply_edit(ctx, c, what, name, nth, value))
			return SMFIS_TEMPFAIL;
	}
	if (u.bad)
		return SMFIS_TEMPFAIL;
	switch (reply) {
	case REPLY_ACCEPT:
		return SMFIS_ACCEPT;
	case REPLY_DISCARD:
		return SMFIS_DISCARD;
	case REPLY_REJECT:
		return say(ctx, SMFIS_REJECT, code, xcode, span_of(text));
	case REPLY_DEFER:
		break;
	}
	return say(ctx, SMFIS_TEMPFAIL, code, xcode, span_of(text));
}

static sfsistat
message(SMFICTX *ctx, struct client *c)
{
	struct buf body = { 0 }, answer = { 0 };
	uint64_t size = c->spool.size;
	int fd = spool_seal(&c->spool);

	if (fd < 0)
		return say(ctx, SMFIS_TEMPFAIL, "452", "4.3.1", SPAN("No room to hold the message; try again later"));
	copy_text(c->envelope.queue_id, sizeof c->envelope.queue_id, macro(ctx, "i"));     /* known by now */
	pack_u64(&body, c->tx);
	pack_text(&body, c->envelope.queue_id);
	pack_u64(&body, size);
	pack_u8(&body, c->spool.truncated);
	pack_u8(&body, c->may_replace);
	pack_u8(&body, (uint8_t)c->lane_hints);
	int timeout_ms = (int)c->settings->config->message_timeout_ms + EOM_GRACE_MS;
	enum gate_result result = gatelink_ask(W_MESSAGE, &body, fd, timeout_ms, PROGRESS_MS, send_progress, ctx, W_OUTCOME, &answer);
	sfsistat status;

	close(fd);
	if (result == GATE_OK)
		status = apply_outcome(ctx, c, buf_span(&answer));
	else
		status = say(ctx, SMFIS_TEMPFAIL, "451", "4.3.0", SPAN("The content filter gave no answer; try again later"));
	buf_free(&answer);
	return status;
}

static sfsistat
eom_step(SMFICTX *ctx)
{
	struct client *c = client_of(ctx);
	sfsistat status = SMFIS_TEMPFAIL;

	if (c == NULL)
		return SMFIS_TEMPFAIL;
	if (c->tx != 0 && c->tx_generation != gatelink_generation())
		status = say(ctx, SMFIS_TEMPFAIL, "451", "4.3.0", SPAN("The content filter was restarted; try again later"));
	else if (c->tx != 0 && c->recipient_count > 0)
		status = message(ctx, c);
	tx_end(c);
	return status;
}

static sfsistat
abort_step(SMFICTX *ctx)
{
	struct client *c = client_of(ctx);

	if (c && c->tx != 0)
		metrics_add(M_ABORTED, 1);
	if (c)
		tx_end(c);
	return SMFIS_CONTINUE;
}

static sfsistat
close_step(SMFICTX *ctx)
{
	struct client *c = smfi_getpriv(ctx);

	if (c == NULL)
		return SMFIS_CONTINUE;
	tx_end(c);
	if (c->conn != 0 && c->conn_generation == gatelink_generation()) {
		struct buf body = { 0 };

		pack_u64(&body, c->conn);
		gatelink_tell(W_CLOSE, &body);
	}
	free(c->recipients);
	free(c);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

/* Every callback is counted, so that a stopping gate knows when the last one has gone. */
#define COUNTED(name, step, params, args)     \
	static sfsistat name params           \
	{                                     \
		atomic_fetch_add(&active, 1); \
		sfsistat status = step args;  \
		atomic_fetch_sub(&active, 1); \
		return status;                \
	}

COUNTED(on_connect, connect_step, (SMFICTX *ctx, char *host, _SOCK_ADDR *address), (ctx, host, address))
COUNTED(on_helo, helo_step, (SMFICTX *ctx, char *helo), (ctx, helo))
COUNTED(on_envfrom, envfrom_step, (SMFICTX *ctx, char **argv), (ctx, argv))
COUNTED(on_envrcpt, envrcpt_step, (SMFICTX *ctx, char **argv), (ctx, argv))
COUNTED(on_header, header_step, (SMFICTX *ctx, char *name, char *value), (ctx, name, value))
COUNTED(on_eoh, eoh_step, (SMFICTX *ctx), (ctx))
COUNTED(on_body, body_step, (SMFICTX *ctx, unsigned char *bytes, size_t size), (ctx, bytes, size))
COUNTED(on_eom, eom_step, (SMFICTX *ctx), (ctx))
COUNTED(on_abort, abort_step, (SMFICTX *ctx), (ctx))
COUNTED(on_close, close_step, (SMFICTX *ctx), (ctx))

bool
events_register(const char *name, const char *context)
{
	struct smfiDesc filter = {
		.xxfi_name = (char *)name, .xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_DELRCPT | SMFIF_ADDRCPT_PAR,
		.xxfi_connect = on_connect, .xxfi_helo = on_helo, .xxfi_envfrom = on_envfrom, .xxfi_envrcpt = on_envrcpt,
		.xxfi_header = on_header, .xxfi_eoh = on_eoh, .xxfi_body = on_body, .xxfi_eom = on_eom,
		.xxfi_abort = on_abort, .xxfi_close = on_close, .xxfi_negotiate = on_negotiate,
	};

	copy_text(listener_context, sizeof listener_context, context);
	return smfi_register(filter) == MI_SUCCESS;
}
