"""Uploads: a file of rows as it is, taken at once, stored by a loader, watched here."""

from __future__ import annotations

import asyncio
import csv
import datetime
import io
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from engine.http.body import CLOSE, Receive
from engine.http.call import Call, Reply, Streamed, retailer_of
from engine.http.idempotency import key_of, once
from engine.http.intake import Received, all_or_nothing, receive_parts, require_room
from engine.http.problems import Fault, Problem
from engine.http.wire import Number
from engine.loader.faults import MOST_KEPT
from engine.postgres import queries
from engine.postgres.pool import tenant

UploadKind = Literal["stores", "products", "prices", "campaigns", "areas", "codes"]
Format = Literal["json", "ndjson", "csv", "tsv", "geojson"]
UploadState = Literal["receiving", "queued", "running", "done", "rejected", "failed"]

MEDIA: dict[bytes, Format] = {
    b"application/json": "json",
    b"application/x-ndjson": "ndjson",
    b"application/ndjson": "ndjson",
    b"text/csv": "csv",
    b"text/tab-separated-values": "tsv",
    b"application/geo+json": "geojson",
}
PARAMETERS = (b"", b"charset=utf-8", b"header=present")
GEO_KINDS = frozenset({"stores", "areas"})
FAULT_COLUMNS = ["row", "column", "code", "detail"]
FAULTS_A_PAGE = 1_000


class NewUpload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of an upload.

    `replace` ends what the retailer has and the file has not; `dry_run` stores nothing and tells what it would do;
    `activate` makes campaigns live (or scheduled) in the same transaction.
    """

    kind: UploadKind
    replace: bool = False
    dry_run: bool = False
    activate: bool = False
    retailer: Number | None = None


class Difference(msgspec.Struct, frozen=True):
    """Rows that were, or of a dry run would be, made, changed, left as they are, and ended because they are missing."""

    created: int
    updated: int
    unchanged: int
    ended: int


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload and how far it is. `done`: all of it is stored (nothing, of a dry run). `rejected`: none of it, and the
    file of rejected rows says why. `failed`: none of it, for a reason on our side. `bytes_read` of `bytes` are checked.
    """

    id: UUID
    kind: UploadKind
    format: Format
    gzip: bool
    replace: bool
    dry_run: bool
    activate: bool
    state: UploadState
    bytes: int
    bytes_read: int
    rows: int
    rejected: int
    faults_found: int
    """In all rejected rows."""
    faults_listed: int
    """Of those, in the file; at most 100,000."""
    difference: Difference | None
    reason: str | None
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    faults: str | None
    """Address of the file of rejected rows."""


class UploadList(msgspec.Struct, frozen=True):
    """The latest uploads, newest first."""

    uploads: list[Upload]


class UploadsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    retailer: Number | None = None


async def post(call: Call, receive: Receive) -> Reply:
    """Take the body in and queue it; answered once it is durable."""
    query: NewUpload = call.query
    format_, gzipped = _declared(call, query)
    key_of(call, b"")  # a malformed one is refused before the body is read
    upload = uuid4()
    with call.services.intake_gate:
        async with all_or_nothing(call, upload):
            async with tenant(call.services.pools.tenant, call.retailer) as call.connection:
                await _open(call, upload, format_, gzipped)
            received = await receive_parts(call, upload, receive)
            return await _queued(call, upload, received)


async def _open(call: Call, upload: UUID, format_: Format, gzipped: bool) -> None:
    if await queries.retailers.find_retailer(call.connection, id=call.retailer) is None:
        raise Problem("not_found", "the retailer does not exist", headers=[CLOSE])
    await require_room(call)
    query: NewUpload = call.query
    await queries.uploads.insert_upload(
        call.connection,
        id=upload,
        retailer=call.retailer,
        kind=query.kind,
        format=format_,
        gzip=gzipped,
        replaces=query.replace,
        dry_run=query.dry_run,
        activates=query.activate,
        caller=call.caller.name,
    )


async def _queued(call: Call, upload: UUID, received: Received) -> Reply:
    """Queue what was received, or repeat the answer that the same call got before."""

    async def work() -> Reply:
        await queries.uploads.queue(call.connection, id=upload, bytes=received.size)
        row = await queries.uploads.get_upload(call.connection, id=upload)
        place = f"/v1/uploads/{upload}".encode()
        return Reply(202, msgspec.json.encode(_shown(row)), headers=((b"location", place),))

    async with tenant(call.services.pools.tenant, call.retailer) as call.connection:
        reply = await once(call, key_of(call, received.digest), work)
        await queries.uploads.forget_upload(call.connection, id=upload)  # of a repeated call
    return reply


