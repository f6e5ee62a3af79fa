"""Files of agreements as nodes hand them over, examined here from this machine's genesis.

What is examined is known by the hash of its bytes, so that the same file is verified once, whoever
hands it over.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from opkit.proof.agreement import examine_agreement, read_agreement_file, read_signature
from opkit.proof.checks import Check, ProofError
from opkit.proof.genesis import GenesisView
from opkit.views.federation_figures import SignedFigure
from opkit.wire.agreements import SignedBy
from opkit.wire.base import RecordId
from opkit.wire.terms import Terms

EXAMINED_MAX: Final = 256
"""How many files are remembered as they were examined: the last ones."""

COMPLETE: Final = "signed-by-all"
"""The check that fails as long as not all have signed: then a file is no worse, it is early."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A file of an agreement, as it was examined here.

    Attributes:
        hash: SHA-256 of its bytes.
        agreement, terms: what it is about; empty and None if it could not be read.
        signed: its signatures, in its order.
        why: the first thing that does not hold; empty if all does, or only lacks signatures.
        checks: each thing that was looked at.
    """

    hash: RecordId
    agreement: str = ""
    terms: Terms | None = None
    signed: tuple[SignedFigure, ...] = ()
    why: str = ""
    checks: tuple[Check, ...] = field(default=(), repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing of it is false; signatures may be missing."""
        return self.terms is not None and not self.why

    @property
    def given(self) -> frozenset[tuple[str, str]]:
        """Who signed what."""
        return frozenset((each.coop, each.action) for each in self.signed)

    @property
    def unsigned(self) -> tuple[str, ...]:
        """The parties without a signature that holds."""
        good = {each.coop for each in self.signed if each.action == "adopt" and not each.why}
        return tuple(
            coop for coop in (self.terms.parties if self.terms else ()) if coop not in good
        )


class Examiner:
    """Examines files, each content once."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._known: OrderedDict[str, Examined] = OrderedDict()

    def examine(self, data: bytes, *, genesis: GenesisView) -> Examined:
        """Return a file as it was examined, whatever it is."""
        name = hashlib.sha256(data).hexdigest()
        if name not in self._known:
            self._known[name] = examine(data, genesis=genesis)
            if len(self._known) > EXAMINED_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(name)
        return self._known[name]


def examine(data: bytes, *, genesis: GenesisView) -> Examined:
    """Return what a file says and whether it holds; never raises for a bad one."""
    name = hashlib.sha256(data).hexdigest()
    try:
        file = read_agreement_file(data)
    except ProofError as bad:
        return Examined(hash=name, why=bad.why)
    verdict, _ = examine_agreement(file, genesis=genesis)
    wrong = [check for check in verdict.failures if check.name != COMPLETE]
    return Examined(
        hash=name,
        agreement=file.agreement,
        terms=file.terms,
        signed=tuple(_signed(each, wrong) for each in file.signatures),
        why=f"{wrong[0].name}: {wrong[0].actual}, not {wrong[0].expected}" if wrong else "",
        checks=verdict.checks,
    )


def belongs(check: Check, *, coop: str, action: str) -> bool:
    """Return whether a check is of this party's signature: its name says whose it is."""
    return check.name.startswith(f"{coop} {action}: ")


def _signed(each: SignedBy, wrong: list[Check]) -> SignedFigure:
    failed = next((one for one in wrong if belongs(one, coop=each.coop, action=each.action)), None)
    why = failed.name.partition(": ")[2] if failed is not None else ""
    try:
        said = read_signature(each.signature, network=None)
    except ProofError as bad:
        return SignedFigure(
            coop=each.coop, action=each.action, signed_ms=0, decision="0" * 64, why=bad.why
        )
    return SignedFigure(
        coop=each.coop,
        action=each.action,
        signed_ms=said.signed_at_ms,
        decision=said.decision,
        why=why,
    )
