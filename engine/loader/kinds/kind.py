"""One kind of rows: how a row of any format becomes a checked value, and which statements store it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from engine.http.codec import JSON
from engine.http.explain import explain, fault_of
from engine.http.problems import Fault, Problem
from engine.loader.faults import MOST_A_ROW, Unreadable
from engine.loader.known import Known

Cells = Mapping[str, str]
"""Our column name → the cell's text; without the empty ones."""


class Staged(NamedTuple):
    """A row that passed: its number, its code (what makes it the same row the next time) and its JSON."""

    row: int
    code: str
    data: bytes


class Counts(NamedTuple):
    """The difference an upload makes."""

    created: int
    updated: int
    unchanged: int
    ended: int


@dataclass(frozen=True)
class Order:
    """What the upload asked for."""

    replace: bool
    dry_run: bool
    activate: bool
    caller: str


@dataclass(frozen=True)
class RowKind:
    """`columns` are header cells (as `plain` writes them) → our names; `of_cells` makes of them what the struct is
    converted from; `check` finds what one field's type cannot tell; `store` runs in the retailer's transaction, on the
    table `staged`, and answers faults (then nothing is kept) or counts.
    """

    member: str
    struct: Any
    columns: Mapping[str, str]
    required: frozenset[str]
    of_cells: Callable[[Cells, Known], Any]
    check: Callable[[Any, int, Known], Sequence[Fault]]
    stage: Callable[[Any, Known], tuple[str, Any]]
    store: Callable[[Any, Known, Order], Awaitable[list[Fault] | Counts]]

    def value_of(self, number: int, row: bytes, known: Known) -> Any | list[Fault]:
        """A checked row of a document, or its faults."""
        try:
            value = _decoder(self.struct).decode(row)
            JSON.require_strict(row)
        except msgspec.ValidationError as error:
            return _told(explain(self.struct, row) or [fault_of(error)], number)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return [Fault("malformed_json", JSON.malformed(error).detail or "not JSON", None, number)]
        except Problem as problem:
            return _told(problem.errors or [Fault(problem.kind, problem.detail or problem.title)], number)
        return list(self.check(value, number, known))[:MOST_A_ROW] or value

    def of_json(self, number: int, row: bytes, known: Known) -> Staged | list[Fault]:
        """A row of a document."""
        return self._staged(number, self.value_of(number, row, known), known)

    def of_row(self, number: int, cells: Cells, known: Known) -> Staged | list[Fault]:
        """A row of a table."""
        try:
            given = self.of_cells(cells, known)
        except CellError as error:
            return [Fault(error.code, error.detail, error.column, number)]
        try:
            value = msgspec.convert(given, self.struct, strict=False)
        except msgspec.ValidationError:
            return _told(_each(self.struct, given), number)
        return self._staged(number, list(self.check(value, number, known))[:MOST_A_ROW] or value, known)

    def _staged(self, number: int, value: Any | list[Fault], known: Known) -> Staged | list[Fault]:
        if isinstance(value, list):
            return value
        code, data = self.stage(value, known)
        return Staged(number, code, msgspec.json.encode(data))


class CellError(Exception):
    """A cell that cannot be read as what its column holds."""

    def __init__(self, column: str, code: str, detail: str) -> None:
        super().__init__(code)
        self.column, self.code, self.detail = column, code, detail


def plain(header: str) -> str:
    """A header cell as columns are known: `Sale Price` and `sale_price` are one."""
    return "_".join(header.strip().lower().replace("_", " ").split())


def named(columns: Mapping[str, str], required: frozenset[str], header: Sequence[str]) -> list[str]:
    """Our names of a table's columns; raises `Unreadable` for unknown, repeated and missing ones."""
    cells = [plain(cell) for cell in header]
    if unknown := [cell for cell in cells if cell not in columns]:
        why = f"there is no column {unknown[0][:60]!r}; known: {', '.join(sorted(columns))}"
        raise Unreadable("unknown_column", why, column=unknown[0][:60])
    names = [columns[cell] for cell in cells]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Unreadable("repeated_column", f"the column {twice!r} stands twice in the header", column=twice)
    if missing := sorted(required - set(names)):
        raise Unreadable("missing_column", f"the column {missing[0]!r} is missing", column=missing[0])
    return names


def listed(text: str) -> list[str]:
    """A cell with several codes or words: by `;` or `|` or, where it has neither, by commas."""
    mark = next((mark for mark in ";|" if mark in text), ",")
    return [word.strip() for word in text.split(mark) if word.strip()]


def _told(faults: Sequence[Fault], number: int) -> list[Fault]:
    return [msgspec.structs.replace(fault, row=number) for fault in faults[:MOST_A_ROW]]


def _each(struct: Any, given: Any) -> list[Fault]:
    """Field by field: msgspec stops at the first."""
    found = []
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        if name not in given:
            if field.required:
                found.append(Fault("missing", f"missing field `{name}`", name))
            continue
        try:
            msgspec.convert(given[name], field.type, strict=False)
        except msgspec.ValidationError as error:
            found.append(fault_of(error, name))
    return found


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(kind)
    return _decoders[kind]
