"""A plain HTTP client for building worlds: JSON in and out."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec


class Refused(Exception):
    """The API did not answer 2xx."""


class Client:
    """Blocking: call it from `asyncio.to_thread` where a loop runs."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self._host, self._port, self._timeout_s = parts.hostname, parts.port, timeout_s

    def ask(self, method: str, path: str, key: str, body: Any = None) -> Any:
        """The decoded answer; raises `Refused` with the problem when it is not 2xx."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        content = msgspec.json.encode(body) if body is not None else None
        # A line a request: the server hangs up on lines that are idle for a while.
        line = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        with contextlib.closing(line):
            line.request(method, path, content, headers)
            answer = line.getresponse()
            told = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(f"{method} {path}: {answer.status} {told[:500].decode(errors='replace')}")
        return msgspec.json.decode(told) if told else None
