"""`python -m benchmarks.peers.push.install`: what the sender is measured against.

firebase-admin, pyfcm and pycurl in an environment of their own, fcm-v1-http2 from npm, nginx and h2load from Debian (as
root).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from benchmarks.peers.push.running import HOME, PYTHON

WHEELS = ("firebase-admin==7.7.0", "pyfcm==2.1.1", "pycurl==7.49.0", "uvloop==0.23.0")
PACKAGE = "fcm-v1-http2@1.0.12"
DEBIAN = {"nginx": "nginx-light", "h2load": "nghttp2-client", "node": "nodejs", "npm": "npm"}


def main() -> int:
    """0 when every peer is installed."""
    missing = [package for program, package in DEBIAN.items() if _which(program) is None]
    if missing and (why := _hindrance()):
        print(f"{', '.join(missing)} are not installed: {why}", file=sys.stderr)
        return 1
    if missing:
        _install(missing)
    HOME.mkdir(exist_ok=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME / "venv")], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *WHEELS], check=True)
    subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(HOME), PACKAGE], check=True
    )
    print(f"firebase-admin, pyfcm and fcm-v1-http2: {HOME}; nginx: {_which('nginx')}; h2load: {_which('h2load')}")
    return 0


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(f"/usr/sbin/{program}")


def _hindrance() -> str:
    """Why we cannot install from Debian; "" when we can."""
    if shutil.which("apt-get") is None:
        return "this is no Debian (there is no apt-get). Install nginx, nghttp2 and Node yourself"
    return "" if os.geteuid() == 0 else "only root may"


def _install(packages: list[str]) -> None:
    """Without starting nginx: the bench runs one of its own."""
    environ = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    subprocess.run(["apt-get", "-qq", "-y", "install", "--no-install-recommends", *packages], check=True, env=environ)


if __name__ == "__main__":
    sys.exit(main())