def _declared(call: Call, query: NewUpload) -> tuple[Format, bool]:
    """(format, whether gzipped) as the headers say; raise `Problem` for what is not taken."""
    kind, _, parameters = call.headers.get(b"content-type", b"").partition(b";")
    format_ = MEDIA.get(kind.strip().lower())
    if format_ is None or parameters.strip().lower().replace(b'"', b"") not in PARAMETERS:
        known = ", ".join(name.decode() for name in MEDIA)
        raise Problem("unsupported_media_type", f"Content-Type must be one of {known}, in UTF-8", headers=[CLOSE])
    encoding = call.headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b"gzip", b"x-gzip", b""):
        raise Problem("unsupported_media_type", "a body is plain or gzip", headers=[CLOSE])
    faults = []
    if format_ == "geojson" and query.kind not in GEO_KINDS:
        faults.append(Fault("value", "GeoJSON holds stores or areas", "kind"))
    if format_ != "geojson" and query.kind == "areas":
        faults.append(Fault("value", "areas are drawn as GeoJSON", "kind"))
    if query.activate and query.kind != "campaigns":
        faults.append(Fault("value", "only campaigns are activated", "activate"))
    if faults:
        raise Problem("invalid", errors=faults, headers=[CLOSE])
    return format_, encoding in (b"gzip", b"x-gzip")


async def page(call: Call) -> UploadList:
    """The latest uploads."""
    rows = queries.uploads.list_uploads(call.connection, most=call.query.limit)
    return UploadList([_shown(row) async for row in rows])


async def one(call: Call) -> Upload:
    """One upload and how far it is."""
    return _shown(await _found(call))


async def faults(call: Call) -> Streamed | Reply:
    """The file of rejected rows, as CSV."""
    call.retailer = retailer_of(call.caller, call.query.retailer)
    async with tenant(call.services.pools.tenant, call.retailer) as call.connection:
        await _found(call)
    return FaultsFile(call)


async def _found(call: Call) -> Any:
    row = await queries.uploads.get_upload(call.connection, id=call.params["upload"])
    if row is None or row["state"] == "receiving":
        raise Problem("not_found")
    return row


class FaultsFile(Streamed):
    """row, column, code, detail; a page at a time, each in its own transaction."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def send(self, receive: Any, send: Any) -> None:
        headers = [
            (b"content-type", b"text/csv; charset=utf-8; header=present"),
            (b"content-disposition", b'attachment; filename="rejected.csv"'),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": _lines([FAULT_COLUMNS]), "more_body": True})
        last = -1
        while True:
            rows = await self._page(last)
            await send({"type": "http.response.body", "body": _lines(map(_cells, rows)), "more_body": bool(rows)})
            if not rows:
                return
            last = rows[-1]["n"]
            await asyncio.sleep(0)

    async def _page(self, after: int) -> list[Any]:
        call = self._call
        async with tenant(call.services.pools.tenant, call.retailer) as connection:
            found = queries.uploads.list_faults(
                connection, upload=call.params["upload"], after=after, most=FAULTS_A_PAGE
            )
            return [row async for row in found]


def _lines(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cells(row: Any) -> list[str]:
    number = "" if row["row"] is None else str(row["row"])
    return [number, *(harmless(row[name]) for name in FAULT_COLUMNS[1:])]


def harmless(text: str | None) -> str:
    """*text* as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text and text[0] in "=+-@\t\r" else text or ""


def _shown(row: Any) -> Upload:
    values = dict(row)
    counts = {name: values.pop(name) for name in Difference.__struct_fields__}
    values["faults_found"] = found = values.pop("faults")
    values["faults_listed"] = min(found, MOST_KEPT)
    values["replace"], values["activate"] = values.pop("replaces"), values.pop("activates")
    difference = Difference(**counts) if row["state"] == "done" else None
    link = f"/v1/uploads/{row['id']}/rejected" if row["state"] == "rejected" else None
    return Upload(**values, difference=difference, faults=link)
