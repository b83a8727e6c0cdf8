"""The signing keys: made once, kept outside the database, read by every role."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine.embedded.home import open_folder
from engine.errors import SettingError
from engine.settings import Settings

_BYTES = 32


@dataclass(frozen=True)
class Secrets:
    """`token_key` signs customer tokens, `coupon_key` makes coupon codes; 32 random bytes each."""

    token_key: bytes = field(repr=False)
    coupon_key: bytes = field(repr=False)


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token_key: str
    coupon_key: str


def load_secrets(settings: Settings) -> Secrets:
    """Read `CANDLEMAKER_SECRETS`, or `<data>/secrets.json`, which is made (0600) when missing.

    Raises `SettingError` when the file is missing at a place of your own, malformed or readable by others.
    """
    if settings.secrets:
        return _read(Path(settings.secrets))
    path = open_folder(settings.data) / "secrets.json"
    if not path.exists():
        _create(path)
    return _read(path)


def _create(path: Path) -> None:
    stored = _Stored(token_key=secrets.token_hex(_BYTES), coupon_key=secrets.token_hex(_BYTES))
    write_private(path, msgspec.json.encode(stored) + b"\n", replace=False)


def write_private(path: Path, content: bytes, replace: bool = True) -> None:
    """Write a file only we may read, complete and synced before it has its name.

    Without *replace* the first of two writers wins.
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        if replace:
            aside.replace(path)
        else:
            _link(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _link(aside: Path, path: Path) -> None:
    try:
        path.hardlink_to(aside)
    except FileExistsError:  # two roles started at once; both read the winner's
        return


def _read(path: Path) -> Secrets:
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise SettingError(f"the signing keys in {path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise SettingError(f"{path} holds the signing keys and is open to other users: chmod 600 {path}")
    try:
        stored = msgspec.json.decode(content, type=_Stored)
        return Secrets(token_key=_key(stored.token_key), coupon_key=_key(stored.coupon_key))
    except (msgspec.DecodeError, ValueError):
        # The decoder's message could quote the file, so it is not passed on.
        raise SettingError(
            f'{path} must be {{"token_key": ..., "coupon_key": ...}} with two keys of {_BYTES} bytes in hex'
        ) from None


def _key(text: str) -> bytes:
    key = bytes.fromhex(text)
    if len(key) != _BYTES:
        raise ValueError("wrong length")
    return key
