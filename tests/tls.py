"""Certificates and HTTPS sites for tests. Everything is made on the spot; nothing is checked in."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.sites import Site


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM files."""

    cert: Path
    key: Path


class Authority:
    """A private certificate authority, whose files are in ``folder``."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, False)
        self.bundle = folder / f"{name}.pem"
        self.bundle.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def issue(
        self,
        name: str,
        *,
        host: str = "",
        addresses: Iterable[str] = ("127.0.0.1", "127.0.0.2"),
        expired: bool = False,
    ) -> Pair:
        """Issue a certificate for loopback, another host, or a client with the name ``name``."""
        key = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.IPAddress(ip_address(each)) for each in addresses]
        builder = _builder(_named(name), self._name, key.public_key(), expired=expired)
        loopback = [x509.DNSName("localhost"), *hosts]
        names = x509.SubjectAlternativeName([x509.DNSName(host)] if host else loopback)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(names, False).add_extension(issuer, False)
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
        pair.cert.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pair

    def context(
        self, *, asks_clients: bool = False, host: str = "", expired: bool = False
    ) -> ssl.SSLContext:
        """Return the context of a server; it may require certificates of clients."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = self.issue("server", host=host, expired=expired)
        context.load_cert_chain(pair.cert, pair.key)
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.bundle)
        return context


class SecureSite(Site):
    """A site that speaks HTTPS."""

    context: ssl.SSLContext

    @classmethod
    def of(cls, context: ssl.SSLContext, address: str = "127.0.0.1") -> Self:
        """A site with the certificate of ``context``, not yet open."""
        site = cls(address=address)
        site.context = context
        return site

    def __enter__(self) -> Self:
        super().__enter__()
        assert self._server is not None
        self._server.socket = self.context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        return self

    @property
    def url(self) -> str:
        """The origin."""
        return f"https://{self.name or self.address}:{self.port}"


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    *,
    expired: bool = False,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC) - timedelta(days=30 * expired)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(hours=1),
        not_valid_after=now + timedelta(days=1),
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
