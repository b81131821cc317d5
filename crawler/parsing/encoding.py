"""Decide the encoding of a page, and decode its bytes.

The encoding is decided as in browsers: by the byte order mark, the charset of the HTTP header, the
page's own declaration (WHATWG's prescan: ``<meta charset>``, ``<meta http-equiv>``, the XML
declaration), UTF-8 if the bytes are valid UTF-8, else windows-1252. Labels have the meanings of the
WHATWG Encoding Standard: ``latin-1`` is windows-1252, ``gb2312`` is gb18030.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

from w3lib.encoding import to_unicode

from crawler.parsing import mime_types

PRESCAN = 1024
"""Bytes that browsers search for a declaration before they parse."""
_SHORTEST_SNIFFED = 30
LATE = 64 * 1024
"""Bytes in which a later declaration counts too: browsers start again when they read one."""

# Every label of the Encoding Standard (https://encoding.spec.whatwg.org/#names-and-labels) that
# Python can decode, by the codec that decodes it. The standard's "replacement" labels are left
# out on purpose: they are treated as if nothing had been declared.
_LABELS = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 "
    "iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 "
    "iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 "
    "iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 "
    "iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 "
    "iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 "
    "iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 "
    "iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual csiso88598i iso-8859-8-i logical",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 "
    "iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 "
    # Not of the standard, but written often enough that Python's own spellings count.
    "latin-1 latin_1 utf8mb3 x-user-defined",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 "
    "iso_8859-9:1989 l5 latin5 windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk "
    "iso-ir-58 x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 "
    "ksc5601 ksc_5601 windows-949",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe", "utf-16-le"))

_XML_ENCODING = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]+)["']""")
_CONTENT_CHARSET = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))"""
)
# One attribute as WHATWG's "get an attribute" reads it. A quote that is never closed must fail
# the whole tag, hence the possessive quantifiers and the look-ahead.
_ATTRIBUTE = (
    rb"[\t\n\f\r /]*+(=?+[^\t\n\f\r />=]++|=)"
    rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"([^\"]*+)\"|'([^']*+)'|(?=>)|([^\t\n\f\r >\"'][^\t\n\f\r >]*+))"
    rb"|(?![\t\n\f\r ]*+=))"
)
_MARKUP = re.compile(
    rb"<(?:"
    rb"!(?=--).*?-->"
    rb"|(?P<meta>meta(?=[\t\n\f\r /]))(?P<attributes>(?:%(a)b)*+)[\t\n\f\r /]*+>"
    rb"|/?[a-z][^\t\n\f\r >]*+(?:%(a)b)*+[\t\n\f\r /]*+>"
    rb"|(?:!(?!--)|/(?![a-z])|\?)[^>]*+>"
    rb"|(?P<cut>!--|/?[a-z]|[!/?])"
    rb")" % {b"a": re.sub(rb"\((?!\?)", rb"(?:", _ATTRIBUTE)},
    re.DOTALL,
)
_ATTRIBUTES = re.compile(_ATTRIBUTE)


def detect(body: bytes, content_type: str | None = None) -> str:
    """Return the name of the Python codec that decodes ``body``. Never raises.

    ``content_type`` is the value of the HTTP header.
    """
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return codec
    mime_type = mime_types.extract(content_type) if content_type else None
    if mime_type and mime_type.charset and (codec_of_header := lookup(mime_type.charset)):
        return codec_of_header
    return declared(body[:PRESCAN]) or _undeclared(body)


def _undeclared(body: bytes) -> str:
    late = declared(body[:LATE]) if len(body) > PRESCAN else None
    if b"\0" in body[:2]:
        late = late or _without_mark(body[:PRESCAN])
    return late or ("utf-8" if _is_utf8(body) else "cp1252")


def _without_mark(head: bytes) -> str | None:
    """Recognise ASCII text in UTF-16 without a byte order mark.

    As in Firefox (``SniffBOMlessUTF16BasicLatin``): every second byte is zero, and no other.
    """
    if len(head) < _SHORTEST_SNIFFED:
        return None
    even, odd = head[::2], head[1::2]
    if not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if not any(even) and all(odd) else None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode(body: bytes, encoding: str) -> str:
    """Decode ``body`` without its byte order mark; invalid bytes become U+FFFD."""
    return to_unicode(_without_bom(body, encoding), encoding)


def as_utf8(body: bytes, encoding: str) -> bytes:
    """Convert ``body`` to valid UTF-8 without a byte order mark, if it is not that already."""
    body = _without_bom(body, encoding)
    if encoding == "utf-8" and _is_utf8(body):
        return body
    # Some codecs decode broken input to half a surrogate pair, which UTF-8 cannot express.
    return to_unicode(body, encoding).encode("utf-8", "replace")


def _without_bom(body: bytes, encoding: str) -> bytes:
    for bom, codec in _BOMS:
        if codec == encoding and body.startswith(bom):
            return body[len(bom) :]
    return body


@lru_cache(maxsize=256)
def lookup(label: str) -> str | None:
    """Return the Python codec for an encoding's label, or None for an unknown label."""
    return _CODECS.get(label.strip("\t\n\f\r ").lower())


def declared(head: bytes) -> str | None:
    """Return the codec that the first bytes of a page declare, or None: WHATWG's prescan.

    A tag that is cut off declares nothing.
    """
    if head.startswith(b"<\0?\0x\0"):
        return "utf-16-le"
    if head.startswith(b"\0<\0?\0x"):
        return "utf-16-be"
    head = head.lower()
    # The word is rare: most pages name their charset in HTTP only.
    if b"charset" in head:
        for markup in _MARKUP.finditer(head):
            if markup["cut"]:
                break
            codec = markup["meta"] and _meta_codec(markup["attributes"])
            if codec:
                return codec
    xml = _XML_ENCODING.match(head)
    return _in_ascii(lookup(xml[1].decode("latin-1"))) if xml else None


def _meta_codec(text: bytes) -> str | None:
    attributes: dict[bytes, bytes] = {}
    for name, *values in _ATTRIBUTES.findall(text):
        attributes.setdefault(name, b"".join(values))
    if b"charset" in attributes:
        return _in_ascii(lookup(attributes[b"charset"].decode("latin-1")))
    if attributes.get(b"http-equiv") != b"content-type":
        return None
    charset = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
    if charset is None:
        return None
    return _in_ascii(lookup(b"".join(charset.groups(b"")).decode("latin-1")))


def _in_ascii(codec: str | None) -> str | None:
    """Replace UTF-16 by UTF-8: a declaration that was read as ASCII is not in UTF-16."""
    return "utf-8" if codec is not None and codec.startswith("utf-16") else codec
