"""JSON, NDJSON and GeoJSON: the bytes of each row, one at a time, whatever the size of the document.

A document is `{"stores": [row, …]}` or `[row, …]`; of GeoJSON a FeatureCollection. Rows are only cut out here, by
commas and brackets outside of strings; each is then decoded by the rules of a request's body, the same in every format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import Any

import msgspec

from engine.http.codec import JSON
from engine.http.problems import Problem
from engine.loader.body import Body
from engine.loader.faults import Unreadable

LONGEST_ROW = 4 << 20
LONGEST_BESIDES = 64 << 10
"""Bytes of a document before its rows, and behind them."""
_PIECE = 256 << 10
_BOM = b"\xef\xbb\xbf"
_MARKS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\],]', re.DOTALL)


Check = Callable[[Any], None]


def _anything(_: Any) -> None:
    pass


def lines(body: Body) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each line that is not blank; raises `Unreadable`."""
    waiting, number = b"", 0
    while piece := body.read(_PIECE):
        *whole, waiting = (waiting + piece).split(b"\n")
        for line in whole:
            if line := _bare(line, number):
                number += 1
                yield number, line
        if len(waiting) > LONGEST_ROW:
            raise _too_long(number + 1)
    if line := _bare(waiting, number):
        number += 1
        yield number, line
    if not number:
        raise Unreadable("no_rows", "there is no row in it")


def elements(body: Body, member: str, check: Check = _anything) -> Iterator[tuple[int, bytes]]:
    """(number, bytes) of each row of the array that the document is, or has as *member*; *check* is asked about the
    document without its rows. Raises `Unreadable`."""
    head, rest = _head(body, member)
    number = 0
    rows = _rows(body, rest)
    while True:
        try:
            row = next(rows)
        except StopIteration as end:
            tail: bytes = end.value
            break
        number += 1
        yield number, row
    check(_whole(head + b"]" + _tail(body, tail)))
    if not number:
        raise Unreadable("no_rows", "there is no row in it")


def _bare(line: bytes, number: int) -> bytes:
    return (line if number else line.removeprefix(_BOM)).strip()


def _head(body: Body, member: str) -> tuple[bytes, bytes]:
    """The document up to its array's bracket, included, and what was read behind it."""
    opening = re.compile(rb'\s*\[|\s*\{(?:.*?[\s,{])?"%s"\s*:\s*\[' % re.escape(member.encode()), re.DOTALL)
    text = b""
    while piece := body.read(_PIECE):
        text = (text + piece).removeprefix(_BOM)
        if found := opening.match(text[:LONGEST_BESIDES]):
            return text[: found.end()], text[found.end() :]
        if len(text) > LONGEST_BESIDES:
            break
    if not text.strip():
        raise Unreadable("no_rows", "the file is empty")
    raise Unreadable(
        "malformed_json", f'neither [row, …] nor {{"{member}": [row, …]}}, or it begins with too much else'
    )


def _rows(body: Body, text: bytes) -> Generator[bytes, None, bytes]:
    """The elements of an array whose bracket is passed; returns what was read behind its end."""
    begins, at, depth, number = 0, 0, 0, 0
    while True:
        for mark in _MARKS.finditer(text, at):
            token = mark.group()
            if token == b'"':  # a string that goes on in the next piece
                break
            at = mark.end()
            if len(token) > 1:
                continue
            if token in (b"{", b"["):
                depth += 1
            elif depth and token != b",":
                depth -= 1
            elif token == b"]" or (token == b"," and not depth):
                row = text[begins : mark.start()].strip()
                number += 1
                if row or token == b"," or number > 1:
                    yield row
                if token == b"]":
                    return text[at:]
                begins = at
        text, at, begins = text[begins:], at - begins, 0
        if len(text) > LONGEST_ROW:
            raise _too_long(number + 1)
        piece = body.read(_PIECE)
        if not piece:
            raise Unreadable("malformed_json", f"behind row {number} the document breaks off", number + 1)
        text += piece


def _tail(body: Body, text: bytes) -> bytes:
    while len(text) <= LONGEST_BESIDES:
        piece = body.read(_PIECE)
        if not piece:
            return text
        text += piece
    raise Unreadable("malformed_json", "too much follows behind the rows")


def _whole(document: bytes) -> Any:
    """What stands around the rows, which must be JSON."""
    try:
        value = msgspec.json.decode(document)
        JSON.require_strict(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable("malformed_json", f"around the rows: {JSON.malformed(error).detail}") from None
    except Problem as problem:
        raise Unreadable("malformed_json", f"around the rows: {problem.detail or problem.title}") from None
    return value


def _too_long(row: int) -> Unreadable:
    return Unreadable("too_large", f"the row is longer than {LONGEST_ROW >> 20} MiB", row)
