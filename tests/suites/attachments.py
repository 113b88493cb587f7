"""Attachments made here: every archive that libarchive writes and some that it only reads, TNEF, office documents, PDF, disk
images, lies in tables of contents and in names; alone and one inside another. Each says what must be found in it."""
import base64
import bz2
import ctypes
import gzip
import io
import itertools
import lzma
import os
import random
import struct
import tarfile
import zipfile
import zlib

from tests.lib import mail as texts
from tests.lib.procs import TOP

from .lib import Table, scan

EICAR = texts.EICAR.encode()

PROGRAM = b"MZ\x90\0" + b"\0" * 56 + struct.pack("<I", 64) + b"PE\0\0" + b"\0" * 200


# ---- libarchive, asked to write ----

LA = ctypes.CDLL("libarchive.so.13")
for f in ("archive_write_new", "archive_entry_new"):
    getattr(LA, f).restype = ctypes.c_void_p


def packed(fmt, files, filter=None):
    """`files` as that format, by that filter."""
    a = ctypes.c_void_p(LA.archive_write_new())
    room = 2000000 + sum(len(d) for d in files.values()) * 2
    buf, used = ctypes.create_string_buffer(room), ctypes.c_size_t()
    assert LA.archive_write_set_format_by_name(a, fmt.encode()) == 0, fmt
    assert not filter or LA.archive_write_add_filter_by_name(a, filter.encode()) == 0, filter
    LA.archive_write_set_bytes_in_last_block(a, 1)
    assert LA.archive_write_open_memory(a, buf, ctypes.c_size_t(room), ctypes.byref(used)) == 0
    for name, data in files.items():
        e = ctypes.c_void_p(LA.archive_entry_new())
        LA.archive_entry_set_pathname(e, name.encode())
        LA.archive_entry_set_size(e, ctypes.c_int64(len(data)))
        LA.archive_entry_set_filetype(e, 0o100000)
        LA.archive_entry_set_perm(e, 0o644)
        assert LA.archive_write_header(a, e) == 0
        LA.archive_write_data(a, data, ctypes.c_size_t(len(data)))
        LA.archive_entry_free(e)
    assert LA.archive_write_close(a) == 0
    LA.archive_write_free(a)
    return buf.raw[:used.value]


def libarchive(fmt, filter=None):
    return lambda name, data: packed(fmt, {name: data}, filter)


# ---- what it only reads, or writes too well ----

def zipped(method=zipfile.ZIP_DEFLATED, more=()):
    def make(name, data):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as z:
            z.writestr(name, data)
            for n, d in more:
                z.writestr(n, d)
        return out.getvalue()
    return make


