"""One example of everything that travels between nodes: whoever adds a method adds it here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import vectors_clearing as clearing
import vectors_federation as federation
import vectors_journal as journal
import vectors_names as names
import vectors_people as people
import vectors_votes as votes
from vectors_signed import manifest_token, receipt_token

from nodeimpl.overlay.fingerprints import Fingerprints
from nodeimpl.overlay.shelf import item_of
from nodeimpl.p2p import frames
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.wire import dht, gossip, peer, reconcile
from opkit.wire.base import Wire
from opkit.wire.casts import CASTS
from opkit.wire.compute import TaskState, TaskView
from opkit.wire.errors import Refusal
from opkit.wire.network import EngineId
from opkit.wire.peer import COMMON_REFUSALS, METHODS, PeerMethod
from opkit.wire.records import Carried

BLOB = b"what a blob may be\n"
CONTACT = dht.ContactText(did=people.did("node-1"), addresses=("127.0.0.1:4433", "[::1]:4433"))
OTHER = dht.ContactText(did=people.did("node-2"))


@dataclass(frozen=True)
class Exchange:
    """A question and its answer; `after` is what follows the answer on the stream."""

    ask: Wire
    answer: Wire
    after: bytes = b""


def compared_items() -> Fingerprints:
    """Return the items of a hundred made-up records: SHA-256 of `item 0`, `item 1` and so on."""
    tree = Fingerprints()
    for number in range(100):
        tree.add(hashlib.sha256(f"item {number}".encode()).digest())
    return tree


def notes() -> tuple[Carried, ...]:
    """Return a founder's note, a member's with its proof, a stranger's, and a tombstone."""
    return (
        people.note("founder", "hours", "open from nine to five"),
        people.note("member", "größe", "Schlüssel, 7 × 9 mm, 20 €"),
        people.note("stranger", "hello", ""),
        people.note("node-3", "gone", None),
    )


def items(*carried: Carried) -> list[bytes]:
    """Return the items of some records, in order."""
    return sorted(_item(one) for one in carried)


def _item(carried: Carried) -> bytes:
    from opkit.proof.record import sponsor_of

    owner = jws.peek(carried.jws).payload["owner"]
    sponsor = sponsor_of(owner, proof=carried.proof, genesis=people.genesis())
    return item_of(bytes.fromhex(jws.record_id(carried.jws)), sponsor)


def _task() -> TaskView:
    return TaskView(
        task_id="0" * 31 + "1",
        state=TaskState.DONE,
        member_id=f"{people.COOP}/ada",
        manifest=manifest_token(),
        manifest_hash=jws.record_id(manifest_token()),
        executor=people.did("node-2"),
        receipt=receipt_token(),
        output_hash=cid_of(b"42\n"),
        output_inline=b"42\n",
        accepted_at_ms=people.CLOCK_MS,
    )


def _reconciled() -> dict[str, tuple[Exchange, ...]]:
    known, made_up = notes(), compared_items()
    cut = b"".join(item[:16] for item in items(*known))
    both = reconcile.Compared(
        ranges=(
            reconcile.Range(children=made_up.children("")),
            reconcile.Range(ids=b"".join(item[:16] for item in made_up.ids("7"))),
        )
    )
    return {
        "reconcile.compare": (
            Exchange(
                reconcile.Compare(namespace="note", prefixes=("",), ids_max=32),
                reconcile.Compared(ranges=(reconcile.Range(ids=cut),)),
            ),
            Exchange(reconcile.Compare(namespace="node", prefixes=("", "7"), ids_max=32), both),
            Exchange(
                reconcile.Compare(
                    namespace="node",
                    prefixes=("",),
                    ids_max=32,
                    roots=(
                        reconcile.Root(namespace="note", fingerprint=made_up.fingerprint()),
                        reconcile.Root(namespace="head", fingerprint=made_up.fingerprint("7")),
                    ),
                ),
                reconcile.Compared(ranges=(reconcile.Range(ids=b""),), differ=("head",)),
            ),
        ),
        "reconcile.fetch": (
            Exchange(
                reconcile.Fetch(namespace="note", ids=cut[:32]),
                reconcile.RecordsGiven(
                    records=tuple(sorted(known, key=_item)[:2]),
                    upto=2,
                ),
            ),
        ),
        "reconcile.push": (
            Exchange(
                reconcile.Push(namespace="note", records=known),
                reconcile.Pushed(kept=3, declined=(2,)),
            ),
        ),
    }


