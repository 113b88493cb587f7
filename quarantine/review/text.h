/* text.h - what the pages say, in each language: one list, so that nothing is said in one and missing in another. */
#ifndef QUARANTINE_REVIEW_TEXT_H
#define QUARANTINE_REVIEW_TEXT_H

#include <stddef.h>

#include "quarantine/review/catalogue.h"

enum language { LANGUAGE_EN, LANGUAGE_DE, LANGUAGE__COUNT };
extern const char *const language_names[LANGUAGE__COUNT];   /* "en", "de" */

#define TEXT_ENUM(id, en, de) id,
enum text { TEXT_LIST(TEXT_ENUM) T__COUNT };
#undef TEXT_ENUM

const char *text_in(enum language language, enum text what);
enum language language_of(const char *name);                /* English for a name it does not know */

/* The words for a state, a class or a role as the store spells it; the word itself when there are none. */
const char *text_state(enum language language, const char *state);
const char *text_class(enum language language, const char *class_name);
const char *text_class_long(enum language language, const char *class_name);
const char *text_word(enum language language, const char *word);      /* a setting's value: "daily", "yes" */
const char *text_level(enum language language, const char *level);    /* where a policy's value comes from */
const char *text_role(enum language language, const char *role);

#endif
