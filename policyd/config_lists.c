/* config_lists.c - settings that stand in lists: DNS lists, milter listeners, networks, resolvers. */
#include <stdio.h>

#include "policyd/config_reader.h"

static void
read_codes(struct reader *r, const config_setting_t *s, double points, struct dnsbl_code *codes, uint8_t *count)
{
	if (!is_list(r, s, DNSBL_MAX_CODES))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *text = config_setting_get_string(e);

		if (text == NULL || !value_code(span_of(text), points, &codes[*count]))
			config_complain(r, e, "\"%s\" is no answer code; expected \"127.0.0.2\", \"127.0.0.2-11\" or \"127.0.0.0/16\" (all in 127/8), "
			    "with \"&bits\" and \"=points\", \"=:SUFFIX\" or \"=points:SUFFIX\" behind it or not", text ? text : kind_of(e));
		else
			++*count;
	}
}

/* DNSBL_<NAME> or URIBL_<NAME> is what logs and rules say: capitals, digits and underscores. */
static void
list_name(const char *from, struct dnsbl_list *list)
{
	size_t n = 0;

	for (; *from && *from != '.' && n + 1 < sizeof list->name; from++)
		list->name[n++] = ascii_alnum(*from) ? (char)(*from >= 'a' && *from <= 'z' ? *from - 32 : *from) : '_';
	list->name[n] = '\0';
}

static void
read_asked(struct reader *r, const config_setting_t *s, struct dnsbl_list *list)
{
	if (!is_list(r, s, NAME__COUNT))
		return;
	list->ask = 0;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *text = config_setting_get_string(e);
		int place = 0;

		while (place < NAME__COUNT && (text == NULL || strcmp(text, name_place_names[place]) != 0))
			place++;
		if (place == NAME__COUNT)
			config_complain(r, e, "\"%s\" is nothing that a list of names is asked about; expected \"links\", \"from\", \"reply_to\", "
			    "\"sender\", \"helo\" or \"rdns\"", text ? text : kind_of(e));
		else
			list->ask |= (uint8_t)(1 << place);
	}
}

static void
read_list_type(struct reader *r, const config_setting_t *s, struct dnsbl_list *list)
{
	const char *type = config_setting_get_string(s);

	if (type && strcmp(type, "domain") == 0)
		list->names = 1;
	else if (type == NULL || strcmp(type, "address") != 0)
		config_complain(r, s, "type is \"%s\"; expected \"address\" or \"domain\"", type ? type : kind_of(s));
}

/* What can be said of one kind of list only. */
static void
check_list_kind(struct reader *r, const config_setting_t *s, const struct dnsbl_list *list)
{
	static const struct { const char *name; bool names; } only[] = { { "ask", true }, { "full", true }, { "addresses", true },
	    { "test", true }, { "local", true }, { "ipv4", false }, { "ipv6", false } };

	for (size_t i = 0; i < sizeof only / sizeof *only && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_member(s, only[i].name);

		if (e && only[i].names != list->names)
			config_complain(r, e, "%s is said of a list of %s; expected it in one with type = \"%s\"", only[i].name,
			    list->names ? "names" : "addresses", only[i].names ? "domain" : "address");
	}
}

void
read_dnsbl(struct reader *r, const config_setting_t *s)
{
	static const char *const names[] = { "zone", "name", "points", "codes", "refused", "ipv4", "ipv6", "probe", "type", "ask", "full",
	    "addresses", "test", "local" };
	struct dnsbl_list *list = &r->c->dnsbl[r->c->dnsbl_count];
	const struct { const char *name; uint8_t *at; } flags[] = { { "ipv4", &list->ipv4 }, { "ipv6", &list->ipv6 },
	    { "probe", &list->probe }, { "full", &list->full }, { "addresses", &list->addresses } };
	const config_setting_t *codes = NULL;
	char name[64] = "";

	*list = (struct dnsbl_list){ .ipv4 = 1, .ipv6 = 1, .probe = 1, .ask = 1 << NAME_LINK | 1 << NAME_FROM | 1 << NAME_REPLY | 1 << NAME_SENDER,
	    .test = "test" };
	if (!config_setting_is_group(s)) {
		config_complain(r, s, "an element of dnsbl is %s; expected a group { zone = ...; points = ...; }", kind_of(s));
		return;
	}
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *key = config_setting_name(e);
		size_t flag = 0;

		while (flag < sizeof flags / sizeof *flags && strcmp(key, flags[flag].name) != 0)
			flag++;
		if (strcmp(key, "zone") == 0)
			checked_text(r, e, VALUE_DOMAIN, list->zone, sizeof list->zone - 64);   /* room for the nibbles of an IPv6 address */
		else if (strcmp(key, "name") == 0)
			text_of(r, e, name, sizeof list->name);
		else if (strcmp(key, "points") == 0)
			number_of(r, e, &list->points);
		else if (strcmp(key, "codes") == 0)
			codes = e;
		else if (strcmp(key, "refused") == 0)
			read_codes(r, e, 0, list->refused, &list->refused_count);
		else if (strcmp(key, "type") == 0)
			read_list_type(r, e, list);
		else if (strcmp(key, "ask") == 0)
			read_asked(r, e, list);
		else if (strcmp(key, "test") == 0)
			checked_text(r, e, VALUE_DOMAIN, list->test, sizeof list->test);
		else if (strcmp(key, "local") == 0)
			checked_text(r, e, VALUE_PATH, list->local, sizeof list->local);
		else if (flag < sizeof flags / sizeof *flags && config_setting_type(e) == CONFIG_TYPE_BOOL)
			*flags[flag].at = (uint8_t)config_setting_get_bool(e);
		else if (flag < sizeof flags / sizeof *flags)
			config_complain(r, e, "%s is %s; expected true or false", key, kind_of(e));
		else
			config_unknown(r, e, "dnsbl", names, sizeof names / sizeof *names);
	}
	if (codes)
		read_codes(r, codes, list->points, list->codes, &list->code_count);
	if (!r->failed)
		check_list_kind(r, s, list);
	if (!r->failed && list->zone[0] == '\0')
		config_complain(r, s, "a DNS list without a zone; expected zone = \"bl.example\"");
	list_name(name[0] ? name : list->zone, list);
	/* A welcome list has no "must be absent" test point; a copy of our own needs no probe. */
	if (list->points < 0 || list->local[0])
		list->probe = 0;
	for (uint32_t i = 0; i < r->c->dnsbl_count; i++)
		if (strcmp(r->c->dnsbl[i].name, list->name) == 0)
			config_complain(r, s, "a second DNS list called \"%s\"; give one of them a name of its own: name = \"...\"", list->name);
	r->c->dnsbl_count++;
}

