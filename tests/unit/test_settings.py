"""Settings from a mapping."""

from dataclasses import fields, replace
from typing import Any

import pytest

from engine.errors import SettingError
from engine.settings import Settings, variable


def test_nothing_set_gives_the_defaults() -> None:
    assert Settings.read({}) == Settings()


def test_every_setting_survives_the_way_to_a_child() -> None:
    changed: dict[str, Any] = {}
    for knob in fields(Settings):
        default = getattr(Settings(), knob.name)
        changed[knob.name] = type(default)("7")
    settings = replace(Settings(), **changed)
    assert Settings.read(settings.environ()) == settings
    assert settings != Settings()


def test_servers_have_the_names_every_tool_uses() -> None:
    settings = Settings.read({"DATABASE_URL": "postgresql://a/b", "REDIS_URL": "redis://c", "PATH": "/bin"})
    assert (settings.database_url, settings.redis_url) == ("postgresql://a/b", "redis://c")


@pytest.mark.parametrize("name", ["CANDLEMAKER_PORT", "CANDLEMAKER_GROUP_COMMIT_MS", "CANDLEMAKER_LEASE_S"])
def test_what_does_not_parse_is_named(name: str) -> None:
    with pytest.raises(SettingError, match=f"{name}='soon'"):
        Settings.read({name: "soon"})


def test_a_misspelt_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"unknown setting CANDLEMAKER_PROT; known: .*CANDLEMAKER_PORT"):
        Settings.read({"CANDLEMAKER_PROT": "1"})


def test_every_setting_has_its_sentence() -> None:
    described = Settings.described()
    assert set(described) == {variable(knob.name) for knob in fields(Settings)}
    assert all(len(says) > 10 for says in described.values())