def _found() -> dict[str, tuple[Exchange, ...]]:
    provided = people.blob_record(cid_of(BLOB), len(BLOB))
    member = people.note("member", "größe", "Schlüssel, 7 × 9 mm, 20 €")
    return {
        "dht.ping": (
            Exchange(dht.Ping(sender=OTHER), dht.Pong(contact=CONTACT)),
            Exchange(dht.Ping(), dht.Pong(contact=CONTACT)),
        ),
        "dht.find": (
            Exchange(dht.FindNodes(target="0f" * 32), dht.NodesFound(contacts=(CONTACT, OTHER))),
        ),
        "dht.get": (
            Exchange(
                dht.FindRecords(sender=OTHER, namespace="blob", name=cid_of(BLOB)),
                dht.RecordsFound(records=(provided,), contacts=(CONTACT,)),
            ),
            Exchange(
                dht.FindRecords(namespace="note", name=f"{people.did('member')}/größe"),
                dht.RecordsFound(records=(member,), contacts=()),
            ),
        ),
        "dht.put": (
            Exchange(dht.PutRecord(record=member), dht.RecordTaken(new=True)),
            Exchange(
                dht.PutRecord(sender=OTHER, record=people.node_record()), dht.RecordTaken(new=False)
            ),
        ),
    }


def _computed() -> dict[str, tuple[Exchange, ...]]:
    manifest = jws.record_id(manifest_token())
    load = peer.Load(
        running=1,
        waiting=0,
        slots=2,
        accepts=True,
        engine=EngineId(name="wasmtime", version="50.0.0", settings="fuel"),
    )
    offer = peer.OfferTask(manifest=manifest_token(), input_inline=b"6 7\n")
    return {
        "compute.load": (Exchange(peer.AskLoad(member_id=f"{people.COOP}/ada"), load),),
        "compute.offer": (Exchange(offer, peer.TaskTaken(manifest_hash=manifest)),),
        "compute.await": (
            Exchange(peer.AwaitTask(manifest_hash=manifest, wait_ms=30_000), _task()),
        ),
        "compute.drop": (Exchange(peer.DropTask(manifest_hash=manifest), _task()),),
    }


def _shared() -> dict[str, tuple[Exchange, ...]]:
    return {
        method: tuple(Exchange(*each) for each in pairs)
        for method, pairs in federation.asked().items()
    }


def exchanges() -> dict[str, tuple[Exchange, ...]]:
    """Return at least one question and its answer for each method of `opkit.wire`."""
    hello = peer.Hello(
        network=people.NETWORK,
        genesis=jws.record_id(people.genesis_token()),
        org=None,
        version="0.1.0",
    )
    return {
        "peer.hello": (
            Exchange(hello, peer.Welcome(org="river-tools", version="0.1.0")),
            Exchange(
                hello.model_copy(update={"org": "bright-works"}),
                peer.Welcome(org=None, version="Größe 2"),
            ),
        ),
        "peer.cast": (Exchange(peer.OpenCasts(kind="gossip"), peer.CastsTaken()),),
        "blob.have": (
            Exchange(peer.HaveBlob(cid=cid_of(BLOB)), peer.BlobOffer(size_bytes=len(BLOB))),
            Exchange(peer.HaveBlob(cid=cid_of(b"")), peer.BlobOffer(size_bytes=None)),
        ),
        "blob.fetch": (
            Exchange(
                peer.FetchBlob(cid=cid_of(BLOB), size_bytes_max=1_024),
                peer.BlobHeader(size_bytes=len(BLOB)),
                after=BLOB,
            ),
        ),
        "names.claim": (Exchange(*names.passed()),),
        "governance.pass-ballot": (Exchange(*votes.passed()),),
        **{name: (Exchange(*said),) for name, said in clearing.asked().items()},
        **_computed(),
        **_found(),
        **_reconciled(),
        **_shared(),
        "journal.grow": (Exchange(*journal.growth()), Exchange(*journal.first_asked())),
    }