void
read_milter(struct reader *r, const config_setting_t *s)
{
	static const char *const names[] = { "socket", "context", "group", "mode" };
	struct listener *l = &r->c->milter[r->c->milter_count];

	*l = (struct listener){ .context = "mx", .mode = 0660 };
	if (!config_setting_is_group(s)) {
		config_complain(r, s, "an element of listen.milter is %s; expected a group { socket = ...; context = ...; }", kind_of(s));
		return;
	}
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *key = config_setting_name(e);

		if (strcmp(key, "socket") == 0)
			checked_text(r, e, VALUE_SOCKET, l->socket, sizeof l->socket);
		else if (strcmp(key, "context") == 0)
			text_of(r, e, l->context, sizeof l->context);
		else if (strcmp(key, "group") == 0)
			checked_text(r, e, VALUE_GROUP, l->group, sizeof l->group);
		else if (strcmp(key, "mode") == 0 && config_setting_type(e) == CONFIG_TYPE_INT)
			l->mode = (uint32_t)config_setting_get_int(e) & 0777;
		else if (strcmp(key, "mode") == 0)
			config_complain(r, e, "mode is %s; expected a number such as 0x1b0 (0660)", kind_of(e));
		else
			config_unknown(r, e, "listen.milter", names, sizeof names / sizeof *names);
	}
	if (!r->failed && l->socket[0] == '\0')
		config_complain(r, s, "a milter listener without a socket; expected socket = \"unix:/path\" or \"inet:port@host\"");
	for (uint32_t i = 0; i < r->c->milter_count; i++)
		if (strcmp(r->c->milter[i].socket, l->socket) == 0)
			config_complain(r, s, "\"%s\" is another listener's socket already", l->socket);
	r->c->milter_count++;
}

void
read_nets(struct reader *r, const config_setting_t *s, struct net *nets, uint32_t *count)
{
	*count = 0;
	if (!is_list(r, s, MAX_NETS))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *text = config_setting_get_string(e);

		if (text == NULL || !net_parse(span_of(text), &nets[(*count)++]))
			config_complain(r, e, "\"%s\" is no network; expected \"192.0.2.0/24\" or \"2001:db8::/32\"", text ? text : kind_of(e));
	}
}

void
read_servers(struct reader *r, const config_setting_t *s)
{
	if (!is_list(r, s, MAX_DNS_SERVERS))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *text = config_setting_get_string(e);

		if (text == NULL || !value_resolver(text, &r->c->dns_server[r->c->dns_server_count++]))
			config_complain(r, e, "\"%s\" is no resolver; expected \"127.0.0.1:53\" or \"[::1]:53\"", text ? text : kind_of(e));
	}
}

/* auth.results: the methods that our Authentication-Results tells. */
void
read_methods(struct reader *r, const config_setting_t *s)
{
	static const struct { const char *name; enum auth_method method; } methods[] = {
		{ "auth", METHOD_AUTH }, { "iprev", METHOD_IPREV }, { "spf", METHOD_SPF }, { "dkim", METHOD_DKIM },
		{ "dmarc", METHOD_DMARC }, { "arc", METHOD_ARC },
	};
	const size_t count = sizeof methods / sizeof *methods;

	r->c->auth_results = 0;
	if (!is_list(r, s, count))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const char *text = config_setting_get_string(e);
		size_t k = 0;

		while (k < count && (text == NULL || strcmp(methods[k].name, text) != 0))
			k++;
		if (k == count)
			config_complain(r, e, "\"%s\" is no method of auth.results; expected auth, iprev, spf, dkim, dmarc, arc", text ? text : kind_of(e));
		else
			r->c->auth_results |= (uint8_t)methods[k].method;
	}
}

void
read_sealers(struct reader *r, const config_setting_t *s)
{
	r->c->arc_sealer_count = 0;
	if (!is_list(r, s, MAX_ARC_SEALERS))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		char *to = r->c->arc_sealers[r->c->arc_sealer_count++];

		if (checked_text(r, config_setting_get_elem(s, (unsigned)i), VALUE_DOMAIN, to, sizeof r->c->arc_sealers[0]))
			for (char *p = to; *p; p++)
				*p = ascii_lower(*p);
	}
}

void
read_bulk_senders(struct reader *r, const config_setting_t *s)
{
	if (!is_list(r, s, MAX_BULK_SENDERS))
		return;
	r->c->bulk_sender_count = 0;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		char *to = r->c->bulk_senders[r->c->bulk_sender_count++];

		if (text_of(r, e, to, sizeof r->c->bulk_senders[0]) && strchr(to, '@') == NULL)
			config_complain(r, e, "\"%s\" is no sender; expected \"news@shop.example\" or \"@letters.example\"", to);
	}
}
