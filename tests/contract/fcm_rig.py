"""A stand-in and a channel that knows it only by the two settings; shared by the contract tests of FCM."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import uuid4

import msgspec

from engine.channels.fcm import FcmChannel
from engine.channels.fcm_vendor import Vendor
from engine.channels.fcm_wire import HttpWire, Way
from engine.channels.push import Outcome, Push
from engine.clock import Clock
from engine.settings import Settings
from engine.standin.issuer import FILE, ServiceAccount
from engine.standin.script import Answer, Script
from engine.standin.server import Manners, StandIn, serving

CLOCK = Clock(offset_ms=7 * 86_400_000)
"""A week ahead: whatever mixes wall time with engine time shows."""
LIFE_S = 3600


def push(registration: str, kind: Literal["token", "fid"] = "token", life_s: int = 600) -> Push:
    return Push(
        message_id=uuid4(),
        decision_id=uuid4(),
        registration=registration,
        kind=kind,
        title="15 % off",
        body="Today",
        data={"coupon": "CODE-1"},
        expires_ms=CLOCK.now_ms() + life_s * 1000,
    )


def settings_of(stand_in: StandIn) -> Settings:
    """Its door for TLS and HTTP/2 where it has one, as FCM's; else HTTP/1.1."""
    return Settings(
        fcm_service_account=str(stand_in.service_account),
        fcm_base_url=stand_in.tls_address or stand_in.address,
        fcm_ca=str(stand_in.certificate or ""),
    )


class Rig:
    """A stand-in and a channel that knows it only by the two settings."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.settings = settings_of(stand_in)
        self.channel = FcmChannel.open(self.settings)

    async def send(self, message: Push) -> Outcome:
        return await self.channel.send(message, CLOCK.now_ms())

    async def scripted(self, *answers: Answer) -> tuple[Outcome, list[dict[str, Any]]]:
        """One send of ours under the script, and the arrivals it caused."""
        message = push(f"phone-{uuid4()}")
        self.stand_in.scripts.put(Script(message.registration, list(answers)))
        outcome = await self.send(message)
        return outcome, self.arrivals(message)

    def arrivals(self, message: Push) -> list[dict[str, Any]]:
        rows = self.stand_in.ledger.since(0, {"registration": message.registration}, 1000)
        return [msgspec.structs.asdict(row) for row in rows]

    def impatient(self, timeout_s: float) -> FcmChannel:
        """A channel whose patience suits a test; the product's own is 10 s at least."""
        vendor = Vendor(self.settings.fcm_service_account, self.settings.fcm_base_url)
        return FcmChannel(vendor, HttpWire(Way(self.settings.fcm_base_url, timeout_s, ca=self.settings.fcm_ca)))


@cache
def _account() -> bytes:
    """One RSA key for all tests: making one takes longer than most of them."""
    with TemporaryDirectory() as folder:
        return ServiceAccount.kept(Path(folder), "").path.read_bytes()


def give_account(folder: Path) -> None:
    """The service account of all tests, for a stand-in in *folder*."""
    (folder / FILE).write_bytes(_account())


@asynccontextmanager
async def running(folder: Path, **manners: Any) -> AsyncIterator[Rig]:
    """A rig on a fresh stand-in whose data is in *folder*; it speaks TLS and HTTP/2 unless *manners* say otherwise."""
    give_account(folder)
    async with serving(folder, clock=CLOCK, manners=Manners(**{"life_s": LIFE_S, "tls": True, **manners})) as stand_in:
        rig = Rig(stand_in)
        yield rig
        await rig.channel.close()
