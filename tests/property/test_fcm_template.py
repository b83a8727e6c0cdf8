"""A message filled in is the message pyfcm builds; `parts` and pyfcm are the slow twin."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.channels.fcm_payload import MOST_DATA_BYTES, PayloadFault, parts
from engine.channels.fcm_template import Templates
from engine.channels.fcm_vendor import Vendor
from engine.channels.push import Push
from engine.standin.issuer import ServiceAccount

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["100 % off %s %d %%", 'quote " and \\ back', "\u2028 and \x00", "ä€😀", ""]
)
NAMES = st.text("abcxyz_0", min_size=1, max_size=8).filter(lambda name: not name.startswith(("google", "gcm")))
PUSHES = st.builds(
    Push,
    message_id=st.uuids(),
    decision_id=st.uuids(),
    registration=st.text("".join(map(chr, range(33, 127))), min_size=1, max_size=40),
    kind=st.sampled_from(["token", "fid"]),
    title=TEXTS,
    body=TEXTS,
    data=st.dictionaries(NAMES, TEXTS, max_size=5),
    expires_ms=st.integers(1_700_000_000_000, 1_900_000_000_000),
)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    account = ServiceAccount.kept(tmp_path_factory.mktemp("account"), "http://127.0.0.1:1/token")
    return Vendor(str(account.path), "http://127.0.0.1:1/")


@pytest.fixture(scope="module")
def templates(vendor: Vendor) -> Templates:
    return Templates(vendor.message)


@given(push=PUSHES, life_s=st.integers(0, 2_419_200))
def test_filled_in_it_is_what_pyfcm_builds(vendor: Vendor, templates: Templates, push: Push, life_s: int) -> None:
    assert json.loads(templates.message(push, life_s)) == json.loads(vendor.message(parts(push, life_s)))


@pytest.mark.parametrize("letter", ["x", "ä", '"'])
def test_the_line_is_drawn_at_the_same_byte(vendor: Vendor, templates: Templates, letter: str) -> None:
    builders: tuple[Callable[[Push], bytes], ...] = (
        lambda p: templates.message(p, 60),
        lambda p: vendor.message(parts(p, 60)),
    )
    for count in range(1900, MOST_DATA_BYTES):
        push = Push(UUID(int=1), UUID(int=2), "r", "token", "t", "b", {"k": letter * count}, 1_764_000_000_000)
        refused = []
        for build in builders:
            try:
                build(push)
                refused.append(False)
            except PayloadFault:
                refused.append(True)
        assert refused[0] is refused[1], count
