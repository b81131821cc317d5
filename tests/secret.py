"""A password with every character that some spelling changes."""

from __future__ import annotations

import html
from urllib.parse import quote, quote_plus

PASSWORD = "p&ss \"w<rd>'ü\\!"
SPELLINGS = {
    PASSWORD,
    html.escape(PASSWORD),
    html.escape(PASSWORD, quote=False),
    quote(PASSWORD),
    quote_plus(PASSWORD),
    repr(PASSWORD)[1:-1],
    ascii(PASSWORD)[1:-1],
    PASSWORD.replace("\\", "\\\\").replace('"', '\\"'),
    html.escape(html.escape(PASSWORD)),
    "".join(f"&#{ord(char)};" for char in PASSWORD),
    "".join(f"\\u{ord(char):04x}" for char in PASSWORD),
    quote(quote(PASSWORD)),
}
