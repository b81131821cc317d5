"""Let OpenSSL free the buffers of a connection while nothing comes or goes over it.

libcurl asks OpenSSL for 64 KB to read into and 16 KB to write from, and keeps them as long as a
connection is open: 240 MB for 3,000 hosts. OpenSSL has a mode that keeps them only while they hold
data, but libcurl neither sets it nor lets pycurl set it. So OpenSSL itself calls us for each new
context. The library that pycurl is linked to is reached by ctypes, and only here.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import pycurl

_EX_INDEX_SSL_CTX = 1
_CTRL_MODE = 33
RELEASE_BUFFERS = 0x10
"""OpenSSL's SSL_MODE_RELEASE_BUFFERS."""

_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
_OnNew = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER, _INT, _LONG, _POINTER)


@cache
def library() -> Any:
    """Return the OpenSSL of pycurl; None where it is another library, or out of reach."""
    if "OpenSSL/3." not in pycurl.version:
        return None
    try:
        openssl: Any = ctypes.CDLL(getattr(pycurl, "_pycurl", pycurl).__file__)
        openssl.SSL_CTX_ctrl.restype = _LONG
        openssl.SSL_CTX_ctrl.argtypes = (_POINTER, _INT, _LONG, _POINTER)
        new_index = openssl.CRYPTO_get_ex_new_index
        new_index.argtypes = (_INT, _LONG, _POINTER, _OnNew, _POINTER, _POINTER)
    except (OSError, AttributeError, TypeError):  # linked statically, or on Windows
        return None
    return openssl


@cache
def release_idle_buffers() -> Any:
    """Set the mode for all connections that libcurl makes in this process from now on.

    Return the function that OpenSSL calls; the cache keeps it as long as the process lives.
    """
    openssl = library()
    if openssl is None:
        return None

    def on_new(context: int, *unused: object) -> None:
        openssl.SSL_CTX_ctrl(context, _CTRL_MODE, RELEASE_BUFFERS, None)

    callback = _OnNew(on_new)
    openssl.CRYPTO_get_ex_new_index(_EX_INDEX_SSL_CTX, 0, None, callback, None, None)
    return callback
