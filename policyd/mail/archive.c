/* archive.c - what is inside an archive, by libarchive, in memory: names, types, what cannot be opened, bombs.
 *
 * Every member is unpacked once, into one buffer, within MAX_UNPACKED for the whole mail: only so is it known how large it
 * really is, what it really is, and whether there is another archive in it. What ClamAV has no reader for (RAR, as Debian
 * builds it; zip by methods of later years; what a password of the mail's own text opens) becomes a part, and is scanned. */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/look.h"

enum { RATIO_BOMB = 200, BOMB_BYTES = 32 * 1024 * 1024, MEMBER_BYTES = 32 * 1024 * 1024, CHUNK = 64 * 1024,
    MAX_PASSWORDS = 16, PASSWORD_TEXT = 64 * 1024 };

enum way { BY_DIRECTORY, BY_LOCAL_HEADERS, AS_STREAM };      /* zip's two tables; a compressed file that is no archive */

struct unpack_buffer {
	char *bytes;                         /* malloc'd, one a depth: an arena would keep every member of every archive */
	size_t n, room;
	uint64_t real;                       /* bytes there were, kept or not */
	bool broken, too_much;
};

/* One file without a name. */
static bool
is_compressed(struct span type)
{
	static const char *const types[] = { "application/gzip", "application/x-bzip2", "application/x-xz", "application/zstd",
	    "application/x-lz4", "application/x-lzip", "application/x-compress", "application/x-lzma" };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (span_eq(type, span_of(types[i])))
			return true;
	return false;
}

/* Only what the library does by itself: support_filter_all() would start programs (lrzip, grzip) by an input's leave. */
static struct archive *
open_archive(const struct look *l, enum way way)
{
	struct archive *ar = archive_read_new();

	if (ar == NULL)
		return NULL;
	archive_read_support_filter_gzip(ar);
	archive_read_support_filter_bzip2(ar);
	archive_read_support_filter_compress(ar);
	archive_read_support_filter_xz(ar);
	archive_read_support_filter_lzma(ar);
	archive_read_support_filter_lzip(ar);
	archive_read_support_filter_lz4(ar);
	archive_read_support_filter_zstd(ar);
	if (is_compressed(l->type))
		archive_read_support_format_raw(ar);
	if (way == AS_STREAM)
		return ar;
	if (way == BY_LOCAL_HEADERS)
		archive_read_support_format_zip_streamable(ar);
	else
		archive_read_support_format_zip_seekable(ar);
	if (span_eq(l->type, SPAN("application/zip")))
		return ar;                   /* nothing else in it, were it ever so like a tar */
	archive_read_support_format_rar(ar);
	archive_read_support_format_rar5(ar);
	archive_read_support_format_7zip(ar);
	archive_read_support_format_tar(ar);
	archive_read_support_format_cab(ar);
	archive_read_support_format_iso9660(ar);
	archive_read_support_format_lha(ar);
	archive_read_support_format_ar(ar);
	archive_read_support_format_cpio(ar);
	archive_read_support_format_xar(ar);
	return ar;
}

/* ---- passwords: "the password is 1234" helps the reader of the mail, so it helps us ---- */

static bool
add_word(struct archive *ar, struct arena *a, struct span word)
{
	while (word.n > 0 && strchr(".,;:!?)\"'>]", word.p[word.n - 1]) != NULL)
		word.n--;
	while (word.n > 0 && strchr("(\"'<[:=", word.p[0]) != NULL)
		word = span_from(word, 1);
	if (word.n < 2 || word.n > 64)
		return false;
	archive_read_add_passphrase(ar, arena_text(a, word));
	return true;
}

/* The three words behind every word for "password" in the texts of the mail. */
static void
add_passwords(struct archive *ar, const struct look *l)
{
	static const char *const words[] = { "passw", "pass:", "pwd", "kennwort", "passcode", "contrase", "mot de passe", "has\xc5\x82o",
	    "\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb", "senha", "code", "pin" };
	const struct message *msg = l->t->msg;
	int count = 0;

	for (size_t i = 0; i < msg->part_count && i <= (size_t)l->part + 8; i++) {
		struct span text = span_head(msg->parts[i].text, PASSWORD_TEXT);

		for (size_t w = 0; w < sizeof words / sizeof *words; w++)
			for (size_t at = 0, hit; count < MAX_PASSWORDS && (hit = span_find_nocase(span_from(text, at), span_of(words[w]))) != SPAN_NONE;) {
				struct span rest = span_head(span_from(text, at + hit + strlen(words[w])), 200);

				at += hit + strlen(words[w]);
				for (int k = 0; k < 4 && rest.n > 0; k++) {
					size_t end = 0;

					rest = span_trim(rest);
					while (end < rest.n && !ascii_space(rest.p[end]))
						end++;
					count += add_word(ar, l->t->a, span_head(rest, end));
					rest = span_from(rest, end);
				}
			}
	}
}

