"""A real node's journal, judged in JavaScript: whole, one entry of it, and that it only grew."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from opkit.proof.history import read_head, verify_entry
from opkit.wire.events import READ_JOURNAL, ReadJournal
from opkit.wire.journal import (
    CONSISTENCY,
    HEAD,
    INCLUSION,
    AskConsistency,
    AskInclusion,
    AskJournalHead,
    EntryProof,
)

pytestmark = pytest.mark.interop

Ask = Callable[..., dict[str, list[dict[str, Any]]]]
HARBOR = "harbor-homes-cooperative"
LOGINS = 9


async def recorded() -> dict[str, Any]:
    """Return all that a node says of its journal, early and late, as JSON values."""
    async with inprocess_world("three") as world:
        client = world.operator(HARBOR)
        await client.login()
        early = (await client.call(HEAD, AskJournalHead())).head
        start = read_head(early, genesis=world.genesis).size
        for _ in range(LOGINS):
            await client.login()
        late = (await client.call(HEAD, AskJournalHead())).head
        # What is journalled after the head, a link for instance, is not what it is about.
        size = read_head(late, genesis=world.genesis).size
        page = await client.call(READ_JOURNAL, ReadJournal(entries_max=size))
        paths = [
            (await client.call(INCLUSION, AskInclusion(sequence=place, size=size))).path
            for place in range(1, size + 1)
        ]
        grown = await client.call(CONSISTENCY, AskConsistency(first=start, second=size))
        return {
            "view": world.genesis,
            "early": early,
            "late": late,
            "entries": [json.loads(entry.model_dump_json()) for entry in page.entries],
            "paths": paths,
            "growth": grown.path,
        }


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What a node says of its journal."""
    return asyncio.run(asyncio.wait_for(recorded(), 120))


def whole(said: dict[str, Any], **changes: Any) -> dict[str, Any]:
    known = {"genesis": said["view"].token, "head": said["late"], "entries": said["entries"]}
    return known | changes


def proofs(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the proof of each entry, as `opkit journal prove` writes it."""
    kept = ("sequence", "type", "at_ms", "body")
    return [
        {"head": said["late"], "entry": {name: entry[name] for name in kept}, "path": list(path)}
        for entry, path in zip(said["entries"], said["paths"], strict=True)
    ]


def test_the_whole_journal_and_each_entry_of_it_verify(
    said: dict[str, Any], ask_javascript: Ask
) -> None:
    asks = [{"genesis": said["view"].token, **proof} for proof in proofs(said)]
    heads = {"genesis": said["view"].token, "early": said["early"], "late": said["late"]}
    growth = [{**heads, "path": list(said["growth"])}]
    answers = ask_javascript(journal=[whole(said)], entry=asks, growth=growth)
    assert answers["journal"] == answers["growth"] == [{"ok": True}]
    assert answers["entry"] == [{"ok": True}] * len(asks)
    assert len(asks) >= LOGINS
    for proof in proofs(said):
        made = EntryProof.model_validate(proof)
        assert verify_entry(made, genesis=said["view"]).status == "verified"


def test_a_journal_with_an_entry_changed_left_out_or_moved_is_refused(
    said: dict[str, Any], ask_javascript: Ask
) -> None:
    asks = []
    for place in range(len(said["entries"])):
        for name, value in (("at_ms", 1), ("body", {"x": 1}), ("type", "a.b"), ("hash", "0" * 64)):
            changed = copy.deepcopy(said["entries"])
            changed[place][name] = value
            asks.append(whole(said, entries=changed))
        left = said["entries"][:place] + said["entries"][place + 1 :]
        asks += [whole(said, entries=left), whole(said, entries=[*left, said["entries"][place]])]
    asks.pop()  # The last entry moved to the end is where it was.
    asks.append(whole(said, head=said["early"]))
    answers = ask_javascript(journal=asks)["journal"]
    assert [one for one in answers if "no" not in one] == []


def test_an_entry_that_is_not_in_the_journal_is_refused_by_both(
    said: dict[str, Any], ask_javascript: Ask
) -> None:
    asks = []
    for proof in proofs(said):
        entry, path = proof["entry"], proof["path"]
        ways: tuple[dict[str, Any], ...] = (
            {"entry": entry | {"at_ms": entry["at_ms"] + 1}},
            {"entry": entry | {"sequence": entry["sequence"] % len(said["entries"]) + 1}},
            {"path": path[1:]},
            {"path": [*path, "0" * 64]},
            {"head": said["early"]},
        )
        asks += [{"genesis": said["view"].token, **proof, **changes} for changes in ways]
    answers = ask_javascript(entry=asks)["entry"]
    assert [one for one in answers if "no" not in one] == []
    for ask in asks:
        made = EntryProof.model_validate({name: ask[name] for name in ("head", "entry", "path")})
        assert verify_entry(made, genesis=said["view"]).status == "failed"
