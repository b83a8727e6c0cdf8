"""The lock on the data directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.embedded.lock import DirectoryLock, holder
from engine.errors import ServerError


def test_second_owner_is_told_who_holds_it(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    first.acquire()
    with pytest.raises(ServerError, match=f"in use by process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_holder_says_who_or_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    assert holder(tmp_path) == os.getpid()
    lock.release()
    assert holder(tmp_path) is None


def test_a_dead_owner_holds_nothing(tmp_path: Path) -> None:
    take_and_die = (
        "import os, sys; from pathlib import Path; from engine.embedded.lock import DirectoryLock;"
        "DirectoryLock(Path(sys.argv[1])).acquire(); os.kill(os.getpid(), 9)"
    )
    dead = subprocess.run([sys.executable, "-c", take_and_die, str(tmp_path)], check=False)
    assert dead.returncode == -9
    assert (tmp_path / "lock").read_text().strip().isdigit(), "the dead one did hold it"
    assert holder(tmp_path) is None
    DirectoryLock(tmp_path).acquire()
