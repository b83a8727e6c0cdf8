"""What can be typed, and the help a person reads."""

from __future__ import annotations

import argparse
import importlib.metadata
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, fields

from engine.settings import Settings, variable

_SERVERS = ("data", "database_url", "redis_url")
_LOGS = ("clock_offset_ms", "log_level")
_FENCES = tuple(knob.name for knob in fields(Settings) if knob.name.startswith("fence_"))


@dataclass(frozen=True)
class Entry:
    """One subcommand's page: a line, a paragraph, an example, the settings it reads."""

    name: str
    line: str
    more: str
    example: str
    settings: tuple[str, ...]


ENTRIES = (
    Entry(
        "up",
        "run everything: servers, migrations, api, matcher, sender",
        "Starts PostgreSQL and Valkey from their wheels unless DATABASE_URL and REDIS_URL name yours, brings "
        "the database up to date, starts the roles and restarts whatever dies. The first start writes an "
        "admin API key to <data>/admin.key. SIGTERM or Ctrl-C drains; a second Ctrl-C hurries.",
        "CANDLEMAKER_PORT=8480 candlemaker up",
        tuple(knob.name for knob in fields(Settings)),
    ),
    Entry(
        "api",
        "run the HTTP API alone",
        "Needs servers: those of a running `candlemaker up` in the same data folder, or yours.",
        "DATABASE_URL=postgresql://db/candlemaker REDIS_URL=redis://cache/0 candlemaker api",
        (
            *_SERVERS,
            "secrets",
            "host",
            "port",
            "log_bytes",
            "group_commit_ms",
            "token_life_s",
            "rate_per_minute",
            *_LOGS,
        ),
    ),
    Entry(
        "matcher",
        "run one matcher alone",
        "Takes partitions nobody owns and matches their log. Start as many as you like: each partition has "
        "one owner, and a dead one is replaced within seconds.",
        "candlemaker matcher",
        (*_SERVERS, "secrets", "event_age_s", *_FENCES, *_LOGS),
    ),
    Entry(
        "sender",
        "run one sender alone",
        "Leases messages, checks consent, expiry and stop again, and sends. Start as many as you like.",
        "CANDLEMAKER_FCM_SERVICE_ACCOUNT=account.json candlemaker sender",
        (
            *_SERVERS,
            "secrets",
            "fcm_service_account",
            "fcm_base_url",
            "fcm_ca",
            "fcm_quota_per_s",
            "fcm_quota_share",
            "fcm_ramp_s",
            "fcm_quarter_guard_s",
            "lease_s",
            *_LOGS,
        ),
    ),
    Entry(
        "loader",
        "run one loader alone",
        "Takes queued uploads, checks every row and stores each whole or not at all. Start as many as you like: a "
        "retailer's uploads are stored one after the other.",
        "candlemaker loader",
        (*_SERVERS, "secrets", *_LOGS),
    ),
    Entry(
        "migrate",
        "bring the database up to this version",
        "Applies the numbered migrations that are missing and names them. `candlemaker up` does it too.",
        "DATABASE_URL=postgresql://db/candlemaker candlemaker migrate",
        _SERVERS,
    ),
    Entry(
        "demo",
        "show a city with coupons arriving",
        "Runs the whole product against simulated phones on the real streets of Helsinki.",
        "candlemaker demo --seconds 60 --json",
        ("log_level",),
    ),
    Entry(
        "doctor",
        "say in sentences what is wrong here",
        "Checks Python, wheels, the data folder, both servers, migrations, partitions, clocks and the push "
        "account. Starts the embedded servers for the length of the check when nobody runs them. Exit status "
        "1 when there is a problem.",
        "candlemaker doctor",
        (*_SERVERS, "secrets", "fcm_service_account", "clock_offset_ms"),
    ),
    Entry(
        "fcm-stand-in",
        "run a stand-in for Firebase Cloud Messaging",
        "Answers like FCM's HTTP v1 API, asks for a real OAuth grant and keeps a ledger of what it was sent. "
        "For tests and staging.",
        "candlemaker fcm-stand-in --help",
        ("log_level",),
    ),
    Entry(
        "upload",
        "send a file of stores, prices, campaigns or other rows",
        "All of it is stored, or nothing: rows with a fault are written to a file that says row, column and why. "
        "The same file a second time changes nothing. Exit status 1 when it was rejected.",
        "candlemaker upload stores.csv --key-file shop.key --dry-run",
        ("data", "host", "port"),
    ),
    Entry(
        "dead-letters",
        "list and replay messages that failed",
        "A dead letter is a push that failed for good, or of which nobody knows whether it was shown. Those whose "
        "offer still runs and whose coupon was not taken back can be sent again; what may have been shown keeps its "
        "display tag.",
        "candlemaker dead-letters replay --reason '403 PERMISSION_DENIED' --hours 2",
        _SERVERS,
    ),
    Entry(
        "keys",
        "create, list, rotate and revoke API keys",
        "A key is shown once, when it is created; the database holds its hash.",
        "candlemaker keys create --scope till --retailer 7 --name 'till 3'",
        _SERVERS,
    ),
)


