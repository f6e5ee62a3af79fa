"""Until when the members of coops elsewhere are believed here: as long as their home is heard.

A node that is cut off from a coop's home cannot know whom the coop has revoked. So it takes tokens
of that coop's members for a while after the home last said what the node holds too, or after the
node's own start, and then no more until the home is heard again. Source: ADR 0038.
"""

from __future__ import annotations

from nodeimpl.membership.rules import Away
from opkit.proof.genesis import GenesisView
from opkit.wire.base import Did, MemberId, Slug, TimeMs
from opkit.wire.standing import STANDING_MS_MAX


class Homes:
    """The homes of all coops but those whose home is this node, and when each agreed last.

    Attributes:
        own: the coops whose home is this node.
        others: the home of each other coop.
    """

    def __init__(self, *, node: Did, genesis: GenesisView, started_ms: TimeMs) -> None:
        """Begin with nothing heard; `started_ms` is when the node was."""
        charters = [signed.charter for signed in genesis.genesis.charters]
        self.own = tuple(each.coop for each in charters if each.home_node == node)
        self.others = {each.coop: each.home_node for each in charters if each.home_node != node}
        self._agreed_ms: dict[Slug, TimeMs] = {}
        self._good_until_ms = dict.fromkeys(self.others, started_ms + STANDING_MS_MAX)

    def agree(self, coop: Slug, at_ms: TimeMs) -> None:
        """Learn that a home said at this time what this node holds too."""
        self._agreed_ms[coop] = max(at_ms, self._agreed_ms.get(coop, 0))
        self._good_until_ms[coop] = max(at_ms + STANDING_MS_MAX, self._good_until_ms[coop])

    def agreed_at_ms(self, coop: Slug) -> TimeMs | None:
        """Return when a home agreed last; None if it never did."""
        return self._agreed_ms.get(coop)

    def good_until_ms(self, coop: Slug) -> TimeMs:
        """Return until when tokens of a coop's members are taken if its home stays silent."""
        return self._good_until_ms[coop]

    def away(self, member_id: MemberId) -> Away | None:
        """Return what is known of a member's home; None if it is this node, or they have none."""
        coop = member_id.partition("/")[0]
        until_ms = self._good_until_ms.get(coop)
        if until_ms is None:
            return None
        return Away(coop=coop, home=self.others[coop], good_until_ms=until_ms)
