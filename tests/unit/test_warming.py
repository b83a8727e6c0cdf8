"""Kernels are compiled by two processes, of which none stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import engine.warming
from engine.warming import warm


@pytest.fixture
def _parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Instead of compiling, parts are noted."""
    ran: list[str] = []
    parts = tuple((lambda name=name: ran.append(name)) for name in ("serve", "build"))
    monkeypatch.setattr(engine.warming, "PARTS", parts)
    monkeypatch.setattr(engine.warming, "folders", lambda: {str(tmp_path / "kept")})
    return ran


def _helper(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    plain = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **more: plain([sys.executable, "-c", code], **more))


def test_a_helper_is_waited_for_once_and_never_needed_again(
    _parts: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _helper(monkeypatch, f"import time; time.sleep(0.3); open({str(tmp_path / 'helped')!r}, 'w')")
    warm(lambda done, total: None)
    assert _parts == ["serve", "build"]
    assert (tmp_path / "helped").exists()
    _helper(monkeypatch, f"open({str(tmp_path / 'again')!r}, 'w')")
    warm(lambda done, total: None)
    assert _parts == ["serve", "build"] * 2
    assert not (tmp_path / "again").exists()


def test_a_helper_that_fails_is_done_without(_parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _helper(monkeypatch, "raise SystemExit(3)")
    warm(lambda done, total: None)
    assert _parts == ["serve", "build"]


def test_no_helper_outlives_a_failure(_parts: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _helper(
        monkeypatch, f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )

    def fail() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        raise ZeroDivisionError

    monkeypatch.setattr(engine.warming, "PARTS", (fail, fail))
    start = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        warm(lambda done, total: None)
    assert time.monotonic() - start < 30.0  # killed, not waited for
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_it_is_told_while_it_takes(_parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    _helper(monkeypatch, "import time; time.sleep(0.3)")
    monkeypatch.setattr(engine.warming, "_PAUSE_S", 0.05)
    told: list[tuple[int, int]] = []
    warm(lambda done, total: told.append((done, total)))
    assert told and all(0 <= done <= total for done, total in told)


def test_the_helper_ends_with_its_owner(tmp_path: Path) -> None:
    """Killed before it can end the helper itself: the helper's input is closed then."""
    argv = [sys.executable, "-m", "engine.warming", "helper"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment) as helper:
        time.sleep(0.5)
        assert helper.poll() is None
        assert helper.stdin is not None
        helper.stdin.close()
        assert helper.wait(10) == 1
