"""The signing keys."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.embedded.secrets import load_secrets, write_private
from engine.errors import SettingError
from engine.settings import Settings


def test_they_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = load_secrets(settings)
    assert load_secrets(settings) == first
    assert len(first.token_key) == len(first.coupon_key) == 32
    assert first.token_key != first.coupon_key
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"], "nothing left aside"


def test_two_folders_have_different_ones(tmp_path: Path) -> None:
    assert load_secrets(Settings(data=tmp_path / "a")) != load_secrets(Settings(data=tmp_path / "b"))


def test_repr_hides_them(tmp_path: Path) -> None:
    secrets = load_secrets(Settings(data=tmp_path))
    assert repr(secrets) == "Secrets()"


def test_your_own_file_is_used_and_never_made(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    settings = Settings(data=tmp_path / "data", secrets=str(own))
    with pytest.raises(SettingError, match="cannot be read"):
        load_secrets(settings)
    write_private(own, (b'{"token_key": "%s", "coupon_key": "%s"}' % (b"ab" * 32, b"cd" * 32)))
    assert load_secrets(settings).token_key == bytes.fromhex("ab" * 32)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"token_key": "ab", "coupon_key": "cd"}',
        b'{"token_key": "%s", "coupon_key": "%s"}' % (b"zz" * 32, b"cd" * 32),
        b'{"token_key": "%s", "coupon_key": "%s", "more": 1}' % (b"ab" * 32, b"cd" * 32),
    ],
)
def test_a_malformed_file_is_refused_without_quoting_it(tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / "secrets.json", content)
    with pytest.raises(SettingError, match="two keys of 32 bytes in hex") as refusal:
        load_secrets(Settings(data=tmp_path))
    assert "abab" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_a_file_open_to_others_is_refused(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    load_secrets(settings)
    (tmp_path / "secrets.json").chmod(0o640)
    with pytest.raises(SettingError, match="open to other users"):
        load_secrets(replace(settings))


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    write_private(tmp_path / "file", b"first", replace=False)
    write_private(tmp_path / "file", b"second", replace=False)
    assert (tmp_path / "file").read_bytes() == b"first"
