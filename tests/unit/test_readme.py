"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import bars, readme, result
from engine.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def settings_table() -> str:
    """The table that belongs between the README's settings markers."""
    defaults = Settings()
    environ = defaults.environ()
    lines = ["| variable | default | says |", "|---|---|---|"]
    for name, says in Settings.described().items():
        default = f"`{environ[name]}`" if environ[name] else "empty"
        lines.append(f"| `{name}` | {default} | {says} |")
    return "\n".join(lines)


def test_the_settings_table_is_that_of_the_code() -> None:
    assert f"<!-- settings -->\n{settings_table()}\n<!-- /settings -->" in README


def test_the_figures_are_those_of_the_results() -> None:
    assert readme.block(bars.load(), result.read(result.FOLDER)) in README


def test_every_file_the_readme_names_is_there() -> None:
    named = re.findall(r"`((?:engine|geo|offers|sql|benchmarks|tests)/[\w./-]+\.\w+)`", README)
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_table_has_its_retention_in_the_readme() -> None:
    migrations = "".join(path.read_text() for path in sorted((ROOT / "sql/migrations").glob("*.sql")))
    tables = set(re.findall(r"CREATE TABLE (\w+) (?!PARTITION)", migrations)) | {"schema_migration"}
    section = README.split("## How long things are kept")[1].split("\n## ")[0]
    assert {table for table in tables if f"`{table}`" not in section} == set()
