"""What the landing page says about who may look on."""

from __future__ import annotations

import pytest

from opkit.dash.pages import Site, landing

SITE = Site(base="/", network="n", version="0")


def landed(*, viewer: bool, invitation: str) -> str:
    return landing(SITE, viewer=viewer, state="", health="", invitation=invitation)


@pytest.mark.parametrize("host", ["127.0.0.1:8866", "[::1]:8866", "localhost"])
def test_an_address_that_opens_on_this_machine_alone_is_said_to_be_one(host):
    page = landed(viewer=False, invitation=f"http://{host}/?token=t")
    assert "on this machine alone" in page


def test_an_address_for_everybody_is_given_without_that():
    page = landed(viewer=False, invitation="https://demo.example/opkit/?token=t")
    assert "https://demo.example/opkit/?token=t" in page
    assert "on this machine alone" not in page


def test_a_viewer_is_given_no_address_to_pass_on():
    assert "token=t" not in landed(viewer=True, invitation="http://127.0.0.1/?token=t")
