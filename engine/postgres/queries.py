"""The named queries: `queries.campaigns.get_campaign(connection, id=7)`, from sql/queries/campaigns.sql.

One object a file, made by aiosql; parameters by keyword.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import aiosql


@functools.cache
def load(name: str) -> Any:
    """The queries of sql/queries/<name>.sql; raise AttributeError when there is no such file."""
    file = resources.files("sql") / "queries" / f"{name}.sql"
    if not file.is_file():
        raise AttributeError(f"there is no sql/queries/{name}.sql")
    return aiosql.from_str(file.read_text(encoding="utf-8"), "asyncpg", mandatory_parameters=False)


def __getattr__(name: str) -> Any:
    return load(name)


def names() -> list[str]:
    """Every file there is, for the test that loads all of them."""
    folder = resources.files("sql") / "queries"
    return sorted(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))
