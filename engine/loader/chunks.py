"""A body in any format → pieces of a binary COPY with the faults found on the way. Runs in a thread."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from engine.http.problems import Fault
from engine.http.products import Price
from engine.loader.body import Body
from engine.loader.documents import elements, lines
from engine.loader.faults import Unreadable
from engine.loader.geojson import of_feature, require_collection
from engine.loader.kinds import areas, campaigns, codes, prices, products, stores
from engine.loader.kinds.kind import RowKind, Staged, named
from engine.loader.known import Known
from engine.loader.tables import Block, blocks

KINDS: Mapping[str, RowKind] = {
    "stores": stores.STORES,
    "products": products.PRODUCTS,
    "campaigns": campaigns.CAMPAIGNS,
    "areas": areas.AREAS,
    "codes": codes.CODES,
}
PRICES = "prices"
MOST_ROWS = 25_000_000
MOST_ROWS_ELSE = 2_000_000
"""Of what is not prices."""
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Chunk:
    """Some rows: how many, those that passed as rows of a binary COPY, the faults of the others."""

    rows: int
    copy: bytes
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """What an upload is."""

    kind: str
    format: str
    body: Body


def chunks(source: Source, known: Known) -> Iterator[Chunk]:
    """All of *source*; what keeps it from being read on is the last fault."""
    most, rows = MOST_ROWS if source.kind == PRICES else MOST_ROWS_ELSE, 0
    try:
        for chunk in _prices(source, known) if source.kind == PRICES else _rows(source, known):
            rows += chunk.rows
            yield chunk
            if rows > most:
                raise Unreadable("too_large", f"more than {most:,} rows", most + 1)
    except Unreadable as error:
        yield Chunk(0, b"", [error.fault])


def _rows(source: Source, known: Known) -> Iterator[Chunk]:
    kind = KINDS[source.kind]
    if source.format in ("csv", "tsv"):
        for block in blocks(source.body, source.format, lambda header: named(kind.columns, kind.required, header)):
            yield from _of_block(kind, block, known)
    else:
        yield from _of_documents(kind, source, known)


def _of_block(kind: RowKind, block: Block, known: Known) -> Iterator[Chunk]:
    names = list(block.columns)
    columns = [column.to_pylist() for column in block.columns.values()]
    rows = zip(*columns, strict=True) if columns else iter(())
    found = [
        kind.of_row(number, {name: cell for name, cell in zip(names, cells, strict=True) if cell}, known)
        for number, cells in zip(block.numbers.tolist(), rows, strict=True)
    ]
    chunk = _together(found)
    faults = sorted([*block.faults, *chunk.faults], key=lambda fault: fault.row or 0)
    yield Chunk(chunk.rows + len({fault.row for fault in block.faults}), chunk.copy, faults)


def _of_documents(kind: RowKind, source: Source, known: Known) -> Iterator[Chunk]:
    waiting: list[Staged | list[Fault]] = []
    for number, row in _documents(source, kind.member):
        given = of_feature(row, number) if source.format == "geojson" else row
        waiting.append(given if isinstance(given, list) else kind.of_json(number, given, known))
        if len(waiting) == _AT_ONCE:
            yield _together(waiting)
            waiting = []
    yield _together(waiting)


def _documents(source: Source, member: str) -> Iterator[tuple[int, bytes]]:
    if source.format == "ndjson":
        return lines(source.body)
    if source.format == "geojson":
        return elements(source.body, "features", require_collection)
    return elements(source.body, member)


def _together(found: Iterable[Staged | list[Fault]]) -> Chunk:
    rows, copy, faults = 0, bytearray(), list[Fault]()
    for one in found:
        rows += 1
        if isinstance(one, list):
            faults += one
        else:
            copy += _packed(one)
    return Chunk(rows, bytes(copy), faults)


def _packed(row: Staged) -> bytes:
    """A row of the table `staged` in PostgreSQL's binary COPY; jsonb begins with its version."""
    code = row.code.encode()
    head = struct.pack(">hiqi", 3, 8, row.row, len(code))
    return b"".join((head, code, struct.pack(">ib", len(row.data) + 1, 1), row.data))


def _prices(source: Source, known: Known) -> Iterator[Chunk]:
    taken = prices.Prices(known)
    if source.format in ("csv", "tsv"):
        for block in blocks(source.body, source.format, lambda header: named(prices.COLUMNS, prices.REQUIRED, header)):
            copy, faults = taken.of_block(block)
            left_out = len({fault.row for fault in block.faults})
            both = sorted([*block.faults, *faults], key=lambda fault: fault.row or 0)
            yield Chunk(len(block.numbers) + left_out, copy, both)
    else:
        yield from _prices_of_documents(source, known, taken)
    if taken.repeated():
        yield Chunk(0, b"", [REPEATED])


REPEATED = Fault("repeated", "a product and store stand in two rows")
"""Stands for all of them, until the table of staged rows has told which."""


def _prices_of_documents(source: Source, known: Known, taken: prices.Prices) -> Iterator[Chunk]:
    good: list[tuple[int, Price]] = []
    faults: list[Fault] = []
    rows = 0
    for number, row in _documents(source, PRICES):
        rows += 1
        price = prices.checked(number, row, known)
        if isinstance(price, list):
            faults += price
        else:
            good.append((number, price))
        if rows == _AT_ONCE:
            yield Chunk(rows, _copied(taken, good), faults)
            good, faults, rows = [], [], 0
    yield Chunk(rows, _copied(taken, good), faults)


def _copied(taken: prices.Prices, good: list[tuple[int, Price]]) -> bytes:
    return taken.of_prices([number for number, _ in good], [price for _, price in good]) if good else b""
