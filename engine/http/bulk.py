"""What uploads of rows have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from engine.http.problems import Fault
from engine.http.wire import Number


class UploadedRow(msgspec.Struct, frozen=True):
    """A row's code and the id it has here."""

    code: str
    id: Number


class Uploaded(msgspec.Struct, frozen=True):
    """How many rows were new, how many replaced one, and all their ids, by code."""

    created: int
    updated: int
    rows: list[UploadedRow]


def uploaded(rows: Iterable[Any]) -> Uploaded:
    """From rows of code, id, created."""
    given = sorted(rows, key=lambda row: row["code"])
    created = sum(row["created"] for row in given)
    return Uploaded(created, len(given) - created, [UploadedRow(row["code"], row["id"]) for row in given])


def repeated(codes: list[Any], column: str = "code") -> list[Fault]:
    """A fault for each row whose code stood in an earlier row."""
    first: dict[Any, int] = {}
    faults = []
    for row, code in enumerate(codes, 1):
        if first.setdefault(code, row) != row:
            faults.append(Fault("repeated", f"stands in row {first[code]} already", column, row))
    return faults
