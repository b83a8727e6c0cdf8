"""Servers that outlived their owner."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.embedded import orphan

LINGERS = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), sys.exit()))"
IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@contextlib.contextmanager
def server(habit: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that names *folder* in its command line and wrote its pid file."""
    program = f"import signal, sys, time; {habit}; print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    (folder / "pid").write_text(f"{process.pid}\n")
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_is_gone_when_the_next_may_start(tmp_path: Path) -> None:
    with server(LINGERS, tmp_path) as process:
        orphan.end_orphan(tmp_path / "pid", tmp_path, signal.SIGTERM)
        assert orphan.command_line(process.pid) == "", "it can write no more"
        assert process.wait(5) == 0
        assert not (tmp_path / "pid").exists()


def test_one_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphan, "_PATIENCE_S", 0.05)
    with server(IGNORES, tmp_path) as process:
        orphan.end_orphan(tmp_path / "pid", tmp_path, signal.SIGTERM)
        assert process.wait(5) == -signal.SIGKILL


def test_a_stranger_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with server(LINGERS, tmp_path / "other") as process:
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        (tmp_path / "mine").mkdir()
        orphan.end_orphan(tmp_path / "pid", tmp_path / "mine", signal.SIGTERM)
        assert process.poll() is None
        assert not (tmp_path / "pid").exists(), "but its pid must not stop our start"


@pytest.mark.parametrize("content", ["", "no number\n", "999999999\n"])
def test_a_useless_pid_file_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "pid").write_text(content)
    orphan.end_orphan(tmp_path / "pid", tmp_path, signal.SIGTERM)
    assert not (tmp_path / "pid").exists()


def test_no_pid_file_is_no_orphan(tmp_path: Path) -> None:
    orphan.end_orphan(tmp_path / "pid", tmp_path, signal.SIGTERM)


def test_the_command_line_of_the_dead_is_empty() -> None:
    assert "pytest" in orphan.command_line(os.getpid())
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert orphan.command_line(dead.pid) == "", "a zombie"
    dead.wait()
    assert orphan.command_line(dead.pid) == ""
