"""CSV and TSV, as retailers have them: rows by columns, a block at a time, each row with its number.

RFC 4180 with the usual liberties: any line ending, a byte order mark, semicolons or tabs where the header has them.
Parsed by pyarrow; the one file that imports its reader.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from engine.http.problems import Fault
from engine.loader.body import Body
from engine.loader.faults import Unreadable

BLOCK_BYTES = 4 << 20
"""A row is shorter than that."""
LONGEST_HEADER = 64 << 10
MOST_COLUMNS = 200
LONGEST_FIELD = 32 << 10
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

END = b"\x04end of the file\x04"
"""Put behind the file as a row of its own: where that is not the last row, a quote has swallowed it."""

Numbers = npt.NDArray[np.int64]
Named = Callable[[Sequence[str]], list[str]]
"""Header cells → our names of the columns; raises `Unreadable`."""


@dataclass(frozen=True)
class Block:
    """Rows of a table: `columns` by our names, all texts of the same length; `numbers` count from 1, without the
    header. `faults` are those of rows that are not in it."""

    numbers: Numbers
    columns: dict[str, pa.StringArray]
    faults: list[Fault]


def blocks(body: Body, format_: str, named: Named) -> Iterator[Block]:
    """The rows of *body* ('csv' or 'tsv'); raises `Unreadable` where it cannot be read on."""
    delimiter, cells = _header(body, format_)
    names = named(cells)
    reading = _Reading(body, names, delimiter)
    seen = False
    for block in reading.blocks():
        seen = seen or bool(len(block.numbers) or block.faults)
        yield block
    if not seen:
        raise Unreadable("no_rows", "there is a header and no row behind it")


def _header(body: Body, format_: str) -> tuple[str, list[str]]:
    """(delimiter, cells) of the first line, which is taken off the body."""
    head = b""
    while b"\n" not in head and len(head) <= LONGEST_HEADER:
        piece = body.read(LONGEST_HEADER)
        if not piece:
            break
        head += piece
    if head.startswith(_UTF16_BOMS) or b"\0" in head[:64]:
        raise Unreadable("encoding", "the file is UTF-16 or not text at all: save it as UTF-8")
    if not head.strip():
        raise Unreadable("no_rows", "the file is empty")
    line, newline, rest = head.removeprefix(_UTF8_BOM).partition(b"\n")
    if len(line) > LONGEST_HEADER:
        raise Unreadable("header", f"the first line is longer than {LONGEST_HEADER} bytes; it must name the columns")
    body.push_back(rest if newline else b"")
    try:
        text = line.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise Unreadable("encoding", "the header is not UTF-8: save the file as UTF-8") from None
    delimiter = "\t" if format_ == "tsv" else _delimiter(text)
    try:
        cells = next(csv.reader([text], delimiter=delimiter, strict=True))
    except (csv.Error, StopIteration):
        raise Unreadable("header", "the header cannot be read: a quote in it is not closed") from None
    if len(cells) > MOST_COLUMNS:
        raise Unreadable("header", f"{len(cells)} columns; at most {MOST_COLUMNS} are read")
    return delimiter, cells


def _delimiter(header: str) -> str:
    """A comma, unless the header has none and has semicolons or tabs."""
    return "," if "," in header else max(",;\t", key=header.count)


class _Ended:
    """A body with a row behind it, as a file that pyarrow takes."""

    def __init__(self, body: Body, row: bytes) -> None:
        self._body = body
        self._row = row
        self.closed = False

    def readable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Nothing is open."""
        self.closed = True

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """At most *size* bytes of the body, then the row, then nothing."""
        piece = self._body.read(size)
        if not piece:
            piece, self._row = self._row, b""
        return piece


