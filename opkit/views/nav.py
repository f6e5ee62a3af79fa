"""The pages of the console, in the order of the navigation: one line for each."""

from __future__ import annotations

from typing import Final, NamedTuple


class PageEntry(NamedTuple):
    """A page as the navigation and the landing page name it.

    Attributes:
        name: its notebook's name, its module in `opkit.live` and `opkit.views`, its address; the
            style sheet of that name, if there is one, belongs to it.
        title: what stands in the navigation.
        question: what it answers, for people.
    """

    name: str
    title: str
    question: str


PAGES: Final[tuple[PageEntry, ...]] = (
    PageEntry("console", "Console", "What can this network show me, step by step?"),
    PageEntry("network", "Network", "Who is up, who is linked to whom, and what just happened?"),
    PageEntry("names", "Names and agents", "Which services are there, and why believe it?"),
    PageEntry("compute", "Compute", "Which programs run where, and how do I check a receipt?"),
    PageEntry("ledger", "Ledger", "Who has how much, and because of which decision or receipt?"),
    PageEntry("governance", "Governance", "What is decided, by which votes, and what came of it?"),
    PageEntry("federation", "Federation", "What do coops agree, who owes whom, who is parted?"),
)
"""Every page there is. A new domain adds its line here."""
