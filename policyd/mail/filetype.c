/* filetype.c - what bytes are, whatever they are called. */
#include "policyd/mail/look.h"

/* `more` confirms a short magic, which text may begin with by chance. */
struct magic {
	const char *bytes;
	size_t n, at;
	const char *type;
	bool (*more)(struct span data);
};

static bool
is_dos(struct span s)
{
	size_t pe = little(s, 0x3c, 4);

	if (s.n >= 64 && pe + 4 <= s.n && (memcmp(s.p + pe, "PE\0\0", 4) == 0 || memcmp(s.p + pe, "NE", 2) == 0 || memcmp(s.p + pe, "LE", 2) == 0))
		return true;
	return memchr(s.p, '\0', s.n < 64 ? s.n : 64) != NULL;   /* MZ alone is a DOS program; "MZ" of a text has no NUL */
}

static bool
is_bmp(struct span s)
{
	return s.n > 26 && little(s, 6, 4) == 0 && little(s, 14, 4) <= 124;
}

static bool
is_bzip(struct span s)
{
	return s.n >= 10 && s.p[3] >= '1' && s.p[3] <= '9' && (unsigned char)s.p[4] == 0x31;
}

static bool
is_id3(struct span s)
{
	return s.n > 4 && s.p[3] >= 2 && s.p[3] < 10;
}

static bool
is_lha(struct span s)                        /* "-lh5-", "-lz4-", "-pm0-" behind two bytes of head */
{
	return s.n > 21 && s.p[6] == '-' && (s.p[3] == 'l' || s.p[3] == 'p');
}

static const struct magic magics[] = {
	{ "MZ", 2, 0, "application/x-dosexec", is_dos }, { "\x7f" "ELF", 4, 0, "application/x-elf", NULL },
	{ "PK\3\4", 4, 0, "application/zip", NULL }, { "PK\5\6", 4, 0, "application/zip", NULL },
	{ "PK00PK\3\4", 8, 0, "application/zip", NULL },
	{ "Rar!\x1a\7", 6, 0, "application/x-rar", NULL }, { "7z\xbc\xaf\x27\x1c", 6, 0, "application/x-7z-compressed", NULL },
	{ "\x1f\x8b\x08", 3, 0, "application/gzip", NULL }, { "BZh", 3, 0, "application/x-bzip2", is_bzip },
	{ "\xfd" "7zXZ\0", 6, 0, "application/x-xz", NULL }, { "\x28\xb5\x2f\xfd", 4, 0, "application/zstd", NULL },
	{ "\x04\x22\x4d\x18", 4, 0, "application/x-lz4", NULL }, { "LZIP\1", 5, 0, "application/x-lzip", NULL },
	{ "\x1f\x9d", 2, 0, "application/x-compress", NULL }, { "\x5d\0\0\x80\0", 5, 0, "application/x-lzma", NULL },
	{ "MSCF\0\0\0\0", 8, 0, "application/vnd.ms-cab-compressed", NULL }, { "-l", 2, 2, "application/x-lha", is_lha },
	{ "ustar", 5, 257, "application/x-tar", NULL }, { "CD001", 5, 32769, "application/x-iso9660-image", NULL },
	{ "BEA01", 5, 32769, "application/x-udf-image", NULL }, { "xar!", 4, 0, "application/x-xar", NULL },
	{ "!<arch>\n", 8, 0, "application/x-archive", NULL }, { "070701", 6, 0, "application/x-cpio", NULL },
	{ "vhdxfile", 8, 0, "application/x-vhd", NULL }, { "conectix", 8, 0, "application/x-vhd", NULL },
	{ "%PDF-", 5, 0, "application/pdf", NULL }, { "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, 0, "application/x-ole-storage", NULL },
	{ "{\\rt", 4, 0, "text/rtf", NULL }, { "\x89PNG\r\n", 6, 0, "image/png", NULL }, { "GIF8", 4, 0, "image/gif", NULL },
	{ "\xff\xd8\xff", 3, 0, "image/jpeg", NULL }, { "BM", 2, 0, "image/bmp", is_bmp }, { "II*\0", 4, 0, "image/tiff", NULL },
	{ "MM\0*", 4, 0, "image/tiff", NULL }, { "\x4c\0\0\0\x01\x14\x02\0", 8, 0, "application/x-ms-shortcut", NULL },
	{ "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", 8, 0, "application/onenote", NULL }, { "\x78\x9f\x3e\x22", 4, 0, "application/ms-tnef", NULL },
	{ "ActiveMime", 10, 0, "application/x-mso", NULL },
	{ "ITSF", 4, 0, "application/vnd.ms-htmlhelp", NULL }, { "\xca\xfe\xba\xbe", 4, 0, "application/java-vm", NULL },
	{ "#!", 2, 0, "text/x-script", NULL }, { "OggS", 4, 0, "audio/ogg", NULL }, { "ID3", 3, 0, "audio/mpeg", is_id3 },
};

/* Disk images say who they are in the boot sector or in a footer. */
static bool
is_disk(struct span s)
{
	if (s.n < 1024)
		return false;
	return memcmp(s.p + s.n - 512, "conectix", 8) == 0 || memcmp(s.p + s.n - 512, "koly", 4) == 0 ||
	    (little(s, 510, 2) == 0xaa55 && (memcmp(s.p + 54, "FAT1", 4) == 0 || memcmp(s.p + 82, "FAT32", 5) == 0 || memcmp(s.p + 3, "NTFS ", 5) == 0));
}

struct span
attachment_type(struct span data)
{
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
		const struct magic *m = &magics[i];

		if (data.n >= m->at + m->n && memcmp(data.p + m->at, m->bytes, m->n) == 0 && (m->more == NULL || m->more(data)))
			return span_of(m->type);
	}
	return is_disk(data) ? SPAN("application/x-vhd") : SPAN("");
}

