"""Real servers for tests: an embedded PostgreSQL and Valkey a session, a fresh database and number a test.

TEST_DATABASE_URL and TEST_REDIS_URL use servers of your own instead; what tests created is dropped there.
A server that cannot start skips its tests with a loud line at home and fails them where CI is set.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis
import structlog

from engine.embedded.servers import EmbeddedServers
from engine.errors import ServerError
from engine.postgres.migrate import migrate
from engine.settings import Settings
from tests.databases import copied, in_thread, name_of

_missing: list[str] = []


@pytest.fixture(autouse=True)
def own_logs() -> Iterator[None]:
    """A test that runs a command in this process leaves its log configuration to no other."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the servers' user can reach (pytest's own tmp_path is closed to others)."""
    with _open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def servers() -> Iterator[Settings]:
    """Settings with the addresses of the session's servers."""
    given = Settings(
        database_url=os.environ.get("TEST_DATABASE_URL", ""), redis_url=os.environ.get("TEST_REDIS_URL", "")
    )
    with contextlib.ExitStack() as stack:
        embedded = EmbeddedServers(replace(given, data=stack.enter_context(_open_folder())))
        if not (given.database_url and given.redis_url):
            try:
                stack.enter_context(embedded)
            except ServerError as error:
                _unavailable(str(error))
        yield embedded.settings


@pytest.fixture(scope="session")
def template_database(servers: Settings) -> Iterator[str]:
    """Name of a migrated database that others are copied from."""
    with copied(servers) as url:
        in_thread(migrate(replace(servers, database_url=url)))
        yield name_of(url)


@pytest.fixture
def database_url(servers: Settings, template_database: str) -> Iterator[str]:
    """A fresh migrated database for one test."""
    with copied(servers, template_database) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(servers: Settings, template_database: str) -> Iterator[str]:
    """A fresh migrated database for one module."""
    with copied(servers, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(servers: Settings) -> Iterator[str]:
    """A database without any table of ours."""
    with copied(servers) as url:
        yield url


@pytest.fixture
def redis_url(servers: Settings) -> Iterator[str]:
    """A numbered Valkey database that was empty before; emptied afterwards."""
    with _numbered(servers) as url:
        yield url


@pytest.fixture(scope="module")
def module_redis_url(servers: Settings) -> Iterator[str]:
    """The same for one module."""
    with _numbered(servers) as url:
        yield url


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database and number; port 0 lets a Stack choose one."""
    return Settings(data=tmp_path, database_url=database_url, redis_url=redis_url, port=0)


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="candlemaker-test-", dir=_fast_place()))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fast_place() -> str | None:
    """Memory, where it is large enough: the servers sync as they must, and there it costs nothing."""
    memory = Path("/dev/shm")
    large = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    return str(memory) if large else None


@contextlib.contextmanager
def _numbered(servers: Settings) -> Iterator[str]:
    for number in range(1, 64):
        url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{number}"))
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            # SET NX claims an empty number against another test session on the same server.
            if client.dbsize() == 0 and client.set("candlemaker:test", "claimed", nx=True):
                client.delete("candlemaker:test")
                try:
                    yield url
                finally:
                    client.flushdb()
                return
    _unavailable(f"no empty database number on {servers.redis_url}")


def _unavailable(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    _missing.append(why)
    pytest.skip(why)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tried."""
    for why in dict.fromkeys(_missing):
        terminalreporter.write_line(f"SKIPPED FOR WANT OF A SERVER: {why}", red=True, bold=True)
