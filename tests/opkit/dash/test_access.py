"""Who is let in, and where requests may come from."""

from __future__ import annotations

import asyncio

import pytest
from tornado.httputil import HTTPHeaders

from nodeimpl.gateway.limits import GatewayLimits
from opkit.dash.access import Keys, Role, from_here, is_called_rightly
from opkit.dash.limits import FOLLOWERS_MAX, Budget, Limits, limits_for, ready_max


def test_each_role_has_a_long_token_of_its_own():
    keys = Keys()
    assert len(set(keys.tokens.values())) == len(Role)
    assert all(len(token) >= 32 for token in keys.tokens.values())
    for role, token in keys.tokens.items():
        assert keys.role_of_token(token) is role


@pytest.mark.parametrize("token", ["", "x", "ü", "\ud800", "presenter"])
def test_nothing_else_is_a_token(token):
    assert Keys().role_of_token(token) is None


def test_a_password_opens_its_role_and_is_kept_only_as_a_hash():
    keys = Keys(passwords={Role.VIEWER: "look on, please"})
    assert keys.has_password
    assert "look on" not in repr(vars(keys))
    assert asyncio.run(keys.role_of_secret("look on, please")) is Role.VIEWER
    assert asyncio.run(keys.role_of_secret("look on, pleas")) is None
    assert asyncio.run(keys.role_of_secret(keys.tokens[Role.PRESENTER])) is Role.PRESENTER


@pytest.mark.parametrize("secret", ["", "y" * 1_025, "\ud800"])
def test_what_can_be_no_password_opens_nothing(secret):
    keys = Keys(passwords={Role.VIEWER: "look on, please"})
    assert asyncio.run(keys.role_of_secret(secret)) is None


def test_an_empty_password_is_none():
    keys = Keys(passwords={Role.PRESENTER: ""})
    assert not keys.has_password
    assert asyncio.run(keys.role_of_secret("")) is None


def test_a_budget_allows_a_burst_and_then_so_many_a_second():
    budget = Budget(per_s=2, burst=3)
    assert [budget.spend(now_s=10.0) for _ in range(4)] == [True, True, True, False]
    assert budget.spend(now_s=10.5)
    assert not budget.spend(now_s=10.6)
    assert [budget.spend(now_s=1_000.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_back_adds_nothing_to_a_budget():
    budget = Budget(per_s=1, burst=1)
    assert budget.spend(now_s=10.0)
    assert not budget.spend(now_s=5.0)


def test_limits_are_positive():
    assert Limits(ready_per_page=0).ready_per_page == 0
    with pytest.raises(AssertionError, match="viewers_max"):
        Limits(viewers_max=0)


@pytest.mark.parametrize("pages", [1, 3, 9, 11])
def test_no_more_kernels_than_a_node_has_event_streams_for_its_operator(pages):
    streams = GatewayLimits().streams_per_principal_max
    for ready in range(ready_max(pages=pages) + 1):
        limits = limits_for(ready=ready, pages=pages)
        following = 1 + ready * pages + limits.presenters_max
        assert following <= FOLLOWERS_MAX < streams
        assert limits.presenters_max >= 2
    with pytest.raises(ValueError, match="at most"):
        limits_for(ready=ready_max(pages=pages) + 1, pages=pages)


class Asked:
    """A request as far as its origin is judged."""

    def __init__(self, **headers: str) -> None:
        self.request = self
        self.headers = HTTPHeaders({name.replace("_", "-"): text for name, text in headers.items()})


@pytest.mark.parametrize(
    ("headers", "public", "allowed"),
    [
        ({"Origin": "http://here:8866", "Host": "here:8866"}, "", True),
        ({"Origin": "HTTP://HERE:8866", "Host": "here:8866"}, "", True),
        ({"Origin": "http://here:8867", "Host": "here:8866"}, "", False),
        ({"Origin": "http://elsewhere", "Host": "here:8866"}, "", False),
        ({"Origin": "null", "Host": "here:8866"}, "", False),
        ({"Origin": "", "Host": "here:8866"}, "", False),
        ({"Host": "here:8866"}, "", True),
        ({"Host": "here:8866", "Sec-Fetch-Site": "cross-site"}, "", False),
        ({"Host": "here:8866", "Sec-Fetch-Site": "same-site"}, "", False),
        ({"Origin": "https://demo.example", "Host": "inside:1"}, "https://demo.example", True),
        ({"Origin": "https://demo.example", "Host": "inside:1"}, "", False),
        ({"Origin": "https://demo.example.org", "Host": "in:1"}, "https://demo.example", False),
    ],
)
def test_only_our_own_pages_may_change_something(headers, public, allowed):
    assert from_here(Asked(**headers), public_origin=public) is allowed


@pytest.mark.parametrize(
    ("host", "listening", "public", "rightly"),
    [
        ("localhost:8866", "127.0.0.1", "", True),
        ("LOCALHOST", "127.0.0.1", "", True),
        ("demo.localhost:1", "127.0.0.1", "", True),
        ("127.0.0.1:8866", "127.0.0.1", "", True),
        ("[::1]:8866", "::1", "", True),
        ("192.168.1.5:8866", "0.0.0.0", "", True),
        ("laptop.local:8866", "laptop.local", "", True),
        ("demo.example", "127.0.0.1", "https://demo.example", True),
        ("demo.example:443", "127.0.0.1", "https://demo.example", True),
        ("demo.example", "127.0.0.1", "", False),
        ("evil.example", "127.0.0.1", "https://demo.example", False),
        ("localhost.evil.example", "127.0.0.1", "", False),
        ("127.0.0.1.evil.example", "127.0.0.1", "", False),
        ("localhost@evil.example", "127.0.0.1", "", False),
        ("evil.example", "0.0.0.0", "", False),
        ("", "127.0.0.1", "", False),
        ("", "", "", False),
        ("[", "127.0.0.1", "", False),
    ],
)
def test_the_console_is_called_by_names_that_nobody_else_can_give_it(
    host, listening, public, rightly
):
    assert is_called_rightly(host, listening=listening, public_origin=public) is rightly