/* ---- members ---- */

static bool
speaks_of_encryption(struct archive *ar)
{
	struct span why = span_of(archive_error_string(ar));

	return span_find_nocase(why, SPAN("ncrypt")) != SPAN_NONE || span_find_nocase(why, SPAN("assphrase")) != SPAN_NONE;
}

static bool
add_bytes(struct unpack_buffer *b, const char *bytes, size_t n)
{
	b->real += n;
	if (n == 0)
		return true;
	if (b->n + n > MEMBER_BYTES) {
		b->too_much = true;
		return true;                 /* counted on, not kept */
	}
	if (b->n + n > b->room) {
		size_t room = b->room ? b->room * 2 : CHUNK;

		while (room < b->n + n)
			room *= 2;
		char *more = realloc(b->bytes, room);

		if (more == NULL) {
			b->too_much = true;
			return false;
		}
		b->bytes = more;
		b->room = room;
	}
	memcpy(b->bytes + b->n, bytes, n);
	b->n += n;
	return true;
}

static bool
is_bomb(const struct look *l, uint64_t unpacked)
{
	return unpacked > BOMB_BYTES && unpacked / RATIO_BOMB > l->data.n;
}

/* Debian's ClamAV has no RAR; it knows the methods of zip up to bzip2; and it is told no passwords. */
static bool
is_beyond_clamav(struct archive *ar, bool was_encrypted)
{
	int format = archive_format(ar) & ARCHIVE_FORMAT_BASE_MASK;

	if (was_encrypted || format == ARCHIVE_FORMAT_RAR || format == ARCHIVE_FORMAT_RAR_V5 || format == ARCHIVE_FORMAT_AR ||
	    format == ARCHIVE_FORMAT_LHA)
		return true;
	for (int i = 0; i < archive_filter_count(ar); i++) {
		int filter = archive_filter_code(ar, i);

		if (filter == ARCHIVE_FILTER_ZSTD || filter == ARCHIVE_FILTER_LZ4 || filter == ARCHIVE_FILTER_LZIP ||
		    filter == ARCHIVE_FILTER_COMPRESS || filter == ARCHIVE_FILTER_LZMA)
			return true;
	}
	if (format == ARCHIVE_FORMAT_ZIP) {
		const char *name = archive_format_name(ar);

		return name && !strstr(name, "(uncompressed)") && !strstr(name, "(deflation)") && !strstr(name, "(bzip)");
	}
	return false;
}

/* All but deflate and what is merely stored: an eighth of its speed and less. */
static bool
is_slow(struct archive *ar)
{
	int format = archive_format(ar) & ARCHIVE_FORMAT_BASE_MASK;
	const char *name = archive_format_name(ar);

	for (int i = 0; i < archive_filter_count(ar); i++) {
		int filter = archive_filter_code(ar, i);

		if (filter == ARCHIVE_FILTER_BZIP2 || filter == ARCHIVE_FILTER_XZ || filter == ARCHIVE_FILTER_LZMA || filter == ARCHIVE_FILTER_LZIP)
			return true;
	}
	return format == ARCHIVE_FORMAT_7ZIP || format == ARCHIVE_FORMAT_RAR || format == ARCHIVE_FORMAT_RAR_V5 || format == ARCHIVE_FORMAT_LHA ||
	    (format == ARCHIVE_FORMAT_ZIP && name && !strstr(name, "(uncompressed)") && !strstr(name, "(deflation)"));
}

/* False: no more of this archive. */
static bool
unpack_member(const struct look *l, struct archive *ar, struct archive_member *m, struct unpack_buffer *b, uint64_t *total)
{
	const void *bytes;
	la_int64_t at;
	size_t n;
	int result;
	bool slow = is_slow(ar);

	b->real = 0;
	b->too_much = false;
	/* By blocks: archive_read_data() would drop what it has when the checksum at the end is wrong. */
	while ((result = archive_read_data_block(ar, &bytes, &n, &at)) == ARCHIVE_OK) {
		if (!look_afford(l, slow ? 4 * n : n) || !add_bytes(b, bytes, n))
			return false;
		*total += n;
		if (is_bomb(l, *total)) {
			look_note(l, NOTE_ARCHIVE_BOMB);
			return false;
		}
	}
	if (result != ARCHIVE_EOF) {
		b->broken = true;
		if (speaks_of_encryption(ar))
			m->encrypted = true;
		else
			look_note(l, NOTE_ARCHIVE_BROKEN);
	}
	if (b->real > m->size)
		m->size = b->real;
	/* ClamAV looks at large members by itself; what only we can open, or have to open further, must fit. */
	if (b->too_much && (is_beyond_clamav(ar, m->encrypted) || type_is_archive(attachment_type(span_make(b->bytes, b->n)))))
		note_add(l->t->a, l->t->msg, NOTE_LIMIT, SPAN("a member's size"));
	return result != ARCHIVE_FATAL;
}

