"""Membership's endpoints bound to the service."""

from __future__ import annotations

from nodeimpl.kernel.binding import Route, answer, serve
from nodeimpl.membership.service import Membership
from opkit.wire import membership as wire


def routes(membership: Membership) -> list[Route]:
    """Return this domain's endpoints."""
    return [
        answer(wire.CHALLENGE, membership.challenge),
        serve(wire.TOKEN, membership.token, prepare=membership.prove_login, writes=True),
        serve(wire.REVOKE_TOKEN, membership.revoke_token, writes=True),
        serve(wire.CHANGE_MEMBER, membership.change, prepare=membership.prove_record),
        serve(wire.LIST_MEMBERS, membership.list),
    ]
