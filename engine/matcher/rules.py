"""The rules of visits, as the settings have them."""

from __future__ import annotations

from engine.errors import SettingError
from engine.settings import Settings, variable
from geo.records import BARE, Rules
from geo.units import MS_PER_S


def rules_of(settings: Settings) -> Rules:
    """What `geo.transitions` judges fixes by; raises `SettingError` for a *hysteresis* that is neither on nor off."""
    if settings.hysteresis == "off":
        return BARE
    if settings.hysteresis != "on":
        raise SettingError(f"{variable('hysteresis')}={settings.hysteresis!r} is neither on nor off")
    return Rules(
        arrival_accuracy_m=settings.fence_accuracy_m,
        margin_m=settings.fence_margin_m,
        rim_m=settings.fence_rim_m,
        rim_share=settings.fence_rim_share,
        silent_ms=settings.fence_silent_s * MS_PER_S,
        evidence_ms=settings.fence_evidence_s * MS_PER_S,
        speed_m_s=settings.fence_speed_m_s,
    )