def build(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for *argv*. Commands with arguments of their own are asked for them only when named."""
    parser = argparse.ArgumentParser(
        prog="candlemaker",
        description="A location-aware mobile offer push engine.",
        epilog="`candlemaker COMMAND --help` explains one command and the settings it reads.",
    )
    parser.add_argument("--version", action="version", version=f"candlemaker {version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = next((word for word in argv if not word.startswith("-")), "")
    for entry in ENTRIES:
        page = commands.add_parser(
            entry.name,
            help=entry.line,
            description=textwrap.fill(f"{_sentence(entry.line)} {entry.more}", 100),
            epilog=_epilog(entry),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if entry.name == named:
            _add_arguments(entry.name, page)
    return parser


def _add_arguments(name: str, page: argparse.ArgumentParser) -> None:
    if name == "demo":
        from engine.demo.run import add_arguments  # noqa: PLC0415 - loads the demo's data readers

        add_arguments(page)
    elif name == "fcm-stand-in":
        from engine.standin.run import add_arguments as add_more  # noqa: PLC0415 - as above

        add_more(page)
    elif name == "upload":
        from engine.cli.upload import add_arguments as add_upload  # noqa: PLC0415 - as above

        add_upload(page)
    elif name == "dead-letters":
        from engine.cli.deadletters import add_arguments as add_verbs  # noqa: PLC0415 - loads asyncpg

        add_verbs(page)
    elif name == "keys":
        _add_key_arguments(page)


def _add_key_arguments(page: argparse.ArgumentParser) -> None:
    verbs = page.add_subparsers(dest="verb", metavar="VERB", required=True)
    create = verbs.add_parser("create", help="create a key and print it once")
    create.add_argument("--scope", required=True, choices=("admin", "app", "retailer", "till"))
    create.add_argument("--retailer", type=int, help="the retailer's id; for the scopes retailer and till")
    create.add_argument("--name", required=True, help="whose key it is, for the list")
    verbs.add_parser("list", help="list the keys: id, prefix, scope, retailer, name, revoked")
    rotate = verbs.add_parser("rotate", help="make a successor and print it once; the old key stays good for a while")
    rotate.add_argument("id", type=int, help="the key's id, as `keys list` shows it")
    rotate.add_argument("--grace", type=int, metavar="SECONDS", help="end the old key after that; else when revoked")
    revoke = verbs.add_parser("revoke", help="refuse a key from now on")
    revoke.add_argument("id", type=int, help="the key's id, as `keys list` shows it")


def _sentence(line: str) -> str:
    return f"{line[0].upper()}{line[1:]}."


def _epilog(entry: Entry) -> str:
    says = Settings.described()
    defaults = {knob.name: knob.default for knob in fields(Settings)}
    rows = [
        f"  {variable(name)}\n      {says[variable(name)]} (default: {str(defaults[name]) or 'empty'})"
        for name in entry.settings
    ]
    return "\n".join(["example:", f"  {entry.example}", "", "settings it reads (environment variables):", *rows])


def version() -> str:
    """Version of the installed package."""
    try:
        return importlib.metadata.version("candlemaker")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
