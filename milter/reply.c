#include "milter/reply.h"

void
reply_clean(struct span text, char to[2 * MAX_REPLY_TEXT])
{
	size_t n = 0;

	text = span_head(text, MAX_REPLY_TEXT - 1);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '%')
			to[n++] = '%';
		to[n++] = c < 0x20 || c > 0x7e ? (c == '\r' || c == '\n' || c == '\t' ? ' ' : '?') : c;
	}
	to[n] = '\0';
}
