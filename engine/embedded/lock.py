"""One owner a data directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from engine.errors import ServerError


class DirectoryLock:
    """An flock on `<folder>/lock`: the kernel drops it when its holder dies. It names the holder's pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fd = -1

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._fd >= 0

    def acquire(self) -> None:
        """Take the lock or raise `ServerError` naming who holds it."""
        fd = os.open(_file(self.folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise ServerError(
                f"{self.folder} is in use by process {holder(self.folder)}; "
                "stop that one, or set CANDLEMAKER_DATA to another folder"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give it back; harmless when it is not held."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def holder(folder: Path) -> int | None:
    """Pid of the process that holds *folder*; 0: it has not written it yet; None: nobody holds it."""
    try:
        fd = os.open(_file(folder), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(ValueError):
            return int(os.pread(fd, 20, 0))
        return 0
    finally:
        os.close(fd)
    return None


def _file(folder: Path) -> Path:
    return folder / "lock"
