"""The embedded servers for real: deaths, restarts, locks, closed folders, and servers of your own."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis

from engine.embedded.child import Command, spawn
from engine.embedded.home import settle, unprivileged
from engine.embedded.postgres import PostgresServer
from engine.embedded.server import server_environ
from engine.embedded.servers import EmbeddedServers, borrowed, running
from engine.embedded.valkey import ValkeyServer
from engine.errors import ServerError
from engine.postgres.migrate import migrate
from engine.postgres.pool import ENGINE, LOST, TENANT, connect
from engine.settings import Settings
from engine.supervise import Stack

pytestmark = pytest.mark.acceptance

OWNER = """
import signal, sys
from pathlib import Path
from engine.embedded.servers import EmbeddedServers
from engine.settings import Settings
with EmbeddedServers(Settings(data=Path(sys.argv[1]))) as servers:
    print(servers["postgres"].pid, servers["valkey"].pid, servers.database_url, servers.redis_url, flush=True)
    signal.pause()
"""


@pytest.fixture
def fresh(open_folder: Path) -> Settings:
    return Settings(data=open_folder / "data", port=0)


def command_line(pid: int) -> str:
    """Empty for a process that is gone, and for a zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def processes_of(folder: Path) -> list[int]:
    """Pids of living processes that name *folder*."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and str(folder) in command_line(int(entry.name))
    ]


def wait_until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


linux = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG and /proc are Linux's")


async def test_kill_9_of_postgres_in_mid_insert_keeps_what_was_acknowledged(fresh: Settings) -> None:
    async with Stack(fresh, roles=()) as stack:
        session = await connect(stack.settings)
        await session.execute("CREATE TABLE kept (n integer)")
        before = stack.pid("postgres")
        acknowledged: list[int] = []
        enough = asyncio.Event()

        async def insert_until_it_dies() -> None:
            for n in range(1_000_000):
                await session.execute("INSERT INTO kept VALUES ($1)", n)
                acknowledged.append(n)
                if n == 200:
                    enough.set()

        inserting = asyncio.create_task(insert_until_it_dies())
        await enough.wait()
        stack.kill("postgres", signal.SIGKILL)
        with pytest.raises((*LOST, asyncpg.PostgresError)):
            await inserting

        session = await reconnect(stack.settings)
        kept = {row["n"] for row in await session.fetch("SELECT n FROM kept")}
        await session.close()
        assert set(acknowledged) <= kept
        assert len(kept) - len(acknowledged) in {0, 1}, "at most the one whose answer was lost"
        assert stack.pid("postgres") not in {None, before}


async def reconnect(settings: Settings) -> asyncpg.Connection:
    """Redial the same address until the supervisor has brought the server back."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(ServerError):
                return await connect(settings)
            await asyncio.sleep(0.05)


async def test_kill_9_of_valkey_keeps_its_data(fresh: Settings) -> None:
    async with Stack(fresh, roles=()) as stack:
        client = redis.Redis.from_url(stack.settings.redis_url)
        for n in range(2_000):
            client.xadd("log", {"n": n})
        stack.kill("valkey", signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: stack.pid("valkey") is not None and answers(client))
        assert client.xlen("log") == 2_000
        client.close()


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


