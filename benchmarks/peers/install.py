"""`python -m benchmarks.peers.install`: scipy and h3ronpy into this environment, PostGIS from Debian, Tile38 by Go.

PostgreSQL's package would make and start a cluster of its own; a line in its settings forbids that while it installs.
The bench makes a cluster for itself and takes it away again.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
SERVERS = Path("/usr/lib/postgresql")
TILE38_VERSION = "1.37.0"
TILE38_MODULE = f"github.com/tidwall/tile38/cmd/tile38-server@v{TILE38_VERSION}"
TILE38 = Path(__file__).parents[2] / ".peers" / "tile38-server"
_GO = "/usr/local/go/bin/go"
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/candlemaker-peers.conf")


def main() -> int:
    """0 when every peer is installed."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
    subprocess.run(pip, check=True)
    if (found := postgis_bin()) is None:
        if why := _hindrance():
            print(f"PostGIS is not installed: {why}", file=sys.stderr)
            return 1
        _install_postgis()
        found = postgis_bin()
    server = _tile38()
    print(f"scipy and h3ronpy: {sys.prefix}; PostGIS: {found or 'still missing'}; Tile38: {server or 'missing'}")
    return 0 if found else 1


def tile38_binary() -> Path | None:
    """The program we installed, or one on the path; None when there is none."""
    elsewhere = shutil.which("tile38-server")
    return TILE38 if TILE38.exists() else Path(elsewhere) if elsewhere else None


def _tile38() -> Path | None:
    """Install it by its module's name where Go is at hand; only the benches of matching need it."""
    if (found := tile38_binary()) is None and (go := shutil.which("go") or _GO) and Path(go).exists():
        environ = os.environ | {"GOBIN": str(TILE38.parent)}
        if subprocess.run([go, "install", TILE38_MODULE], env=environ, check=False).returncode:
            print(f"Tile38 is not installed: Go could not get {TILE38_MODULE}", file=sys.stderr)
        found = tile38_binary()
    return found


def postgis_bin(servers: Path = SERVERS) -> Path | None:
    """Programs of the newest PostgreSQL of Debian's that has PostGIS; None when there is none."""
    having = [path.parents[1] for path in servers.glob("*/lib/postgis-3.so")]
    return max(having, key=lambda server: int(server.name)) / "bin" if having else None


def _hindrance() -> str:
    """Why we cannot install it; "" when we can."""
    if shutil.which("apt-get") is None:
        return f"this is no Debian (there is no apt-get). Install PostgreSQL with PostGIS 3 under {SERVERS}/<version>"
    if os.geteuid() != 0:
        return "only root may. Run: sudo apt-get install --no-install-recommends postgresql-<version>-postgis-3"
    return ""


def _install_postgis() -> None:
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    search = ["apt-cache", "search", "--names-only", "^postgresql-[0-9]+-postgis-3$"]
    names = re.findall(r"^\S+", subprocess.run(search, check=True, capture_output=True, text=True).stdout, re.MULTILINE)
    if not names:
        raise SystemExit(
            "PostGIS is not installed: this release of Debian has no package postgresql-<version>-postgis-3"
        )
    newest = max(names, key=lambda name: int(name.split("-")[1]))
    install = ["apt-get", "-qq", "-y", "install", "--no-install-recommends", "--no-upgrade", newest]
    with _no_cluster():
        subprocess.run(install, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


@contextlib.contextmanager
def _no_cluster() -> Iterator[None]:
    NO_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
    NO_CLUSTER.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        NO_CLUSTER.unlink()


if __name__ == "__main__":
    sys.exit(main())
