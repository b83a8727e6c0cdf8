"""A lean native stub for FCM: nginx with HTTP/2 over TLS, one process, which reads each body and answers FCM's 200.

Its certificate is signed by an authority made for the bench; what a peer must trust is `Stub.ca`.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

STREAMS = 100
NAME = '{"name":"projects/p/messages/0:1700000000000000%31bd1c9631bd1c96"}'
_CONF = """daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; log_format arrival '$msec $status'; keepalive_requests 1000000000; keepalive_timeout 1h;
  client_body_buffer_size 16k; client_max_body_size 64k;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl http2; http2_max_concurrent_streams {streams};
    ssl_certificate {folder}/stub.pem; ssl_certificate_key {folder}/stub.key;
    default_type application/json;
    {answers}
  }}
  {zone}
}}
"""
_OK = "location / {{ return 200 '{name}'; }}"
_QUOTA = """location / {{
      # `return` would answer before the quota is looked at; no file is there, and that is answered 200.
      limit_req zone=quota burst={burst} nodelay; limit_req_status 429; limit_req_log_level info; root {folder};
      access_log {log} arrival buffer=64k flush=1s;
      error_page 404 =200 @ok; error_page 429 @refused;
    }}
    location @ok {{ access_log {log} arrival buffer=64k flush=1s; return 200 '{name}'; }}
    location @refused {{ access_log {log} arrival buffer=64k flush=1s; return 429 '{refusal}'; }}"""
_ZONE = "limit_req_zone $server_port zone=quota:1m rate={rate}r/s;"
_REFUSAL = """{"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [
{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": "QUOTA_EXCEEDED"}]}}"""
ARRIVALS = "arrivals.log"


@dataclass(frozen=True)
class Stub:
    """A running stub. *ca* is the file of its authority's certificate, *pid* its master process, *log* has a line for
    each request where there is a quota: `epoch-seconds status`."""

    port: int
    ca: Path
    pid: int
    log: Path

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://127.0.0.1:{self.port}"


def nginx() -> str:
    """The program; raises RuntimeError when it is not installed."""
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        raise RuntimeError("to measure against a native stub: make peers")
    return found


def version() -> str:
    """As nginx prints it."""
    said = subprocess.run([nginx(), "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


@asynccontextmanager
async def serving(folder: Path, quota_per_s: int | None = None) -> AsyncIterator[Stub]:
    """Serve from an empty *folder* until the context ends; what is a second's worth above a quota is answered 429."""
    folder.mkdir(parents=True, exist_ok=True)
    certify(folder)
    port = free_port()
    (folder / "nginx.conf").write_text(_configured(folder, port, quota_per_s))
    argv = [nginx(), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await reachable(port)
        yield Stub(port, folder / "ca.pem", process.pid, folder / ARRIVALS)
    finally:
        process.terminate()
        process.wait(10)


def _configured(folder: Path, port: int, quota_per_s: int | None) -> str:
    answers, zone = _OK.format(name=NAME), ""
    if quota_per_s is not None:
        answers = _QUOTA.format(
            burst=quota_per_s, folder=folder, log=folder / ARRIVALS, name=NAME, refusal=_REFUSAL.replace("\n", "")
        )
        zone = _ZONE.format(rate=quota_per_s)
    return _CONF.format(folder=folder, port=port, streams=STREAMS, answers=answers, zone=zone)


async def reachable(port: int, timeout_s: float = 10.0) -> None:
    """Return when something listens there."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def certify(folder: Path) -> None:
    """An authority (`ca.pem`) and a certificate of it for this machine's loopback (`stub.pem`, `stub.key`)."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    root = _builder(issuer, issuer, authority.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    leaf = _builder(subject, issuer, key.public_key())
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = leaf.add_extension(x509.SubjectAlternativeName(names), critical=False)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "stub.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(folder / "stub.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(pem)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )
