"""What a log line may hold."""

import json
import subprocess
import sys

import pytest

from engine.telemetry import REDACTED, redact


@pytest.mark.parametrize(
    "name",
    [
        "lat",
        "lng",
        "lat_deg",
        "token",
        "api_key",
        "coupon_code",
        "registration",
        "Authorization",
        "x.secret",
        "FCM-TOKEN",
    ],
)
def test_secrets_and_places_are_redacted_whatever_the_depth(name: str) -> None:
    line = redact(None, "info", {"event": "seen", name: "60.17", "inner": {name: 1, "kept": [{name: 2}, "x"]}})
    assert line == {
        "event": "seen",
        name: REDACTED,
        "inner": {name: REDACTED, "kept": [{name: REDACTED}, "x"]},
    }


@pytest.mark.parametrize("name", ["status_code", "key_id", "monkey", "latency_ms", "flat", "encoded", "position"])
def test_harmless_names_are_kept(name: str) -> None:
    assert redact(None, "info", {name: 7}) == {name: 7}


def test_passwords_in_addresses_and_postgres_details_go() -> None:
    line = redact(
        None,
        "info",
        {
            "url": "cannot reach postgresql://me:hunter2@db/x",
            "exception": "UniqueViolationError: twice\nDETAIL:  Key (registration)=(abc) exists.\nend",
        },
    )
    assert "hunter2" not in line["url"]
    assert "me:***@db/x" in line["url"]
    assert "abc" not in line["exception"]
    assert line["exception"].endswith("\nend")


def test_a_process_writes_json_lines_to_stderr_only() -> None:
    program = (
        "import structlog; from engine.settings import Settings; from engine.telemetry import configure;"
        "configure(Settings(log_level='warning'), 'matcher'); log = structlog.get_logger();"
        "log.info('quiet'); log.warning('loud', token='t', n=1)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    line = json.loads(done.stderr)
    assert line.pop("timestamp") and line.pop("pid")
    assert line == {"event": "loud", "level": "warning", "role": "matcher", "token": REDACTED, "n": 1}