/* A name that leads out of where it is unpacked, or a link that others may be written through. */
static void
read_path(const struct look *l, struct archive_entry *e, struct span name)
{
	struct look member = *l;

	member.name = name;
	if (archive_entry_symlink(e) || archive_entry_hardlink(e) || span_starts(name, SPAN("/")) || span_starts(name, SPAN("\\")) ||
	    span_find(name, SPAN("../")) != SPAN_NONE || span_find(name, SPAN("..\\")) != SPAN_NONE)
		look_note(&member, NOTE_ARCHIVE_PATH);
}

/* gzip and the like hold one file without a name of its own: that of the archive less its last extension. */
static struct span
member_name(const struct look *l, struct archive *ar, struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e);
	size_t dot;

	if ((archive_format(ar) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_RAW)
		return (dot = span_find_last(l->name, '.')) == SPAN_NONE ? l->name : span_head(l->name, dot);
	return span_of(name ? name : "");
}

static bool
is_office_member(struct span name)
{
	return span_ends_nocase(name, SPAN(".rels")) || span_ends_nocase(name, SPAN(".xml")) || span_ends_nocase(name, SPAN(".bin"));
}

static bool
read_one(const struct look *l, struct archive *ar, struct archive_entry *e, struct unpack_buffer *b, uint64_t *total)
{
	struct span name = member_name(l, ar, e);
	struct archive_member *m = look_member(l, name, archive_entry_size(e) > 0 ? (uint64_t)archive_entry_size(e) : 0);

	if (m == NULL)
		return false;
	name = m->name;
	m->encrypted = archive_entry_is_encrypted(e) > 0;
	bool encrypted = m->encrypted;

	b->n = 0;
	b->broken = false;
	read_path(l, e, name);
	bool go_on = archive_entry_filetype(e) != AE_IFREG || unpack_member(l, ar, m, b, total);
	struct look member = *l;

	member.name = name;
	encrypted |= m->encrypted;
	if (encrypted)
		look_note(&member, NOTE_ENCRYPTED_ARCHIVE);
	else if (b->broken && b->n == 0 && is_beyond_clamav(ar, false))
		look_note(&member, NOTE_ARCHIVE_UNREADABLE);
	if (archive_entry_filetype(e) != AE_IFREG || b->n == 0)
		return go_on;
	struct span data = span_make(b->bytes, b->n);

	if (is_beyond_clamav(ar, encrypted) && !(encrypted && b->broken))
		look_keep(l, name, data);
	look_member_data(l, m, data);
	if (is_office_member(name)) {
		member.data = data;
		office_member_read(&member);
	}
	return go_on;
}

static bool
list_members(const struct look *l, enum way way)
{
	struct archive *ar = open_archive(l, way);
	struct archive_entry *e;
	struct unpack_buffer b = { 0 };
	uint64_t total = 0;
	int result = ARCHIVE_FATAL;
	bool any = false, full = false;

	if (ar == NULL)
		return false;
	add_passwords(ar, l);
	if (archive_read_open_memory(ar, l->data.p, l->data.n) == ARCHIVE_OK)
		while (!full && ((result = archive_read_next_header(ar, &e)) == ARCHIVE_OK || result == ARCHIVE_WARN)) {
			any = true;
			full = !read_one(l, ar, e, &b, &total);
		}
	if (!full && result != ARCHIVE_EOF)
		look_note(l, speaks_of_encryption(ar) ? NOTE_ENCRYPTED_ARCHIVE : any ? NOTE_ARCHIVE_BROKEN : NOTE_ARCHIVE_UNREADABLE);
	free(b.bytes);
	archive_read_free(ar);
	return any;
}

void
archive_read(const struct look *l)
{
	bool zip = span_eq(l->type, SPAN("application/zip")), doubtful = zip && zip_check(l);
	bool any = list_members(l, BY_DIRECTORY);

	if (zip && (doubtful || !any))
		list_members(l, BY_LOCAL_HEADERS);
	if (!any && is_compressed(l->type))
		list_members(l, AS_STREAM);  /* zeros are an empty tar to whoever looks for one */
}
