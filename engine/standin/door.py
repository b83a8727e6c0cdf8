"""One port for HTTP/1.1 and HTTP/2: the first bytes say which is spoken. Certificates of our own for TLS."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CERTIFICATE, KEY = "fcm.pem", "fcm.key"
PATIENCE_S = 5.0
LIFE = datetime.timedelta(days=3650)


class Lines:
    """The connections that nobody else ends: those that speak HTTP/2, or nothing yet."""

    def __init__(self) -> None:
        self._open: set[asyncio.Transport] = set()
        self._none = asyncio.Event()

    def add(self, transport: asyncio.Transport) -> None:
        """It was made."""
        self._open.add(transport)

    def drop(self, transport: asyncio.Transport | None) -> None:
        """It was lost, or somebody else's now."""
        self._open.discard(cast("asyncio.Transport", transport))
        if not self._open:
            self._none.set()

    async def end(self) -> None:
        """Break what is open."""
        self._none.clear()
        for transport in self._open:
            transport.abort()
        if self._open:
            async with asyncio.timeout(PATIENCE_S):
                await self._none.wait()


class Door(asyncio.Protocol):
    """Reads until it is clear which protocol begins, and hands the connection over."""

    def __init__(
        self, lines: Lines, http1: Callable[[], asyncio.BaseProtocol], http2: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._lines = lines
        self._http1 = http1
        self._http2 = http2
        self._seen = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes."""
        self._transport = cast("asyncio.Transport", transport)
        self._lines.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It went without a word."""
        self._lines.drop(self._transport)

    def data_received(self, data: bytes) -> None:
        """The first bytes; all others go to the protocol they chose."""
        self._seen += data
        if len(self._seen) < len(PREFACE) and PREFACE.startswith(self._seen):
            return
        assert self._transport is not None
        if self._seen.startswith(PREFACE):
            protocol = cast("asyncio.Protocol", self._http2())
        else:
            protocol = cast("asyncio.Protocol", self._http1())
            self._lines.drop(self._transport)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)


def context(folder: Path) -> ssl.SSLContext:
    """TLS with a certificate of our own for loopback, kept in *folder*; HTTP/2 is offered first."""
    if not (folder / CERTIFICATE).exists():
        _certify(folder)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


def _certify(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "FCM stand-in")])
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    names = [x509.DNSName("localhost"), *(x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), began, began + LIFE)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file = folder / KEY
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / CERTIFICATE).write_bytes(certificate.public_bytes(Encoding.PEM))
