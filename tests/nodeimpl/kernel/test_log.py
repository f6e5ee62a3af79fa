from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from nodeimpl.kernel.log import REMOVED, TEXT_MAX, bound, configure, drop_secrets, get_logger
from opkit.proof.keys import Identity

TOKEN = "eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJjb29wL2FubiJ9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Take back what a test configures for the whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def lines() -> Any:
    stream = io.StringIO()
    configure(level="debug", stream=stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_the_request_it_belongs_to(lines) -> None:
    log = get_logger("gateway")
    with bound(request_id="r1", node="river"):
        log.info("served", status=200, took_us=12)
    log.warning("later")
    first, second = lines()
    assert first.pop("at_ms") > 1_700_000_000_000
    assert first == {
        "area": "gateway",
        "event": "served",
        "level": "info",
        "node": "river",
        "request_id": "r1",
        "status": 200,
        "took_us": 12,
    }
    assert "request_id" not in second


def test_what_the_standard_library_logs_comes_the_same_way(lines) -> None:
    logging.getLogger("uvicorn.error").warning("token is %s", TOKEN)
    logging.getLogger("alembic").info("percent 100%")
    first, second = lines()
    assert first["area"] == "uvicorn.error"
    assert first["level"] == "warning"
    assert first["event"] == f"token is {REMOVED}"
    assert second["event"] == "percent 100%"


def test_an_exception_is_told_with_its_traceback_and_without_secrets(lines) -> None:
    def fail() -> None:
        raise ValueError(f"cannot read {TOKEN}")

    try:
        fail()
    except ValueError:
        get_logger("x").exception("failed", incident="1a")
    (line,) = lines()
    assert "ValueError: cannot read [removed]" in line["exception"]
    assert "Traceback" in line["exception"]


def test_below_the_level_nothing_is_logged_and_a_wrong_level_is_refused() -> None:
    stream = io.StringIO()
    configure(level="warning", stream=stream)
    get_logger("x").info("quiet")
    assert stream.getvalue() == ""
    with pytest.raises(ValueError, match="loud"):
        configure(level="loud")


@pytest.mark.parametrize(
    "name",
    ["token", "Authorization", "seed", "access_token", "passphrase", "signing_secret", "cookie"],
)
def test_what_is_called_a_secret_is_removed_at_any_depth(name) -> None:
    said = drop_secrets(None, "info", {"a": {name: "x", "b": [{name: {"c": "x"}}]}, name: 5})
    assert said == {"a": {name: REMOVED, "b": [{name: REMOVED}]}, name: REMOVED}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"GET /?t={TOKEN} done", f"GET /?t={REMOVED} done"),
        ("authorization: Bearer abc.def", f"authorization: {REMOVED}"),
        ("postgresql://ann:hunter2@host/db", f"postgresql://ann:{REMOVED}@host/db"),
        ("-----BEGIN PRIVATE KEY-----", REMOVED),
        ("the key did:key:z6Mk is public", "the key did:key:z6Mk is public"),
        ("http://127.0.0.1:80/x@y", "http://127.0.0.1:80/x@y"),
    ],
)
def test_what_looks_like_a_secret_is_removed_wherever_it_stands(text, kept) -> None:
    assert drop_secrets(None, "info", {"event": text, "o": [text]}) == {"event": kept, "o": [kept]}


def test_bytes_keys_and_deep_or_long_values_are_not_spelled_out() -> None:
    deep: Any = "bottom"
    for _ in range(40):
        deep = {"a": deep}
    identity = Identity.generate()
    said = drop_secrets(
        None,
        "info",
        {"data": b"1234", "deep": deep, "long": "x" * (2 * TEXT_MAX), "who": identity, "n": None},
    )
    assert said["data"] == "[4 bytes]"
    assert "bottom" not in str(said["deep"])
    assert len(said["long"]) < TEXT_MAX + 50
    assert identity.seed.hex() not in str(said)
    assert repr(identity.seed) not in str(said)
    assert said["n"] is None


@given(st.recursive(st.text() | st.integers() | st.binary(), st.lists, max_leaves=20), st.text())
def test_any_value_gives_a_line_of_json(value, name) -> None:
    json.dumps(drop_secrets(None, "info", {"event": "x", name or "n": value}))
