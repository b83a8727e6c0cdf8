"""`candlemaker upload FILE`: send a file to the API, show how far it is, fetch the rows it was rejected for."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, get_args
from urllib.parse import urlencode, urlsplit

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from engine.errors import Refused, ServerError
from engine.http.uploads import MEDIA, UploadKind
from engine.settings import Settings

KINDS = get_args(UploadKind)
_FORMATS = {f".{format_}": media.decode() for media, format_ in reversed(MEDIA.items())}
_FORMATS[".jsonl"] = _FORMATS[".ndjson"]
LOOK_EVERY_S = 0.25
TIMEOUT_S = 120.0
SHOWN = 10
"""Rejected rows printed; all of them are in the file."""
_PIECE = 256 << 10


def add_arguments(page: argparse.ArgumentParser) -> None:
    """What can be typed behind `upload`."""
    page.add_argument("file", type=Path, help="rows as .json, .ndjson, .csv, .tsv or .geojson; .gz behind it if packed")
    page.add_argument("--kind", choices=KINDS, help="what the rows are; else told by the file's name (stores-may.csv)")
    page.add_argument("--replace", action="store_true", help="end what the retailer has and the file has not")
    page.add_argument("--dry-run", action="store_true", help="store nothing, tell the difference it would make")
    page.add_argument("--activate", action="store_true", help="make the campaigns live, or scheduled, at once")
    page.add_argument("--retailer", type=int, metavar="ID", help="whose they are; needed with an admin key")
    page.add_argument("--url", help="address of the API (default: that of the settings)")
    page.add_argument("--key-file", type=Path, help="file with the API key (default: <data>/admin.key)")
    page.add_argument(
        "--rejected", type=Path, metavar="FILE", help="where rejected rows go (default: FILE.rejected.csv)"
    )


def upload(settings: Settings, args: argparse.Namespace) -> int:
    """0: stored, or would be; 1: rejected, with the rows in a file. Raises `Refused` and `ServerError`."""
    media, packed = _media(args.file)
    kind = args.kind or _kind(args.file)
    query = {"kind": kind, "replace": args.replace, "dry_run": args.dry_run, "activate": args.activate}
    query = {name: str(value).lower() for name, value in query.items() if value}
    if args.retailer is not None:
        query["retailer"] = str(args.retailer)
    api = _Api(args.url or f"http://{settings.host}:{settings.port}", _key(settings, args), args.retailer)
    headers = {"Content-Type": media} | ({"Content-Encoding": "gzip"} if packed else {})
    with _bar(args.file.name) as bar:
        with args.file.open("rb") as file:
            told = api.post(f"/v1/uploads?{urlencode(query)}", _Watched(file, bar, args.file.stat().st_size), headers)
        told = _watch(api, told, bar)
    return _said(api, told, args)


def _media(path: Path) -> tuple[str, bool]:
    packed = path.suffix == ".gz"
    suffix = (path.with_suffix("") if packed else path).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(sorted(_FORMATS))
        raise Refused(f"{path.name}: the name must end in one of {known}, with .gz behind it if it is packed")
    if not path.is_file():
        raise Refused(f"there is no file {path}")
    return _FORMATS[suffix], packed


def _kind(path: Path) -> str:
    name = path.name.lower()
    found = [kind for kind in KINDS if name.startswith(kind)]
    if not found:
        raise Refused(f"say what the rows of {path.name} are: --kind {'|'.join(KINDS)}")
    return str(found[0])


def _key(settings: Settings, args: argparse.Namespace) -> str:
    path: Path = args.key_file or settings.data / "admin.key"
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Refused(f"no key in {path} ({error.strerror}); name a file that holds one by --key-file") from None


class _Watched:
    """A file that tells the bar what is read of it."""

    def __init__(self, file: BinaryIO, bar: Any, size: int) -> None:
        self._file, self._bar, self.size = file, bar, size

    def read(self, size: int = _PIECE) -> bytes:
        piece = self._file.read(min(size, _PIECE))
        self._bar("sending", (piece and self._file.tell()) or self.size, self.size)
        return piece


class _Api:
    """The few calls there are, each on a connection of its own."""

    def __init__(self, url: str, key: str, retailer: int | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refused(f"{url} is no address such as http://127.0.0.1:8470")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._key = key
        self._of = f"?retailer={retailer}" if retailer is not None else ""

    def post(self, path: str, body: _Watched, headers: dict[str, str]) -> Any:
        """The upload as taken in."""
        status, text = self._ask("POST", path, body, headers | {"Content-Length": str(body.size)})
        if status != 202:
            raise Refused(_problem(status, text))
        return msgspec.json.decode(text)

    def get(self, path: str) -> bytes:
        """The answer's body."""
        status, text = self._ask("GET", path + self._of, None, {})
        if status != 200:
            raise Refused(_problem(status, text))
        return text

    def _ask(self, method: str, path: str, body: _Watched | None, headers: dict[str, str]) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        line = kind(self._host, self._port, timeout=TIMEOUT_S)
        with contextlib.closing(line):
            try:
                try:
                    line.request(method, path, body, {"Authorization": f"Bearer {self._key}"} | headers)
                except (BrokenPipeError, ConnectionResetError):
                    if body is None:  # a refusal may come before the body is through
                        raise
                answer = line.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                where = f"{self._host}:{self._port}"
                why = str(error) or type(error).__name__
                raise ServerError(f"the API at {where} does not answer ({why}); is `candlemaker up` running?") from None


def _problem(status: int, text: bytes) -> str:
    try:
        told = msgspec.json.decode(text)
        parts = [
            told["title"],
            told.get("detail"),
            *(f"{e.get('column')}: {e['detail']}" for e in told.get("errors", [])),
        ]
        return f"{status}: " + "; ".join(part for part in parts if part)
    except (msgspec.DecodeError, KeyError, TypeError):
        return f"the API answered {status}"


def _watch(api: _Api, told: Any, bar: Any) -> Any:
    while told["state"] in ("queued", "running"):
        bar("waiting" if told["state"] == "queued" else "checking and storing", told["bytes_read"], told["bytes"])
        time.sleep(LOOK_EVERY_S)
        told = msgspec.json.decode(api.get(f"/v1/uploads/{told['id']}"))
    return told


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Any]:
    """A progress bar on stderr; none where that is no terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name)

        def tell(what: str, done: int, of: int) -> None:
            progress.update(task, description=f"{name}: {what}", completed=done, total=of)

        yield tell


def _said(api: _Api, told: Any, args: argparse.Namespace) -> int:
    rows = f"{told['rows']:,} rows"
    if told["state"] == "done":
        parts = ", ".join(f"{count:,} {name}" for name, count in told["difference"].items())
        sys.stdout.write(f"{'would be stored' if told['dry_run'] else 'stored'}: {rows}: {parts}\n")
        return 0
    if told["state"] == "failed":
        raise ServerError(f"not stored: {told['reason']}")
    file = args.rejected or args.file.with_name(args.file.name + ".rejected.csv")
    content = api.get(f"/v1/uploads/{told['id']}/rejected")
    file.write_bytes(content)
    lines = content.decode().splitlines()
    sys.stdout.write(f"rejected, nothing is stored: {told['rejected']:,} of {rows} have faults\n")
    sys.stdout.write("".join(f"  {line}\n" for line in lines[: SHOWN + 1]))
    listed, found = told["faults_listed"], told["faults_found"]
    which = "all of them" if listed == found else f"the first {listed:,} of {found:,} faults"
    sys.stdout.write(f"{which}: {file}\n")
    return 1
