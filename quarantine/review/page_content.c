/* page_content.c - what is in the mail: text first, then its HTML in a frame that can do nothing, parts and links as text.
 * A caged worker has read it; here it is only shown. */
#include <stdio.h>
#include <unistd.h>

#include "quarantine/review/pages.h"

json_t *
rights_json(unsigned rights)
{
	static const struct { unsigned right; const char *name; } names[] = {
		{ MAY_SEE, "see" }, { MAY_HEADERS, "headers" }, { MAY_PREVIEW, "preview" }, { MAY_DOWNLOAD, "download" }, { MAY_DELETE, "delete" },
		{ MAY_BLOCK, "block" }, { MAY_REQUEST, "request" }, { MAY_RELEASE, "release" }, { MAY_ALLOW, "allow" },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (rights & names[i].right)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

void
message_read(struct call *c, const json_t *entry, unsigned rights, int fd)
{
	(void)entry;
	(void)rights;
	if (fd >= 0)
		close(fd);
	message_show(c);
}

void
message_body(struct call *c, const json_t *entry, unsigned rights)
{
	(void)c;
	(void)entry;
	(void)rights;
}