class _Reading:
    """One pass over the rows behind the header."""

    def __init__(self, body: Body, names: list[str], delimiter: str) -> None:
        self._body = body
        self._names = names
        self._delimiter = delimiter
        self._wrong: dict[int, Fault] = {}
        """Rows that the parser left out, by number; it may be ahead of the blocks it has given out."""
        self._next = 1
        self._swallowed: int | None = None
        """The row that the end was found in."""

    def blocks(self) -> Iterator[Block]:
        last: pa.RecordBatch | None = None
        try:
            reader = arrow_csv.open_csv(
                pa.PythonFile(_Ended(self._body, self._end_row()), mode="r"),
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=self._names),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._wrong_row
                ),
                convert_options=arrow_csv.ConvertOptions(
                    check_utf8=False, column_types=dict.fromkeys(self._names, pa.binary()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                if last is not None:
                    yield self._block(last)
                last = batch
        except pa.ArrowInvalid as error:
            if last is not None:
                yield self._block(last)
            yield from self._left_over()
            raise self._unreadable(error) from None
        yield from self._ends(last)

    def _end_row(self) -> bytes:
        return b"\n" + END + self._delimiter.encode() * (len(self._names) - 1) + b"\n"

    def _ends(self, last: pa.RecordBatch | None) -> Iterator[Block]:
        """The last rows, without that of ours; raises `Unreadable` where it is part of another."""
        if last is not None and last.num_rows:
            closed = last.column(0)[last.num_rows - 1].as_py() == END
            swallowed = not closed and self._swallowed is None
            yield self._block(last.slice(0, last.num_rows - (closed or swallowed)))
            if swallowed:
                numbers, faults = self._numbered(1)
                self._swallowed = int(numbers[0])
                yield Block(numbers[:0], {}, faults)
        yield from self._left_over()
        if self._swallowed is not None:
            why = f"the quote that opens in row {self._swallowed} is not closed before the file ends"
            raise Unreadable("quote", why, self._swallowed)

    def _wrong_row(self, row: Any) -> str:
        n, found = row.number, row.actual_columns
        if END.decode() in row.text:
            self._swallowed = n
            return "skip"
        self._wrong[n] = Fault("columns", f"{found} cells, and the header has {row.expected_columns}", None, n)
        return "skip"

    def _block(self, batch: pa.RecordBatch) -> Block:
        numbers, faults = self._numbered(batch.num_rows)
        arrays, good = {}, np.ones(batch.num_rows, np.bool_)
        for name, column in zip(self._names, batch.columns, strict=True):
            arrays[name] = _texts(column, name, numbers, good, faults, self._body.has_nul)
        if not good.all():
            mask = pa.array(good)
            arrays = {name: array.filter(mask) for name, array in arrays.items()}
            numbers = numbers[good]
        return Block(numbers, arrays, sorted(faults, key=lambda fault: fault.row or 0))

    def _numbered(self, rows: int) -> tuple[Numbers, list[Fault]]:
        """Numbers of the next *rows* rows that the parser gave out, and the faults of those left out among them."""
        end = self._next + rows
        left_out = sorted(n for n in self._wrong)
        for n in left_out:
            if n < end:
                end += 1
        numbers = np.arange(self._next, end, dtype=np.int64)
        among = [n for n in left_out if n < end]
        if among:
            numbers = numbers[~np.isin(numbers, among)]
        self._next = end
        return numbers, [self._wrong.pop(n) for n in among]

    def _left_over(self) -> Iterator[Block]:
        """Rows left out behind the last good one."""
        if self._wrong:
            faults = [self._wrong[n] for n in sorted(self._wrong)]
            self._next = max(self._wrong) + 1
            self._wrong.clear()
            yield Block(np.zeros(0, np.int64), {}, faults)

    def _unreadable(self, error: pa.ArrowInvalid) -> Unreadable:
        text = str(error)
        if "straddling" in text or "out of sync" in text or "quote" in text:
            why = f"behind row {self._next - 1} a quote is not closed, or a row is longer than {BLOCK_BYTES >> 20} MiB"
            return Unreadable("quote", why, self._next)
        if "Empty" in text:
            return Unreadable("no_rows", "there is a header and no row behind it")
        return Unreadable("unreadable", f"behind row {self._next - 1} the file cannot be read as a table", self._next)


def _texts(
    column: pa.BinaryArray, name: str, numbers: Numbers, good: npt.NDArray[np.bool_], faults: list[Fault], nul: bool
) -> pa.StringArray:
    """*column* as texts; rows whose cell is none are marked in *good*."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest > LONGEST_FIELD or nul:
        for at in np.flatnonzero(_unfit(column)).tolist():
            good[at] = False
            faults.append(Fault("cell", f"over {LONGEST_FIELD} bytes, or a NUL", name, int(numbers[at])))
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return _decoded(column, name, numbers, good, faults)


def _unfit(column: pa.BinaryArray) -> npt.NDArray[np.bool_]:
    too_long = pc.greater(pc.binary_length(column), LONGEST_FIELD)
    has_nul = pc.greater_equal(pc.find_substring(column, b"\0"), 0)
    found: npt.NDArray[np.bool_] = pc.or_(too_long, has_nul).to_numpy(zero_copy_only=False)
    return found


def _decoded(
    column: pa.BinaryArray, name: str, numbers: Numbers, good: npt.NDArray[np.bool_], faults: list[Fault]
) -> pa.StringArray:
    """Cell by cell: some are not UTF-8."""
    texts = []
    for at, cell in enumerate(column.to_pylist()):
        try:
            texts.append(cell.decode())
        except UnicodeDecodeError:
            good[at] = False
            texts.append("")
            faults.append(Fault("encoding", "not UTF-8: save the file as UTF-8", name, int(numbers[at])))
    return pa.array(texts, pa.string())