def zip_crypto(data, password, crc):
    """The old cipher of zip, with its twelve bytes of head."""
    k = [0x12345678, 0x23456789, 0x34567890]

    def one(crc0, b):
        t = (crc0 ^ b) & 0xFF
        for _ in range(8):
            t = t >> 1 ^ 0xEDB88320 if t & 1 else t >> 1
        return crc0 >> 8 ^ t

    def update(b):
        k[0] = one(k[0], b)
        k[1] = ((k[1] + (k[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        k[2] = one(k[2], k[1] >> 24)
    for b in password:
        update(b)
    out = bytearray()
    for b in bytes(11) + bytes([crc >> 24]) + data:
        t = k[2] | 2
        out.append(b ^ (t * (t ^ 1) >> 8 & 0xFF))
        update(b)
    return bytes(out)


def raw_zip(members, comment=b"", prefix=b""):
    """(name in the local header, name in the directory or None, flags, method, packed bytes, crc, size) each."""
    body, directory, count = prefix, b"", 0
    for local, central, flags, method, data, crc, size in members:
        head = struct.pack("<HHHHHIII", 20, flags, method, 0, 33, crc, len(data), size)
        at = len(body)
        body += b"PK\3\4" + head + struct.pack("<HH", len(local), 0) + local + data
        if central is not None:
            directory += b"PK\1\2\x14\0" + head + struct.pack("<HHHHHII", len(central), 0, 0, 0, 0, 0, at) + central
            count += 1
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), len(comment)) + comment


def stored(name, data, flags=0):
    return (name, name, flags, 0, data, zlib.crc32(data), len(data))


def encrypted_zip(password):
    def make(name, data):
        crc = zlib.crc32(data)
        return raw_zip([(name.encode(), name.encode(), 1, 0, zip_crypto(data, password, crc), crc, len(data))])
    return make


def rar(name, data):
    """RAR 2.9, stored."""
    def block(kind, flags, rest):
        head = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head
    n = name.encode()
    file = struct.pack("<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0x21, 29, 0x30, len(n), 0o100644) + n
    return b"Rar!\x1a\7\0" + block(0x73, 0, b"\0" * 6) + block(0x74, 0x8000, file) + data + block(0x7B, 0x4000, b"")


def cab(name, data):
    """One folder, not compressed."""
    file = struct.pack("<IIHHHH", len(data), 0, 0, 0, 33, 0x20) + name.encode() + b"\0"
    files_at, data_at = 36 + 8, 36 + 8 + len(file)
    pieces = [data[i:i + 32768] for i in range(0, len(data), 32768)]
    block = b"".join(struct.pack("<IHH", 0, len(p), len(p)) + p for p in pieces)
    return (b"MSCF" + struct.pack("<IIIIIBBHHHHH", 0, data_at + len(block), 0, files_at, 0, 3, 1, 1, 1, 0, 0, 0) +
            struct.pack("<IHH", data_at, len(pieces), 0) + file + block)


def lha(name, data):
    head = b"-lh0-" + struct.pack("<IIIBB", len(data), len(data), 0x5A21, 0x20, 0) + bytes([len(name)]) + name.encode() + b"\0\0"
    return bytes([len(head), sum(head) & 0xFF]) + head + data + b"\0"


def tnef(name, data):
    def attribute(code, value, level=2):
        return struct.pack("<BII", level, code, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)
    wide = name.encode("utf-16le") + b"\0\0"
    props = struct.pack("<I", 2) + struct.pack("<HHI", 3, 0x3705, 1) + struct.pack("<HHII", 0x1F, 0x3707, 1, len(wide)) + wide + b"\0" * (-len(wide) % 4)
    return (b"\x78\x9f\x3e\x22\1\0" + attribute(0x69002, b"\0" * 14) + attribute(0x18010, b"ATT00001.DAT\0") + attribute(0x6800F, data) +
            attribute(0x69005, props))


def compound(names, book=b""):
    """A compound file with a directory of these names; "Workbook" holds `book`."""
    entries = (len(names) + 3) // 4
    book = book.ljust(4608, b"\0") if book else b""
    sectors = len(book) // 512
    fat = [0xFFFFFFFD] + [2 + i for i in range(entries - 1)] + [0xFFFFFFFE] + [entries + 2 + i for i in range(sectors - 1)] + ([0xFFFFFFFE] if sectors else [])
    fat = struct.pack("<128I", *(fat + [0xFFFFFFFF] * (128 - len(fat))))
    head = bytearray(512)
    head[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<HHHHH", head, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIIIII", head, 44, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0, 0xFFFFFFFF)
    for i in range(2, 109):
        struct.pack_into("<I", head, 76 + 4 * i, 0xFFFFFFFF)
    directory = b""
    for n in names:
        e = bytearray(128)
        wide = n.encode("utf-16le")
        e[:len(wide)] = wide
        struct.pack_into("<HB", e, 64, len(wide) + 2, 2)
        if n == "Workbook":
            struct.pack_into("<II", e, 116, entries + 1, len(book))
        directory += bytes(e)
    return bytes(head) + fat + directory.ljust(512 * entries, b"\0") + book


def document(files):
    return lambda: packed("zip", dict({"[Content_Types].xml": b"<Types/>"}, **files))


def relations(kind, target):
    return ("<Relationships><Relationship Id=\"r1\" Type=\"http://schemas.example/%s\" Target=\"%s\" TargetMode=\"External\"/></Relationships>" % (kind, target)).encode()


def pdf(objects, streams=()):
    out = b"%PDF-1.7\n"
    for i, o in enumerate(objects):
        out += b"%d 0 obj\n" % (i + 1) + o + b"\nendobj\n"
    for i, (dictionary, data) in enumerate(streams):
        z = zlib.compress(data)
        out += b"%d 0 obj\n<< " % (i + 50) + dictionary + b" /Filter /FlateDecode /Length %d >>\nstream\r\n" % len(z) + z + b"\nendstream\nendobj\n"
    return out + b"trailer << /Root 1 0 R >>\n%%EOF\n"


SHEET = struct.pack("<HH", 0x809, 16) + b"\0" * 16 + struct.pack("<HHIBBBB", 0x85, 10, 0, 1, 1, 2, 0) + b"ab"

ARCHIVES = {                                 # name -> (extension, how it is made)
    "zip": ("zip", zipped()), "zip-stored": ("zip", zipped(zipfile.ZIP_STORED)), "zip-bzip2": ("zip", zipped(zipfile.ZIP_BZIP2)),
    "zip-lzma": ("zip", zipped(zipfile.ZIP_LZMA)), "7z": ("7z", libarchive("7zip")), "iso": ("iso", libarchive("iso9660")),
    "tar": ("tar", libarchive("gnutar")), "tar.gz": ("tgz", libarchive("ustar", "gzip")), "tar.bz2": ("tbz", libarchive("ustar", "bzip2")),
    "tar.xz": ("txz", libarchive("ustar", "xz")), "tar.lzma": ("tlz", libarchive("ustar", "lzma")), "tar.lz": ("tlz", libarchive("ustar", "lzip")),
    "tar.zst": ("tzst", libarchive("ustar", "zstd")), "tar.lz4": ("tl4", libarchive("ustar", "lz4")), "tar.Z": ("taz", libarchive("ustar", "compress")),
    "cpio": ("cpio", libarchive("newc")), "ar": ("a", libarchive("arbsd")), "xar": ("xar", libarchive("xar")), "rar": ("rar", rar),
    "cab": ("cab", cab), "lha": ("lzh", lha), "tnef": ("dat", tnef),
    "gz": ("com.gz", lambda n, d: gzip.compress(d)), "bz2": ("com.bz2", lambda n, d: bz2.compress(d)), "xz": ("com.xz", lambda n, d: lzma.compress(d)),
    "encrypted, password in the text": ("zip", encrypted_zip(b"s3cr3t-77")),
}

DOCUMENTS = {                                # name -> (file name, bytes, symbols that must be there)
    "vba in ole": ("a.doc", compound(["Root Entry", "Macros", "VBA", "_VBA_PROJECT"]), ["OFFICE_MACRO"]),
    "excel 4 macros": ("a.xls", compound(["Root Entry", "Workbook"], SHEET), ["OFFICE_XLM_MACRO"]),
    "embedded object": ("a.doc", compound(["Root Entry", "\1Ole10Native"]), ["OFFICE_EMBEDDED_OBJECT"]),
    "encrypted office": ("a.docx", compound(["Root Entry", "EncryptionInfo", "EncryptedPackage"]), ["DOCUMENT_ENCRYPTED"]),
    "vba in ooxml": ("a.docm", document({"word/vbaProject.bin": compound(["Root Entry", "VBA"])})(), ["OFFICE_MACRO"]),
    "macro sheet": ("a.xlsm", document({"xl/macrosheets/sheet1.xml": b"<x/>"})(), ["OFFICE_XLM_MACRO"]),
    "remote template": ("a.docx", document({"word/_rels/settings.xml.rels": relations("attachedTemplate", "https://t.example.com/x.dotm")})(), ["OFFICE_EXTERNAL_TEMPLATE"]),
    "remote object": ("a.xlsx", document({"xl/_rels/workbook.xml.rels": relations("oleObject", "mhtml:http://t.example.com/x!x")})(), ["OFFICE_EXTERNAL_TEMPLATE"]),
    "dde": ("a.docx", document({"word/document.xml": b"<w:instrText>DDEAUTO c:\\\\x</w:instrText>"})(), ["OFFICE_EXTERNAL_TEMPLATE"]),
    "embedded package": ("a.docx", document({"word/embeddings/oleObject1.bin": compound(["Root Entry", "\1Ole10Native"])})(), ["OFFICE_EMBEDDED_OBJECT"]),
    "onenote": ("a.one", b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d" + b"\0" * 80 + b"\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac" +
                struct.pack("<Q", len(PROGRAM)) + b"\0" * 12 + PROGRAM, ["ATTACHMENT_ONENOTE", "ATTACHMENT_EXECUTABLE"]),
    "rtf object": ("a.doc", b"{\\rtf1{\\object\\objemb{\\*\\objdata 01050000}}}", ["RTF_OBJECT"]),
    "rtf template": ("a.rtf", b"{\\rtf1{\\*\\template http://t.example.com/x}}", ["OFFICE_EXTERNAL_TEMPLATE"]),
    "activemime": ("a.doc", b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n\r\n" + base64.b64encode(b"ActiveMime\0\0\1"), ["OFFICE_MACRO"]),
    "pdf javascript": ("a.pdf", pdf([b"<< /OpenAction << /S /JavaScript /JS (x) >> >>"]), ["PDF_SCRIPT", "PDF_OPEN_ACTION"]),
    "pdf javascript, spelt": ("a.pdf", pdf([b"<< /Open#41ction << /S /J#61vaScript /J#53 (x) >> >>"]), ["PDF_SCRIPT", "PDF_OPEN_ACTION"]),
    "pdf, in an object stream": ("a.pdf", pdf([], [(b"/Type /ObjStm /N 1 /First 4", b"1 0 << /S /JavaScript /JS (x) >>")]), ["PDF_SCRIPT"]),
    "pdf launch": ("a.pdf", pdf([b"<< /S /Launch /F (cmd.exe) >>"]), ["PDF_LAUNCH"]),
    "pdf with a program": ("a.pdf", pdf([], [(b"/Type /EmbeddedFile", PROGRAM)]), ["PDF_EMBEDDED_FILE", "ATTACHMENT_EXECUTABLE"]),
    "pdf encrypted": ("a.pdf", pdf([b"<< /Encrypt 2 0 R >>"]), ["DOCUMENT_ENCRYPTED"]),
    "shortcut": ("a.lnk", b"L\0\0\0\1\x14\2\0" + b"\0" * 80, ["ATTACHMENT_SHORTCUT"]),
    "iso": ("a.iso", packed("iso9660", {"x.lnk": b"L\0\0\0\1\x14\2\0" + b"\0" * 80}), ["ATTACHMENT_DISK_IMAGE", "ATTACHMENT_SHORTCUT"]),
    "vhd": ("a.vhd", b"\0" * 1024 + b"conectix" + b"\0" * 504, ["ATTACHMENT_DISK_IMAGE"]),
    "fat image": ("a.img", (b"\xeb\x3c\x90MSDOS5.0" + b"\0" * 43 + b"FAT16   ").ljust(510, b"\0") + b"\x55\xaa" + b"\0" * 600, ["ATTACHMENT_DISK_IMAGE"]),
    "program called a picture": ("a.png", PROGRAM, ["ATTACHMENT_EXECUTABLE", "ATTACHMENT_TYPE_MISMATCH"]),
    "zip called a pdf": ("a.pdf", packed("zip", {"a.txt": b"x"}), ["ATTACHMENT_TYPE_MISMATCH"]),
    "pdf and zip": ("a.pdf", pdf([b"<< >>"]) + packed("zip", {"a.txt": b"x"}), ["ATTACHMENT_POLYGLOT"]),
    "picture and zip": ("a.gif", b"GIF89a" + b"\0" * 40 + packed("zip", {"a.txt": b"x"}), ["ATTACHMENT_POLYGLOT"]),
    "smuggling page": ("a.html", b"<html><script>var b=new Blob([Uint8Array.from(atob('" + base64.b64encode(PROGRAM * 20) +
                       b"'),c=>c.charCodeAt(0))]);var a=document.createElement('a');a.href=URL.createObjectURL(b);a.download='x.iso';a.click()</script></html>", ["HTML_SMUGGLING"]),
    "aes": ("a.zip", raw_zip([(b"a.exe", b"a.exe", 1, 99, b"\0" * 40, 0, 12)]), ["ARCHIVE_ENCRYPTED"]),
    "directory says otherwise": ("a.zip", raw_zip([(b"a.exe", b"a.txt", 0, 0, b"hello", zlib.crc32(b"hello"), 5)]), ["ARCHIVE_AMBIGUOUS"]),
    "unnamed member": ("a.zip", raw_zip([stored(b"a.txt", b"x"), (b"b.exe", None, 0, 0, PROGRAM, zlib.crc32(PROGRAM), len(PROGRAM)), stored(b"c.txt", b"y")]), ["ARCHIVE_AMBIGUOUS", "ATTACHMENT_EXECUTABLE"]),
    "two ends": ("a.zip", raw_zip([stored(b"a.txt", b"x")], comment=b"zz" + raw_zip([stored(b"b.txt", b"y")])), ["ARCHIVE_AMBIGUOUS"]),
    "sizes of zip64": ("a.zip", raw_zip([(b"a", b"a", 0, 0, b"x", 1, 0xFFFFFFFF)]), ["ARCHIVE_AMBIGUOUS"]),
    "out of the folder": ("a.zip", packed("zip", {"../../x.txt": b"x"}), ["ARCHIVE_PATH"]),
    "bomb": ("a.gz", gzip.compress(b"\0" * (64 << 20)), ["ARCHIVE_BOMB"]),
    "streamed bomb": ("a.zip", zipped()("a.bin", b"\0" * (64 << 20)), ["ARCHIVE_BOMB"]),
    "many members": ("a.zip", raw_zip([stored(b"%d" % i, b"") for i in range(12000)]), ["MIME_LIMIT"]),
    "double extension": ("rechnung.pdf        .exe", b"x", ["ATTACHMENT_DOUBLE_EXT"]),
    "turned around": ("rechnung\u202efdp.exe", b"x", ["ATTACHMENT_BIDI_NAME"]),
    "full width": ("rechnung.\uff45\uff58\uff45", b"x", ["ATTACHMENT_CONFUSABLE_NAME"]),
    "double extension in a zip": ("a.zip", packed("zip", {"x/rechnung.pdf.exe": b"x"}), ["ATTACHMENT_DOUBLE_EXT"]),
}

HONEST = {
    "zip": ("a.zip", packed("zip", {"a.txt": b"hello", "b/c.jpg": b"\xff\xd8\xff\xe0" + b"\0" * 100})),
    "zip in zip, stored": ("a.zip", zipped(zipfile.ZIP_STORED)("b.zip", zipped(zipfile.ZIP_STORED)("c.txt", b"hello"))),
    "docx with links": ("a.docx", document({"word/_rels/document.xml.rels": relations("hyperlink", "https://www.example.com/"), "word/document.xml": b"<w/>"})()),
    "pdf with links": ("a.pdf", pdf([b"<< /S /URI /URI (https://www.example.com/) >>"], [(b"/Length1 3", b"0 0 m 1 1 l")])),
    "large member": ("a.zip", zipped()("a.log", b"".join(b"line %d of a log\n" % (i * i) for i in range(2000000)))),
    "many members": ("a.zip", raw_zip([stored(b"src/%d.c" % i, b"int x;") for i in range(4000)])),
    "tar.gz": ("a.tar.gz", packed("ustar", {"a.txt": b"hello"}, "gzip")), "7z": ("a.7z", packed("7zip", {"a.txt": b"hello"})),
    "csv as xls": ("a.xls", b"a;b\r\n1;2\r\n"), "rtf as doc": ("a.doc", b"{\\rtf1 hello}"), "old doc": ("a.doc", compound(["Root Entry", "WordDocument"])),
    "png as jpg": ("a.jpg", b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "text MZ": ("a.txt", b"MZ is the beginning of this text.\r\n"),
    "bitmap text": ("a.txt", b"BM Widgets Ltd, London.\r\n" * 3),
}


def mail(r, name, data, text):
    boundary = "b%016x" % r.getrandbits(64)
    encoded = base64.encodebytes(data).decode().replace("\n", "\r\n")
    quoted = name if name.isascii() else "=?utf-8?B?%s?=" % base64.b64encode(name.encode()).decode()
    return ("From: Ann <ann@sender.example>\r\nTo: bob@customer.example\r\nSubject: %x\r\nDate: Mon, 02 Nov 2026 10:11:12 +0000\r\n"
            "Message-ID: <%s@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n"
            "Content-Type: text/plain\r\n\r\n%s\r\n--%s\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; "
            "filename=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s--%s--\r\n"
            % (r.getrandbits(32), boundary, boundary, boundary, text, boundary, quoted, encoded, boundary)).encode()


def cases(pairs):
    """(class, label, file name, bytes, symbols wanted, virus?, honest?)"""
    for label, (ext, make) in ARCHIVES.items():
        yield "archive", label, "a." + ext, make("a.com", EICAR), [], True, False
        yield "archive-name", label, "a." + ext, make("a.com", PROGRAM), ["ATTACHMENT_EXECUTABLE"], False, False
    for (outer, (ext, make)), (inner, (ext2, make2)) in itertools.product(ARCHIVES.items(), ARCHIVES.items()) if pairs else ():
        yield "archive-in-archive", "%s in %s" % (inner, outer), "a." + ext, make("b." + ext2, make2("a.com", EICAR)), [], True, False
    for label, (name, data, symbols) in DOCUMENTS.items():
        yield "document", label, name, data, symbols, False, False
    for label, (name, data) in HONEST.items():
        yield "honest", label, name, data, [], False, True


def check(case, facts):
    cls, label, name, data, symbols, virus, honest = case
    if "died" in facts:
        return ["died by " + facts["died"]]
    problems = ["no " + s for s in symbols if s not in facts["symbols"]]
    if virus and not {"virus", "unscannable"} & set(facts["classes"]):
        problems.append("passes as clean: " + " ".join(facts["symbols"]))
    if cls == "archive" and "virus" not in facts["classes"]:
        problems.append("virus not found")
    if cls == "archive-name" and not any(e == "a.com" or name.endswith((".com.gz", ".com.bz2", ".com.xz")) for e in facts["entries"]):
        problems.append("member not listed: %s" % facts["entries"])
    if honest and (facts["symbols"] or facts["classes"]):
        problems.append("false alarm: %s" % facts["symbols"])
    if facts["ms"] > 5000 or facts["mb"] > 250:
        problems.append("%.0f ms, %.0f MB" % (facts["ms"], facts["mb"]))
    return problems


def run_short(only=""):
    return run(only, pairs=False)


def run(only="", pairs=True):
    r, table, todo, paths = random.Random(20260), Table("attachments"), [], []
    folder = os.path.join(TOP, "build", "suites", "attachments")
    os.makedirs(folder, exist_ok=True)
    for i, case in enumerate(c for c in cases(pairs) if c[0].startswith(only)):
        path = os.path.join(folder, "%04d.eml" % i)
        with open(path, "wb") as f:
            f.write(mail(r, case[2], case[3], "Please find it attached. The password is s3cr3t-77, thank you."))
        todo.append(case)
        paths.append(path)
    for case, facts in zip(todo, scan(paths)):
        problems = check(case, facts)
        table.add(case[0], case[1] + " (%s)" % os.path.basename(facts["file"]), problems)
    return [table]
