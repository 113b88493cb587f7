#include "quarantine/review/text.h"

#include <string.h>

const char *const language_names[LANGUAGE__COUNT] = { [LANGUAGE_EN] = "en", [LANGUAGE_DE] = "de" };

#define TEXT_WORDS(id, en, de) [id] = { en, de },
static const char *const words[T__COUNT][LANGUAGE__COUNT] = { TEXT_LIST(TEXT_WORDS) };
#undef TEXT_WORDS

const char *
text_in(enum language language, enum text what)
{
	return words[what][language];
}

enum language
language_of(const char *name)
{
	for (int i = 0; i < LANGUAGE__COUNT; i++)
		if (strncmp(name, language_names[i], 2) == 0)
			return (enum language)i;
	return LANGUAGE_EN;
}

struct named {
	const char *name;
	enum text what;
};

static const char *
look_up(const struct named *list, size_t count, enum language language, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return text_in(language, list[i].what);
	return name;
}

const char *
text_state(enum language language, const char *state)
{
	static const struct named states[] = { { "new", T_STATE_NEW }, { "seen", T_STATE_SEEN }, { "requested", T_STATE_REQUESTED },
	    { "releasing", T_STATE_RELEASING }, { "released", T_STATE_RELEASED }, { "deleted", T_STATE_DELETED }, { "expired", T_STATE_EXPIRED } };

	return look_up(states, sizeof states / sizeof *states, language, state);
}

const char *
text_class(enum language language, const char *class_name)
{
	static const struct named classes[] = { { "spam", T_CLASS_SPAM }, { "bulk", T_CLASS_BULK }, { "phish", T_CLASS_PHISH },
	    { "virus", T_CLASS_VIRUS }, { "banned", T_CLASS_BANNED }, { "unscannable", T_CLASS_UNSCANNABLE } };

	return look_up(classes, sizeof classes / sizeof *classes, language, class_name);
}

const char *
text_class_long(enum language language, const char *class_name)
{
	static const struct named classes[] = { { "spam", T_WHY_SPAM }, { "bulk", T_WHY_BULK }, { "phish", T_WHY_PHISH },
	    { "virus", T_WHY_VIRUS }, { "banned", T_WHY_BANNED }, { "unscannable", T_WHY_UNSCANNABLE } };

	return look_up(classes, sizeof classes / sizeof *classes, language, class_name);
}

const char *
text_level(enum language language, const char *level)
{
	static const struct named levels[] = { { "default", T_LEVEL_DEFAULT }, { "tier", T_LEVEL_TIER }, { "customer", T_LEVEL_CUSTOMER },
	    { "wildcard", T_LEVEL_DOMAIN }, { "domain", T_LEVEL_DOMAIN }, { "mailbox", T_LEVEL_MAILBOX }, { "extension", T_LEVEL_MAILBOX } };

	return look_up(levels, sizeof levels / sizeof *levels, language, level);
}

const char *
text_role(enum language language, const char *role)
{
	static const struct named roles[] = { { "owner", T_ROLE_OWNER }, { "admin", T_ROLE_ADMIN }, { "support", T_ROLE_SUPPORT },
	    { "abuse", T_ROLE_ABUSE } };

	return look_up(roles, sizeof roles / sizeof *roles, language, role);
}

const char *
text_word(enum language language, const char *word)
{
	static const struct named values[] = { { "off", T_OFF }, { "hourly", T_HOURLY }, { "daily", T_DAILY }, { "weekly", T_WEEKLY }, { "yes", T_YES },
	    { "no", T_NO }, { "en", T_ENGLISH }, { "de", T_GERMAN } };

	return look_up(values, sizeof values / sizeof *values, language, word);
}
