"""How much an assembly may have under way, and how much a member of it."""

from __future__ import annotations

import pytest

from nodeimpl.governance.rules import Limits
from opkit.wire import deciding as no
from tests.nodeimpl.governance.conftest import Coop, Made


def test_a_member_and_an_assembly_have_so_many_under_way_drafts_too(made: Made) -> None:
    """Whoever makes many proposals leaves others room for theirs, and gets room by ending one."""

    async def story(coop: Coop) -> None:
        first = await coop.propose(by="a")
        await coop.propose(by="a", open_now=False)
        for open_now in (True, False):
            with pytest.raises(no.ProposalsExhausted) as own:
                await coop.propose(by="a", open_now=open_now)
            assert own.value.limit == 2
        draft = await coop.propose(by="b", open_now=False)
        with pytest.raises(no.ProposalsExhausted) as all_:
            await coop.propose(by="c")
        assert all_.value.limit == 3
        await coop.open(draft.proposal_id, by="b")
        await coop.cancel(first)
        await coop.propose(by="c")

    made.run(story, limits=Limits(under_way_per_coop_max=3, under_way_per_member_max=2))
