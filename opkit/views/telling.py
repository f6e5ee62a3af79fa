"""What a sentence of an event is made of: its words and tone, and what ids mean to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opkit.story.states import State
from opkit.wire.membership import NO_COOP

Body = Mapping[str, Any]


class Told(NamedTuple):
    """A sentence, how it is coloured, and whether it was done on purpose by somebody hostile."""

    sentence: str
    tone: State
    adversarial: bool = False


@dataclass(frozen=True, kw_only=True)
class Names:
    """What ids mean to people. What is not known here is told without its name.

    Attributes:
        titles: organisations' names by their ids.
        orgs: organisations' ids by their nodes' DIDs.
        modules: modules' names by their hashes.
    """

    titles: Mapping[str, str] = field(default_factory=dict)
    orgs: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)

    def org(self, org: str) -> str:
        """Return an organisation's name."""
        return self.titles.get(org, org)

    def node(self, did: Any) -> str:
        """Return the name of whose node has this DID; a stranger's is named as one."""
        org = self.orgs.get(str(did))
        return "a stranger" if org is None else self.org(org)

    def module(self, wasm_hash: Any) -> str:
        """Return a module's name in quotes: its owner chose it, and it may be any words."""
        name = self.modules.get(str(wasm_hash), "")
        return f"“{name}”" if name else "a program"

    def member(self, member_id: Any, *, at: str) -> str:
        """Return a member's name: `Hugo` at home, elsewhere `Hugo of BrightWorks`.

        Who belongs to no organisation is named alone, and the operator by what they are.
        """
        org, _, name = str(member_id).partition("/")
        if org == NO_COOP and name == "operator":
            return "the operator"
        person = name.replace("-", " ").title() or "somebody"
        return person if org in (at, NO_COOP) else f"{person} of {self.org(org)}"


def of(name: str) -> str:
    """Return what belongs to somebody: `Bakery’s`, `Harbor Homes’`."""
    return f"{name}’" if name.endswith("s") else f"{name}’s"


def all_of(names: Sequence[str]) -> str:
    """Return names as people list them: `Ana`, `Ana and Bo`, `Ana, Bo and Chidi`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