@contextlib.contextmanager
def owner(data: Path) -> Iterator[tuple[subprocess.Popen[str], int, int, Settings]]:
    """A process that runs servers in *data*: it, their pids and their addresses."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        postgres, valkey, database_url, redis_url = process.stdout.readline().split()
        settings = Settings(data=data, database_url=database_url, redis_url=redis_url)
        yield process, int(postgres), int(valkey), settings
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@linux
async def test_servers_die_with_an_owner_killed_by_9_and_come_back_whole(fresh: Settings) -> None:
    with owner(fresh.data) as (process, postgres, valkey, settings):
        session = await connect(settings)
        await session.execute("CREATE TABLE kept AS SELECT 42 AS n")
        session.terminate()
        client = redis.Redis.from_url(settings.redis_url)
        client.set("kept", 42)
        client.close()
        assert command_line(postgres)
        assert command_line(valkey)
        process.kill()
        process.wait()
        wait_until(lambda: not command_line(postgres) and not command_line(valkey))
        wait_until(lambda: not processes_of(fresh.data))
    async with EmbeddedServers(fresh) as servers:
        session = await connect(servers.settings)
        assert await session.fetchval("SELECT n FROM kept") == 42
        await session.close()
        client = redis.Redis.from_url(servers.redis_url)
        assert client.get("kept") == b"42"
        client.close()


@linux
def test_servers_outlive_the_thread_that_started_them(fresh: Settings) -> None:
    """PR_SET_PDEATHSIG fires at the death of the forking thread, not of the process."""
    servers = EmbeddedServers(fresh)
    thread = threading.Thread(target=servers.start)
    thread.start()
    thread.join()
    try:
        pids = [server.pid for server in servers]
        client = redis.Redis.from_url(servers.redis_url)
        assert client.ping()
        client.close()
        assert [server.pid for server in servers] == pids
        assert not servers.dead()
    finally:
        servers.stop()
    assert not processes_of(fresh.data)


def test_a_second_owner_is_told_who_holds_the_folder(fresh: Settings) -> None:
    with owner(fresh.data) as (process, _, _, theirs):
        with pytest.raises(ServerError, match=f"in use by process {process.pid}; stop that one"):
            EmbeddedServers(fresh).start()
        done = subprocess.run(
            [sys.executable, "-m", "engine", "up"],
            env=os.environ | fresh.environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        assert f"in use by process {process.pid}" in done.stderr
        assert "Traceback" not in done.stderr
        assert running(fresh).database_url == theirs.database_url, "and it took nothing with it"


async def test_other_commands_find_the_servers_that_run(fresh: Settings) -> None:
    with pytest.raises(ServerError, match="start `candlemaker up`"):
        running(fresh)
    with owner(fresh.data) as (_, _, _, theirs):
        found = running(fresh)
        assert (found.database_url, found.redis_url) == (theirs.database_url, theirs.redis_url)
        async with borrowed(fresh) as lent:
            assert lent == found
    async with borrowed(fresh) as lent:
        assert lent.database_url
        assert lent.database_url != theirs.database_url, "servers of our own now"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")
async def test_a_folder_under_a_closed_parent_works_as_root(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    settings = Settings(data=closed / "data")
    try:
        for expected in (None, 1):  # the second start finds the data of the first
            async with EmbeddedServers(settings) as servers:
                session = await connect(servers.settings)
                found = await session.fetchval("SELECT to_regclass('kept') IS NOT NULL")
                assert found is bool(expected)
                await session.execute("CREATE TABLE IF NOT EXISTS kept (n integer)")
                await session.close()
                pid = servers["postgres"].pid
                assert pid
                assert uid_of(pid) != 0
        assert closed.stat().st_mode & 0o777 == 0o700, "nobody's folders are opened"
    finally:
        elsewhere = Path((closed / "data" / "servers-at").read_text().strip())
        shutil.rmtree(elsewhere)
    assert elsewhere.parent == Path("/var/lib/candlemaker")


async def test_a_user_who_may_only_create_roles_can_migrate(fresh: Settings) -> None:
    """A managed server gives no superuser: CREATEROLE and a database of one's own must do."""
    async with EmbeddedServers(fresh) as servers:
        session = await connect(servers.settings)
        await session.execute("CREATE ROLE plain LOGIN CREATEROLE")
        await session.execute("CREATE DATABASE plain OWNER plain")
        await session.close()
        url = servers.database_url.replace("//candlemaker@", "//plain@").replace("/candlemaker", "/plain")
        plain = replace(servers.settings, database_url=url)
        assert await migrate(plain)
        for role in (ENGINE, TENANT):
            session = await connect(plain, role)
            assert await session.fetchval("SELECT current_user") == role
            await session.close()


async def test_roles_before_the_first_migration_say_what_to_do(fresh: Settings) -> None:
    async with EmbeddedServers(fresh) as servers:
        with pytest.raises(ServerError, match="does not know our roles: run `candlemaker migrate` first"):
            await connect(servers.settings, ENGINE)


async def test_servers_of_your_own_are_used_and_none_is_started(fresh: Settings, open_folder: Path) -> None:
    with owner(open_folder / "theirs") as (_, postgres, valkey, yours):
        given = replace(yours, data=fresh.data, port=0)
        async with Stack(given, roles=()) as stack:
            assert stack.pid("postgres") is None
            assert stack.pid("valkey") is None
            assert stack.settings.database_url == yours.database_url
            assert stack.settings.redis_url == yours.redis_url
            session = await connect(stack.settings)
            assert await session.fetchval("SELECT count(*) FROM partition") == 16
            await session.close()
            assert not (fresh.data / "postgres").exists()
            assert not (fresh.data / "valkey").exists()
        assert command_line(postgres), "left running"
        assert command_line(valkey)


def test_a_server_that_cannot_start_says_why(fresh: Settings) -> None:
    with EmbeddedServers(fresh):
        pass
    (fresh.data / "postgres" / "PG_VERSION").write_text("11\n")
    with pytest.raises(ServerError, match="was written by PostgreSQL 11"):
        EmbeddedServers(fresh).start()
    assert not processes_of(fresh.data)


def test_a_stale_pid_file_of_a_stranger_does_not_stop_the_start(fresh: Settings) -> None:
    with EmbeddedServers(fresh):
        pass
    # PostgreSQL minds only strangers of its own account.
    stranger = spawn(Command(["sleep", "60"], env=server_environ(), account=unprivileged()))
    try:
        for name in ("postgres/postmaster.pid", "valkey/valkey.pid"):
            (fresh.data / name).write_text(f"{stranger.pid}\n{fresh.data}/postgres\n1\n1\n\n127.0.0.1\n1 1\nready\n")
        with EmbeddedServers(fresh) as servers:
            assert not servers.dead()
        assert stranger.poll() is None, "left alone"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("kind", [PostgresServer, ValkeyServer])
def test_an_orphan_ends_before_its_successor_starts(
    open_folder: Path, kind: type[PostgresServer] | type[ValkeyServer]
) -> None:
    """Two servers on the same files would destroy them."""
    home = settle(open_folder / "data")
    orphan, successor = kind(home), kind(home)
    try:
        orphan.start()
        successor.start()
        assert orphan.pid is None
        assert successor.pid is not None
    finally:
        orphan.stop()
        successor.stop()
