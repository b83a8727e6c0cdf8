"""What each command does. Roles are imported when they are called for: `--help` needs none of them."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from engine.embedded.servers import borrowed, running
from engine.settings import Settings
from engine.telemetry import configure

# ruff: noqa: PLC0415 - see the module's first line


def run(settings: Settings, args: argparse.Namespace) -> int:
    """Run the command of *args*; returns the exit status."""
    if args.command not in {"dead-letters", "demo", "doctor", "keys", "migrate", "upload"}:
        configure(settings, args.command)
    return _COMMANDS[args.command](settings, args)


def _up(settings: Settings, _: argparse.Namespace) -> int:
    from engine.cli.up import up

    return asyncio.run(up(settings))


def _api(settings: Settings, _: argparse.Namespace) -> int:
    found = running(settings)  # before the role's imports: they take their time
    from engine.http.serve import main

    return main(found)


def _matcher(settings: Settings, _: argparse.Namespace) -> int:
    found = running(settings)  # before the role's imports: they take their time
    from engine.matcher.run import main

    return main(found)


def _sender(settings: Settings, _: argparse.Namespace) -> int:
    found = running(settings)  # before the role's imports: they take their time
    from engine.sender.run import main

    return main(found)


def _loader(settings: Settings, _: argparse.Namespace) -> int:
    found = running(settings)  # before the role's imports: they take their time
    from engine.loader.run import main

    return main(found)


def _demo(settings: Settings, args: argparse.Namespace) -> int:
    from engine.demo.run import main

    return main(settings, args)


def _stand_in(settings: Settings, args: argparse.Namespace) -> int:
    from engine.standin.run import main

    return main(settings, args)


def _keys(settings: Settings, args: argparse.Namespace) -> int:
    from engine.cli.keys import keys

    return asyncio.run(keys(settings, args))


def _upload(settings: Settings, args: argparse.Namespace) -> int:
    from engine.cli.upload import upload

    return upload(settings, args)


def _dead_letters(settings: Settings, args: argparse.Namespace) -> int:
    from engine.cli.deadletters import dead_letters

    return asyncio.run(dead_letters(settings, args))


def _doctor(settings: Settings, _: argparse.Namespace) -> int:
    from engine.doctor import doctor

    return asyncio.run(doctor(settings))


def _migrate(settings: Settings, _: argparse.Namespace) -> int:
    return asyncio.run(_migrate_now(settings))


async def _migrate_now(settings: Settings) -> int:
    from engine.postgres.migrate import migrate

    async with borrowed(settings) as found:
        applied = await migrate(found)
    for migration in applied:
        sys.stdout.write(f"applied {migration.number:04}_{migration.name}\n")
    if not applied:
        sys.stdout.write("nothing to apply: the database is up to date\n")
    return 0


_COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "up": _up,
    "api": _api,
    "matcher": _matcher,
    "sender": _sender,
    "loader": _loader,
    "migrate": _migrate,
    "demo": _demo,
    "doctor": _doctor,
    "fcm-stand-in": _stand_in,
    "keys": _keys,
    "upload": _upload,
    "dead-letters": _dead_letters,
}
