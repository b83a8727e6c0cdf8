"""Kernels for a process that needs them: loaded, or compiled by two processes side by side where none are kept yet.

Of several such processes on a machine one compiles and the others wait for it. `python -m engine.warming` does it for
whoever comes later.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from geo.kernels import DISPATCHERS
from geo.warming import PARTS as GEO
from geo.warming import folders
from offers.warming import warm as offers

Told: TypeAlias = Callable[[int, int], None]
"""Called every `_PAUSE_S` while kernels are compiled with how many are there, and of about how many."""

PARTS: Final[tuple[Callable[[], None], ...]] = (offers, *GEO)
"""Kernels that belong together; a helper compiles the last part."""

_PAUSE_S: Final = 2.0
_TRY_S: Final = 0.2
_HELPER: Final = "helper"


def warm(told: Told) -> None:
    """Compile the kernels that are not kept, load the others."""
    kept = [Path(folder) for folder in sorted(folders())]
    if not kept or all(_warmed(folder).exists() for folder in kept):
        _run_all()  # nothing to compile, or no place for two to meet
        return
    for folder in kept:
        folder.mkdir(parents=True, exist_ok=True)
    with _telling(kept, told), _alone(kept[0]):
        if all(_warmed(folder).exists() for folder in kept):
            _run_all()
            return
        _compile()
        for folder in kept:
            _warmed(folder).touch()


def _run_all() -> None:
    for part in PARTS:
        part()


def _compile() -> None:
    """All parts; a helper has compiled the last one meanwhile, or this process does, should it have failed."""
    with _helping() as helper:
        for part in PARTS[:-1]:
            part()
        helper.wait()
    PARTS[-1]()


def _warmed(folder: Path) -> Path:
    """The file that says that all kernels are kept in the folder."""
    return folder / "warmed"


@contextmanager
def _helping() -> Iterator[subprocess.Popen[bytes]]:
    """A process that compiles the last part. It ends when its input does: at the latest with this process."""
    argv = [sys.executable, "-m", "engine.warming", _HELPER]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as helper:  # noqa: S603 - argv is ours
        try:
            yield helper
        finally:
            helper.kill()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process compiles into the folder; a lock that its owner's death sets free."""
    with (folder / "lock").open("w") as lock:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_TRY_S)
        yield


@contextmanager
def _telling(folders: Sequence[Path], told: Told) -> Iterator[None]:
    """Tell how far it is, from a thread: who compiles cannot."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_PAUSE_S):
            there = sum(len(list(folder.glob("*.nbi"))) for folder in folders)
            told(min(there, len(DISPATCHERS)), len(DISPATCHERS))

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _help() -> None:
    """Be the helper."""

    def follow() -> None:
        os.read(sys.stdin.fileno(), 1)  # not through the buffer: its lock would be missed at the end
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    with suppress(KeyboardInterrupt):
        PARTS[-1]()


def _say(done: int, total: int) -> None:
    sys.stderr.write(f"compiling kernels {done}/{total}\n")


if __name__ == "__main__":
    _help() if sys.argv[1:] == [_HELPER] else warm(_say)
