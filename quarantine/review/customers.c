#include "quarantine/review/customers.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/utf8.h"

enum { VALUE_MOST = CUSTOMER_VALUE_ROOM - 1 };

/* What may be set, and what it is when nobody has. */
static const struct field {
	const char *name, *otherwise;
	const char *const *words;            /* NULL: free text */
} fields[] = {
	{ "brand", "policyd", NULL },
	{ "admin_reads", "no", (const char *const[]){ "no", "yes", NULL } },
	{ "language", "en", (const char *const[]){ "en", "de", NULL } },
	{ "digest", "off", (const char *const[]){ "off", "hourly", "daily", "weekly", NULL } },
	{ "admin_digest", "off", (const char *const[]){ "off", "hourly", "daily", "weekly", NULL } },
	{ "request_digest", "off", (const char *const[]){ "off", "hourly", "daily", "weekly", NULL } },
	{ "admin_mail", "", NULL },
	{ "digest_hour", "7", (const char *const[]){ "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17",
	    "18", "19", "20", "21", "22", "23", NULL } },
};

static void
customers_path(const struct review *r, char path[REVIEW_PATH_ROOM])
{
	snprintf(path, REVIEW_PATH_ROOM, "%s/review/customers.json", r->self->config->state);
}

bool
customers_load(struct review *r)
{
	char path[REVIEW_PATH_ROOM];

	customers_path(r, path);
	r->customers = file_json(path);
	if (r->customers == NULL)
		r->customers = json_object();
	return json_is_object(r->customers);
}

static const struct field *
field_find(const char *name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

const char *
customer_value(const struct review *r, const char *customer, const char *field)
{
	const char *value = json_string_value(json_object_get(json_object_get(r->customers, customer), field));
	const struct field *f = field_find(field);

	if (value == NULL)
		value = json_string_value(json_object_get(json_object_get(r->customers, ""), field));
	return value ? value : f ? f->otherwise : "";
}

bool
customer_admin_reads(const struct review *r, const char *customer)
{
	return strcmp(customer_value(r, customer, "admin_reads"), "yes") == 0;
}

const char *
customer_brand(const struct review *r, const char *customer)
{
	return customer_value(r, customer, "brand");
}

static bool
value_good(const struct field *f, const char *value)
{
	if (f->words == NULL) {
		if (strlen(value) > VALUE_MOST || !utf8_valid(span_of(value)))
			return false;
		for (; *value; value++)
			if ((unsigned char)*value < ' ' || *value == 0x7f)
				return false;
		return true;
	}
	for (size_t i = 0; f->words[i]; i++)
		if (strcmp(f->words[i], value) == 0)
			return true;
	return false;
}

/* "a@b.example, c@d.example" */
static bool
addresses_good(const char *value)
{
	for (struct span left = span_of(value), one; left.n > 0;) {
		one = span_trim(span_cut(&left, ','));
		size_t at = span_find_last(one, '@');

		if (one.n == 0 || at == SPAN_NONE || at == 0 || at + 1 == one.n || span_find_char(one, ' ') != SPAN_NONE || span_find_char(one, '<') != SPAN_NONE ||
		    span_find_char(one, '>') != SPAN_NONE)
			return false;
	}
	return true;
}

const char *
customer_set(struct review *r, const char *customer, const char *field, const char *value)
{
	const struct field *f = field_find(field);
	json_t *of = json_object_get(r->customers, customer);
	char path[REVIEW_PATH_ROOM];

	if (f == NULL)
		return "unknown field";
	if (value[0] && !value_good(f, value))
		return "no good value for that field";
	if (strcmp(field, "admin_mail") == 0 && !addresses_good(value))
		return "addresses with commas between them are expected";
	if (of == NULL)
		json_object_set_new(r->customers, customer, of = json_object());
	if (value[0])
		json_object_set_new(of, field, json_string(value));
	else
		json_object_del(of, field);
	char *text = json_dumps(r->customers, JSON_INDENT(1) | JSON_SORT_KEYS);

	customers_path(r, path);
	bool good = text && file_replace(path, text, strlen(text));

	free(text);
	return good ? NULL : "it cannot be written; see the log";
}

json_t *
customers_control(struct review *r, json_t *request)
{
	const char *customer = json_string_value(json_object_get(request, "customer")), *name, *why;
	json_t *values = json_object_get(request, "values"), *value, *reply = json_object();

	customer = customer ? customer : "";
	json_object_foreach(values, name, value) {
		why = customer_set(r, customer, name, json_string_value(value) ? json_string_value(value) : "");
		if (why) {
			json_decref(reply);
			return json_pack("{s:o, s:i}", "error", json_sprintf("%s: %s", name, why), "exit", 2);
		}
	}
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set_new(reply, fields[i].name, json_string(customer_value(r, customer, fields[i].name)));
	return json_pack("{s:s, s:o}", "customer", customer, "values", reply);
}