static bool
in_list(struct span word, const char *list)
{
	struct span rest = span_of(list);

	while (word.n > 0 && rest.n > 0)
		if (span_eq_nocase(span_cut(&rest, ' '), word))
			return true;
	return false;
}

bool
type_is_archive(struct span type)
{
	return in_list(type, "application/zip application/x-rar application/x-7z-compressed application/x-tar application/gzip "
	    "application/x-bzip2 application/x-xz application/zstd application/x-lz4 application/x-lzip application/x-compress "
	    "application/x-lzma application/vnd.ms-cab-compressed application/x-lha application/x-iso9660-image application/x-xar "
	    "application/x-archive application/x-cpio");
}

bool
type_runs(struct span type)
{
	return in_list(type, "application/x-dosexec application/x-elf application/x-ms-shortcut application/vnd.ms-htmlhelp "
	    "application/java-vm");
}

/* What the world calls the types, by extension: the first is the one that lists of banned types know it by. */
static const struct { const char *type, *extensions; } known[] = {
	{ "application/x-dosexec", "exe com scr pif cpl dll ocx sys drv ax" },
	{ "application/x-elf", "elf so o ko" }, { "application/x-ms-shortcut", "lnk" },
	{ "application/zip", "zip docx docm dotx dotm xlsx xlsm xlsb xltx xltm pptx pptm ppsx ppsm potx potm vsdx odt ods odp odg ott jar war "
	    "apk xpi epub kmz ipa crx one thmx sketch pages numbers key nupkg aab whl mmap xmind 3mf" },
	{ "application/x-rar", "rar" }, { "application/x-7z-compressed", "7z" }, { "application/vnd.ms-cab-compressed", "cab" },
	{ "application/x-iso9660-image", "iso" }, { "application/x-udf-image", "iso" }, { "application/x-vhd", "vhd vhdx img dmg" },
	{ "application/x-ole-storage", "doc dot xls xlt xla ppt pps pot msg msi vsd pub mdb wps db mpp hwp" }, { "text/rtf", "rtf doc" },
	{ "application/onenote", "one onetoc2" }, { "application/vnd.ms-htmlhelp", "chm" }, { "application/java-vm", "class" },
	{ "application/pdf", "pdf ai" }, { "application/x-mso", "mso" }, { "application/x-tar", "tar" }, { "application/gzip", "gz tgz" },
	{ "application/x-lha", "lzh lha" }, { "application/x-bzip2", "bz2" }, { "application/x-xz", "xz" }, { "text/x-script", "sh" },
};

struct span
type_extension(struct span type)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (span_eq(type, span_of(known[i].type))) {
			struct span rest = span_of(known[i].extensions);

			return span_cut(&rest, ' ');
		}
	return SPAN("");
}

/* Pictures, sound and text under other names of their kind are everyday sloppiness; a container or a program under such
 * a name, or under that of another container, is not. */
bool
type_lies(struct span real, struct span extension, struct span declared)
{
	static const char harmless[] = "pdf txt csv jpg jpeg png gif bmp tif tiff webp mp3 mp4 wav avi mov htm html xml ics vcf eml rtf log";
	bool plain = span_starts(declared, SPAN("image/")) || span_starts(declared, SPAN("text/")) || span_starts(declared, SPAN("audio/")) ||
	    span_starts(declared, SPAN("video/")) || span_eq(declared, SPAN("application/pdf"));

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (!span_eq(real, span_of(known[i].type)))
			continue;
		if (in_list(extension, known[i].extensions))
			return false;
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (in_list(extension, known[k].extensions))
				return true;
		return in_list(extension, harmless) || (plain && !span_eq(real, SPAN("text/rtf")) && !span_eq(real, SPAN("application/pdf")) &&
		    !span_eq(real, SPAN("text/x-script")));
	}
	return false;
}
