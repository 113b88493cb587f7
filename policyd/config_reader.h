/* config_reader.h - what the files that read the settings share: config.c, config_lists.c. Not for others. */
#ifndef POLICYD_CONFIG_READER_H
#define POLICYD_CONFIG_READER_H

#include <libconfig.h>

#include "policyd/config_values.h"

struct reader {
	struct config *c;
	char *why;
	size_t room;
	bool failed;
};

/* One line an error: FILE:LINE: what. The first is kept; one mistake often makes others. */
void config_complain(struct reader *r, const config_setting_t *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* An unknown setting, and the known name that is nearest. */
void config_unknown(struct reader *r, const config_setting_t *s, const char *group, const char *const *names, size_t count);
/* "a number", "a list": for errors. */
const char *kind_of(const config_setting_t *s);

/* The value, or a complaint and false. checked_text: a text that has a form; an empty one says "as if it were left out". */
bool text_of(struct reader *r, const config_setting_t *s, char *to, size_t room);
bool checked_text(struct reader *r, const config_setting_t *s, enum value_kind kind, char *to, size_t room);
bool number_of(struct reader *r, const config_setting_t *s, double *to);
bool is_list(struct reader *r, const config_setting_t *s, size_t most);

/* config_lists.c: what stands in lists */
void read_dnsbl(struct reader *r, const config_setting_t *s);
void read_milter(struct reader *r, const config_setting_t *s);
void read_nets(struct reader *r, const config_setting_t *s, struct net *nets, uint32_t *count);
/* Addresses, or "@domain". */
void read_bulk_senders(struct reader *r, const config_setting_t *s);
void read_servers(struct reader *r, const config_setting_t *s);
void read_methods(struct reader *r, const config_setting_t *s);
void read_sealers(struct reader *r, const config_setting_t *s);

#endif
