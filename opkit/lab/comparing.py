"""Two nodes side by side: what each says of itself, of the other, and of what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from opkit.lab.nodes import NodeDesk
from opkit.views.reprs import comparison_html
from opkit.wire.network import NodeInfo, Peers


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that was compared: both sides as text, and whether they are the same."""

    what: str
    same: bool
    one: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two nodes as they answered. `opkit.frame(comparison.rows)` is the same as a table."""

    one: str
    other: str
    rows: tuple[Difference, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What is not the same."""
        return tuple(row for row in self.rows if not row.same)

    def _repr_html_(self) -> str:
        rows = [(row.what, row.same, row.one, row.other) for row in self.rows]
        return comparison_html(self.one, self.other, rows)


async def compare(one: NodeDesk, other: NodeDesk) -> Comparison:
    """Ask two nodes the same questions and return both answers side by side.

    Raises:
        Unreachable: one of them does not answer.
    """
    a, b = await one.info(), await other.info()
    seen_a, seen_b = await one.peers(), await other.peers()
    rows = [
        _row("network", a.network, b.network),
        _row("version", a.version, b.version),
        _row("engine", _engine(a), _engine(b)),
        _row("engine settings", a.engine.settings, b.engine.settings),
        _row("world time ahead, ms", a.world_ms - a.now_ms, b.world_ms - b.now_ms),
        _row("sees the other", _sees(seen_a, other), _sees(seen_b, one)),
        _row("peers", len(seen_a.links), len(seen_b.links)),
        _row("members known", *await _members(one, other)),
        _row("modules given", *await _modules(one, other)),
        _row("blobs kept", seen_a.blobs, seen_b.blobs),
        _row("blob bytes", seen_a.blob_bytes, seen_b.blob_bytes),
        _row("history", a.generation, b.generation),
        _row("journal entries", seen_a.journal.sequence, seen_b.journal.sequence),
    ]
    return Comparison(one=one.title, other=other.title, rows=tuple(rows))


def _row(what: str, one: object, other: object) -> Difference:
    return Difference(what=what, same=one == other, one=str(one), other=str(other))


def _engine(info: NodeInfo) -> str:
    return f"{info.engine.name} {info.engine.version}"


def _sees(peers: Peers, whom: NodeDesk) -> str:
    return "yes" if any(link.did == whom.did for link in peers.links) else "no"


async def _members(one: NodeDesk, other: NodeDesk) -> tuple[str, str]:
    """Return how many members each knows, and which only it does."""
    a = {who.member_id for who in await one.members()}
    b = {who.member_id for who in await other.members()}
    return _set(a, b), _set(b, a)


async def _modules(one: NodeDesk, other: NodeDesk) -> tuple[str, str]:
    """Return how many modules each was given, and which only it was."""
    a = {module.name for module in await one.modules()}
    b = {module.name for module in await other.modules()}
    return _set(a, b), _set(b, a)


def _set(mine: set[str], theirs: set[str]) -> str:
    only = sorted(mine - theirs)
    return f"{len(mine)}, of them only here: {', '.join(only[:5])}" if only else str(len(mine))
