"""`candlemaker fcm-stand-in`: run the stand-in until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from engine.clock import Clock
from engine.settings import Settings, variable
from engine.standin.http2 import STREAMS
from engine.standin.limits import DEVICE_A_MINUTE, PROJECT_A_MINUTE, Limits
from engine.standin.server import Manners, StandIn, serving

PORT = 8471


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `fcm-stand-in`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=int, default=PORT, help="port to listen on, 0 for a free one (default %(default)s)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of the service account and the ledger (default: fcm-stand-in in the data folder)",
    )
    parser.add_argument("--token-life-s", type=int, default=3600, help="life of an access token (default %(default)s)")
    parser.add_argument(
        "--quota-per-s",
        type=int,
        default=PROJECT_A_MINUTE // 60,
        help="the project's quota; counted by the minute, as FCM does (default %(default)s)",
    )
    parser.add_argument(
        "--device-quota", type=int, default=DEVICE_A_MINUTE, help="messages a minute of a device (default %(default)s)"
    )
    parser.add_argument("--streams", type=int, default=STREAMS, help="of an HTTP/2 connection (default %(default)s)")
    parser.add_argument(
        "--tls", action="store_true", help="take messages by TLS and HTTP/2, as FCM does, with a certificate of its own"
    )


def main(settings: Settings, args: argparse.Namespace) -> int:
    """Serve; 0 after a signal, 1 when the port or the folder is not to be had."""
    try:
        asyncio.run(_serve(settings, args))
    except OSError as error:
        sys.stderr.write(f"fcm-stand-in: {error}\n")
        return 1
    return 0


async def _serve(settings: Settings, args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = args.data or settings.data / "fcm-stand-in"
    clock = Clock(settings.clock_offset_ms)
    manners = Manners(args.token_life_s, Limits(args.quota_per_s * 60, args.device_quota), args.streams, args.tls)
    async with serving(folder.resolve(), args.host, args.port, clock, manners) as stand_in:
        sys.stdout.write(_greeting(stand_in))
        sys.stdout.flush()
        await stop.wait()


def _greeting(stand_in: StandIn) -> str:
    return (
        f"FCM stand-in at {stand_in.address}, ledger in {stand_in.ledger.path}\n"
        f"{variable('fcm_service_account')}={stand_in.service_account}\n"
        f"{variable('fcm_base_url')}={stand_in.tls_address or stand_in.address}\n"
        + (f"{variable('fcm_ca')}={stand_in.certificate}\n" if stand_in.certificate else "")
    )
