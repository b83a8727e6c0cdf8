"""The program's face: help, versions, errors in one sentence."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.__main__ import main
from engine.cli import commands
from engine.cli.parser import ENTRIES, Entry, build
from engine.errors import ServerError
from engine.settings import Settings, variable


def test_every_command_has_a_page_and_a_function() -> None:
    assert {entry.name for entry in ENTRIES} == set(commands._COMMANDS)


@pytest.mark.parametrize("page", ENTRIES, ids=lambda page: page.name)
def test_help_has_an_example_and_the_settings(page: Entry, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([page.name, "--help"], {})
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert page.example in text
    for name in page.settings:
        assert variable(name) in text
        assert Settings.described()[variable(name)] in text


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"], {})
    text = capsys.readouterr().out
    for entry in ENTRIES:
        assert entry.name in text
        assert entry.line in text


@pytest.mark.parametrize("argv", [[], ["up", "--fast"], ["nonsense"], ["keys"], ["keys", "create"]])
def test_what_is_mistyped_ends_with_status_two(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(argv, {})
    assert done.value.code == 2
    assert "usage: candlemaker" in capsys.readouterr().err


def test_a_refusal_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise ServerError("the disk is full: make room")

    monkeypatch.setitem(commands._COMMANDS, "doctor", refuse)
    assert main(["doctor"], {}) == 2
    assert capsys.readouterr().err == "candlemaker: the disk is full: make room\n"


@pytest.mark.parametrize("role", ["api", "matcher", "sender", "loader"])
def test_a_role_without_servers_says_what_to_start(
    role: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "configure", lambda *_: None)
    assert main([role], {"CANDLEMAKER_DATA": str(tmp_path)}) == 2
    assert "start `candlemaker up`, or set DATABASE_URL and REDIS_URL" in capsys.readouterr().err


def test_an_unknown_log_level_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up"], {"CANDLEMAKER_LOG_LEVEL": "loud"}) == 2
    assert "CANDLEMAKER_LOG_LEVEL='loud'" in capsys.readouterr().err


def test_keys_are_parsed() -> None:
    words = ["keys", "create", "--scope", "till", "--retailer", "7", "--name", "till 3"]
    args = build(words).parse_args(words)
    assert (args.verb, args.scope, args.retailer, args.name) == ("create", "till", 7, "till 3")


def test_module_and_script_are_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "engine", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("candlemaker ")
