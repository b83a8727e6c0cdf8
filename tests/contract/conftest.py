"""What contract tests stand on: the API's world, one a module, and the matcher's, a fresh copy a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from engine.settings import Settings
from tests.contract.http_world import Regulars, World, regulars_of, running
from tests.contract.matcher_rig import furnish
from tests.databases import copied, in_thread, name_of


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def world(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """The API in this process; tests that use it run in the module's event loop."""
    data = tmp_path_factory.mktemp("data")
    async with running(Settings(data=data, database_url=module_database_url, redis_url=module_redis_url)) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def regulars(world: World) -> Regulars:
    """Whom tests of bad inputs speak of when they must not speak of nobody."""
    return await regulars_of(world)


@pytest.fixture(scope="session")
def matcher_template(servers: Settings, template_database: str) -> Iterator[str]:
    """Name of a database with the world of `matcher_rig` in it, made once."""
    with copied(servers, template_database) as url:
        in_thread(furnish(replace(servers, database_url=url)))
        yield name_of(url)


@pytest.fixture
def furnished(servers: Settings, matcher_template: str, redis_url: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings on a fresh copy of it."""
    with copied(servers, matcher_template) as url:
        yield Settings(data=tmp_path, database_url=url, redis_url=redis_url, port=0)
