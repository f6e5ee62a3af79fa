"""Tokens of the control socket: each with its rights and its time, and no other way in."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from devnet.grants import (
    GRANTS_MAX,
    TTL_MS_MAX,
    Grant,
    Grants,
    Right,
    keep_owner_token,
    read_owner_token,
    token_file,
)
from devnet.state import DevnetError

MINUTE_MS = 60_000


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def admit(grants: Grants, token: object, right: Right | None) -> Grant:
    """Ask once, within a deadline."""
    asked = grants.admit(token, do="something", right=right)
    return asyncio.run(asyncio.wait_for(asked, 120))


@pytest.mark.parametrize("right", [None, *Right])
def test_the_owner_may_do_everything(right: Right | None) -> None:
    grants = Grants()
    admit(grants, grants.owner, right)


@pytest.mark.parametrize("granted", ["read", "tell", "chaos"])
def test_a_token_is_good_for_its_rights_and_no_others(granted: str) -> None:
    grants = Grants()
    token = grants.grant([granted], ttl_ms=MINUTE_MS)
    for right in Right:
        if right == granted:
            admit(grants, token, right)
            continue
        with pytest.raises(DevnetError, match="may not something") as refused:
            admit(grants, token, right)
        assert right.value in refused.value.hint


def test_a_token_may_have_several_rights() -> None:
    grants = Grants()
    token = grants.grant(["read", "tell"], ttl_ms=MINUTE_MS)
    admit(grants, token, Right.READ)
    admit(grants, token, Right.TELL)
    with pytest.raises(DevnetError):
        admit(grants, token, Right.CHAOS)


@pytest.mark.parametrize("token", [None, "", "x" * 43, 7, ["a"], "\ud800"])
def test_who_has_no_token_is_refused_and_told_where_one_lies(token: object) -> None:
    with pytest.raises(DevnetError, match="token") as refused:
        admit(Grants(), token, Right.READ)
    assert "control.token" in refused.value.hint


def test_a_token_of_another_supervisor_is_unknown() -> None:
    with pytest.raises(DevnetError, match="not known"):
        admit(Grants(), Grants().owner, Right.READ)


def test_a_token_ends_at_its_time() -> None:
    clock = Clock()
    grants = Grants(now=clock)
    token = grants.grant(["read"], ttl_ms=MINUTE_MS)
    clock.now_s += 59.9
    admit(grants, token, Right.READ)
    clock.now_s += 0.1
    with pytest.raises(DevnetError, match="has ended"):
        admit(grants, token, Right.READ)
    admit(grants, grants.owner, Right.OWN)


def test_a_revoked_token_is_forgotten_and_the_owners_cannot_be() -> None:
    grants = Grants()
    token = grants.grant(["read"], ttl_ms=MINUTE_MS)
    for gone in (token, token, "never known", "", grants.owner):
        grants.revoke(gone)
    with pytest.raises(DevnetError):
        admit(grants, token, Right.READ)
    admit(grants, grants.owner, Right.OWN)


@pytest.mark.parametrize("rights", [[], ["dance"], ["read", "dance"]])
def test_there_is_no_token_for_unknown_rights_or_for_none(rights: list[str]) -> None:
    with pytest.raises(DevnetError, match="one right or more") as refused:
        Grants().grant(rights, ttl_ms=MINUTE_MS)
    assert "read" in refused.value.hint


@pytest.mark.parametrize("ttl_ms", [0, 999, TTL_MS_MAX + 1])
def test_a_token_has_a_time_within_bounds(ttl_ms: int) -> None:
    with pytest.raises(DevnetError, match="lasts"):
        Grants().grant(["read"], ttl_ms=ttl_ms)


def test_tokens_are_bounded_and_ended_ones_make_room() -> None:
    clock = Clock()
    grants = Grants(now=clock)
    for _ in range(GRANTS_MAX - 1):
        grants.grant(["read"], ttl_ms=MINUTE_MS)
    with pytest.raises(DevnetError, match="at most"):
        grants.grant(["read"], ttl_ms=MINUTE_MS)
    clock.now_s += 60
    admit(grants, grants.grant(["read"], ttl_ms=MINUTE_MS), Right.READ)


def test_guesses_wait_for_each_other_and_hold_up_nobody_else() -> None:
    async def crowd() -> list[str]:
        grants, done = Grants(), []

        async def ask(token: str, name: str) -> None:
            try:
                await grants.admit(token, do="x", right=Right.READ)
            except DevnetError:
                done.append(name)
            else:
                done.append(name)

        async with asyncio.timeout(30):
            guesses = [asyncio.create_task(ask("guess", "guess")) for _ in range(3)]
            await asyncio.sleep(0)
            await ask(grants.owner, "owner")
            await asyncio.gather(*guesses)
        return done

    assert asyncio.run(crowd()) == ["owner", "guess", "guess", "guess"]


def test_the_owners_token_lies_beside_the_socket_for_the_owner_alone(tmp_path: Path) -> None:
    socket = tmp_path / "control.sock"
    assert read_owner_token(socket) == ""
    keep_owner_token(socket, "secret")
    assert read_owner_token(socket) == "secret"
    assert token_file(socket).parent == tmp_path
    assert stat.S_IMODE(token_file(socket).stat().st_mode) == 0o600