def casts() -> dict[str, tuple[Wire, ...]]:
    """Return at least one message for each kind of cast."""
    member = people.note("member", "größe", "Schlüssel, 7 × 9 mm, 20 €")
    ids = [bytes.fromhex(jws.record_id(one.jws)) for one in notes()]
    return {
        "gossip": (
            gossip.Gossip(),
            gossip.Gossip(subscribe=("records",), graft=("records",)),
            gossip.Gossip(publish=(gossip.Envelope(topic="records", carried=member),)),
            gossip.Gossip(
                publish=(gossip.Envelope(topic="records", carried=member),),
                also=tuple(people.did(who)[-8:] for who in ("node-1", "node-2")),
            ),
            gossip.Gossip(
                unsubscribe=("other",),
                prune=(gossip.Prune(topic="records", back_off_ms=60_000),),
                have=(gossip.Have(topic="records", ids=gossip.packed(ids[:2])),),
                want=gossip.packed(ids[2:]),
            ),
        )
    }


SAMPLES: dict[Any, Any] = {
    int: 7,
    str: "such as this",
    tuple[str, ...]: ["one", "two"],
    list[str]: ["one", "two"],
}
"""What stands in a refusal's details, by its field's type."""


def refusal(leaf: type[Refusal]) -> Refusal:
    """Return a refusal with made-up details."""
    hints = get_type_hints(leaf)
    return leaf(**{field.name: SAMPLES[hints[field.name]] for field in fields(leaf)})


def frame(name: str, kind: str, on: str, bare: bytes, **more: Any) -> dict[str, Any]:
    """Return a vector of one frame: its length as it travels, its JSON, and what that says."""
    return {
        "name": name,
        "kind": kind,
        "on": on,
        "length": bare[:4].hex(),
        "json": bare[4:].decode(),
        "value": json.loads(bare[4:]),
        **more,
    }


def all_frames() -> Iterator[dict[str, Any]]:
    """Yield a vector for each question, answer, refusal and cast.

    Raises:
        SystemExit: a method or kind of cast has no example; it says where to add one.
    """
    examples = exchanges()
    _complete("method", set(METHODS), set(examples), "exchanges")
    for method in METHODS.values():
        for number, one in enumerate(examples[method.name]):
            name = f"{method.name} {number}"
            yield _ask(name, method, one)
            yield _answer(name, method, one)
    heard = casts()
    _complete("cast", set(CASTS), set(heard), "casts")
    for cast in CASTS.values():
        for number, message in enumerate(heard[cast.name]):
            assert isinstance(message, cast.message), f"{cast.name} is another type"
            said = frames.cast(message)
            yield frame(
                f"{cast.name} {number}", "cast", cast.name, said, type=type(message).__name__
            )
    yield from _refusals()
    yield frame("fault", "fault", "peer.hello", frames.fault("in-0123456789"))


def _complete(what: str, wanted: set[str], given: set[str], where: str) -> None:
    if wanted != given:
        names = ", ".join(sorted(wanted ^ given))
        raise SystemExit(
            f"{what} without vector, or vector without {what}: {names}\n"
            f"  hint: `{where}` in scripts/vectors_frames.py has an example of each"
        )


def _ask(name: str, method: PeerMethod[Any, Any], one: Exchange) -> dict[str, Any]:
    assert isinstance(one.ask, method.ask), f"{method.name} asks with another type"
    said = frames.request(method.name, one.ask)
    return frame(f"{name} ask", "ask", method.name, said, type=method.ask.__name__)


def _answer(name: str, method: PeerMethod[Any, Any], one: Exchange) -> dict[str, Any]:
    assert isinstance(one.answer, method.answer), f"{method.name} answers with another type"
    assert bool(one.after) == method.streams_blob, f"what follows an answer to {method.name}"
    more = {"type": method.answer.__name__}
    if one.after:
        more["after"] = one.after.hex()
    return frame(f"{name} answer", "answer", method.name, frames.answer(one.answer), **more)


def _refusals() -> Iterator[dict[str, Any]]:
    """Yield each refusal once, with the methods that declare it."""
    declared: dict[type[Refusal], list[str]] = {leaf: ["*"] for leaf in COMMON_REFUSALS}
    for method in METHODS.values():
        for leaf in method.refuses:
            declared.setdefault(leaf, []).append(method.name)
    for leaf, methods in declared.items():
        said = frames.refusal(refusal(leaf))
        yield frame(f"refusal {leaf.code}", "refusal", " ".join(methods), said, code=leaf.code)
