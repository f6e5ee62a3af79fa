"""Code that travels by its hash.

River City Tool Library puts a small program on its node: it splits a surplus among members by
their hours. Hugo of BrightWorks asks Harbor Homes' node to run it on BrightWorks' figures. Harbor
has never seen the program: it asks its peers for the hash, checks every byte, runs it in a sandbox
and signs a receipt that anyone can verify offline. Then everything is tried that must not work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from flows.a_say import SAY
from flows.modules import module, stamped
from flows.patronage import allocate, as_input, as_output
from opkit.proof.checks import Check
from opkit.proof.cid import cid_of
from opkit.proof.jws import record_id
from opkit.proof.receipt import verify_receipt
from opkit.proof.record import read_record
from opkit.story import (
    BlobProof,
    Evidence,
    Flow,
    ReceiptProof,
    World,
    expect,
    journal_head,
    refused,
    same,
    that,
    until,
    wait_for_event,
)
from opkit.wire.base import Cid, Did, Jws
from opkit.wire.compute import (
    GET_MODULE,
    MODULE_BYTES_MAX,
    GetModule,
    HashMalformed,
    ModuleFetched,
    ModuleUnknown,
    Outcome,
    TaskLimits,
    TaskState,
)
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import BodyOversize, ScopeMissing, TokenMissing
from opkit.wire.network import (
    NODE,
    PEERS,
    AskNode,
    AskPeers,
    EngineId,
    PeerConnected,
    Peers,
    ProviderLied,
)
from opkit.wire.overlay import RECORDS, AskRecords
from opkit.wire.records import RecordBody

if TYPE_CHECKING:
    from opkit.client import NodeClient, TaskHandle, TaskResult

RIVER = "river-city-tool-library"
BRIGHT = "brightworks-cooperative"
HARBOR = "harbor-homes-cooperative"

MARA = "river-city-tool-library/mara"
HUGO = "brightworks-cooperative/hugo"
ROSA = "harbor-homes-cooperative/rosa"

SURPLUS = 3_840
HOURS = {"Hugo": 120, "Leila": 115, "Bram": 104, "Yuki": 98, "Gwen": 87}

SMALL = TaskLimits(fuel=20_000_000, time_ms=2_000, memory_bytes=16_777_216)
"""Limits for the modules that must hit one: small, so that the story goes on."""

SETTLED_MS = 15_000
"""How long an event may take to be journalled once the task that caused it has ended, on a busy
machine too."""
ENTICED_MAX = 5
"""How many programs Harbor is made to fetch until it asks the liar for one. Whoever offers bytes a
moment after the others is not asked for them; on a busy machine that may be the liar."""


@dataclass
class Patronage:
    """What the steps hand on to each other."""

    program: bytes = b""
    wasm_hash: str = ""
    figures: bytes = b""
    held_by_bright: bool = True
    held_by_harbor: bool = True
    harbor_cursor: str = ""
    task: TaskHandle | None = None
    result: TaskResult | None = None
    engines: dict[str, EngineId] = field(default_factory=dict)

    @property
    def submitted(self) -> TaskHandle:
        """The task of the main story."""
        assert self.task is not None, "no task was submitted yet"
        return self.task

    @property
    def completed(self) -> TaskResult:
        """Its result."""
        assert self.result is not None, "the task has not ended yet"
        return self.result


flow: Flow[Patronage] = Flow(
    name="a",
    title="Code that travels by its hash",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Patronage,
    notebook="flow_a_wasm.ipynb",
    needs=frozenset({"hostile"}),
)


def mara_at_river(world: World) -> NodeClient:
    """Return Mara's client of River City's node."""
    return world.client(RIVER, MARA)


def hugo_at_bright(world: World) -> NodeClient:
    """Return Hugo's client of BrightWorks' node."""
    return world.client(BRIGHT, HUGO)


def rosa_at_harbor(world: World) -> NodeClient:
    """Return Rosa's client of Harbor Homes' node."""
    return world.client(HARBOR, ROSA)


@flow.prepare
async def three_nodes_are_connected(world: World, story: Patronage) -> None:
    """The nodes of River City, BrightWorks and Harbor Homes are connected to each other."""
    dids = {org: world.node(org).did for org in (RIVER, BRIGHT, HARBOR)}
    for org, did in dids.items():
        client = world.operator(org)
        others = set(dids.values()) - {did}
        await until(
            partial(client.call, PEERS, AskPeers()),
            partial(connected, to=others),
            what=f"{org} connected to the others",
        )
        story.engines[org] = (await client.call(NODE, AskNode())).engine
    story.figures = as_input(surplus=SURPLUS, hours=HOURS)
    story.program = stamped("patronage", world.run_id)


@flow.step("MODULE_DEPLOYED", say=SAY["MODULE_DEPLOYED"])
async def mara_deploys(world: World, story: Patronage) -> Evidence:
    """Mara puts a program on River City's node and gets its hash; sent twice, it is the same."""
    mara = mara_at_river(world)
    first = await mara.wasm.deploy(story.program, name="patronage")
    second = await mara.wasm.deploy(story.program, name="patronage")
    story.wasm_hash = first.wasm_hash
    return expect(
        same("hash computed here", expected=cid_of(story.program), actual=first.wasm_hash),
        same("hash of the second upload", expected=first.wasm_hash, actual=second.wasm_hash),
        same("owner", expected=MARA, actual=first.owner),
        same("bytes", expected=len(story.program), actual=first.size_bytes),
        proofs=[BlobProof(story.program)],
        module=first,
    )


@flow.step("MODULE_LISTED", say=SAY["MODULE_LISTED"])
async def anyone_lists(world: World, story: Patronage) -> Evidence:
    """River City lists the program by its hash and among Mara's."""
    mara = mara_at_river(world)
    by_hash = await mara.wasm.get(story.wasm_hash)
    owned = [info.wasm_hash async for info in mara.wasm.list(owner=MARA)]
    return expect(
        same("listed by hash", expected=story.wasm_hash, actual=by_hash.wasm_hash),
        that(
            "listed by owner",
            story.wasm_hash in owned,
            expected=story.wasm_hash,
            actual="found" if story.wasm_hash in owned else "not found",
        ),
        same("name", expected="patronage", actual=by_hash.name),
        module=by_hash,
        modules_of_owner=len(owned),
    )


@flow.step("TASK_SUBMITTED", say=SAY["TASK_SUBMITTED"])
async def hugo_submits(world: World, story: Patronage) -> Evidence:
    """Hugo asks BrightWorks' node to have it run at Harbor Homes. Neither has the program."""
    hugo = hugo_at_bright(world)
    story.held_by_bright = await holds(hugo, story.wasm_hash)
    story.held_by_harbor = await holds(rosa_at_harbor(world), story.wasm_hash)
    story.harbor_cursor = await journal_head(rosa_at_harbor(world))
    story.task = await hugo.compute.submit(
        story.wasm_hash, story.figures, executor=world.node(HARBOR).did
    )
    view = await story.task.view()
    return expect(
        same("BrightWorks holds the program", expected=False, actual=story.held_by_bright),
        same("Harbor Homes holds the program", expected=False, actual=story.held_by_harbor),
        same("submitter", expected=HUGO, actual=view.member_id),
        same("manifest", expected=record_id(story.task.manifest), actual=view.manifest_hash),
        task_id=view.task_id,
        state=view.state,
        manifest_hash=view.manifest_hash,
        wasm_hash=story.wasm_hash,
        executor=world.node(HARBOR).did,
    )


async def word_of_provider(world: World, cid: Cid, *, org: str) -> tuple[Jws, RecordBody]:
    """Return the record, as Harbor finds it, by which a node says that it keeps a blob.

    Its signature is verified here; no node's word counts for another's.
    """
    rosa, provider = rosa_at_harbor(world), world.node(org).did

    async def ask() -> dict[Did, tuple[Jws, RecordBody]]:
        found = await rosa.call(RECORDS, AskRecords(namespace="blob", name=cid))
        read = (
            (carried.jws, read_record(carried.jws, network=world.genesis.network))
            for carried in found.records
        )
        return {body.owner: (jws, body) for jws, body in read if body.value is not None}

    told = await until(ask, lambda found: provider in found, what=f"the word of {org}")
    return told[provider]


@flow.step("MODULE_FETCHED", say=SAY["MODULE_FETCHED"])
async def harbor_fetches(world: World, story: Patronage) -> Evidence:
    """Harbor Homes gets the bytes from River City's node and checks them against the hash."""
    rosa = rosa_at_harbor(world)
    manifest_hash = record_id(story.submitted.manifest)
    event, entry = await wait_for_event(
        rosa,
        ModuleFetched,
        after=story.harbor_cursor,
        match=lambda fetched: fetched.wasm_hash == story.wasm_hash,
    )
    fetched = await rosa.wasm.fetch(story.wasm_hash)
    word, said = await word_of_provider(world, story.wasm_hash, org=RIVER)
    return expect(
        same("held before", expected=False, actual=story.held_by_harbor),
        same("for Hugo's manifest", expected=manifest_hash, actual=event.manifest_hash),
        same("from River City's node", expected=world.node(RIVER).did, actual=event.peer),
        same(
            "hash of Harbor's bytes, computed here",
            expected=story.wasm_hash,
            actual=cid_of(fetched),
        ),
        same("bytes received", expected=len(story.program), actual=event.size_bytes),
        same("River City says that it has them", expected=world.node(RIVER).did, actual=said.owner),
        same("in a record about this hash", expected=story.wasm_hash, actual=said.name),
        provider_record=word,
        event=event,
        journal_sequence=entry.sequence,
        journal_hash=entry.hash,
    )


@flow.step("TASK_COMPLETED", say=SAY["TASK_COMPLETED"])
async def harbor_computes(world: World, story: Patronage) -> Evidence:
    """Harbor Homes runs it: Hugo gets 879 credits, and the five shares are what we compute."""
    story.result = await story.submitted.result()
    shares = allocate(surplus=SURPLUS, hours=HOURS)
    return expect(
        same("state", expected=TaskState.DONE.value, actual=story.result.view.state.value),
        same("output", expected=as_output(shares), actual=story.result.output),
        same("sum of all shares", expected=SURPLUS, actual=sum(shares.values())),
        proofs=[BlobProof(story.figures), BlobProof(story.result.output)],
        shares=shares,
        computed_by=world.node(HARBOR).title,
        fuel_used=story.result.receipt.fuel_used,
        time_used_us=story.result.receipt.time_used_us,
    )


@flow.step("RECEIPT_VERIFIED", say=SAY["RECEIPT_VERIFIED"])
async def we_verify_the_receipt(world: World, story: Patronage) -> Evidence:
    """We verify Harbor's signed receipt ourselves, offline, against the network's genesis."""
    receipt, bundle = story.completed.receipt, story.completed.bundle
    return expect(
        verify_receipt(bundle, genesis=world.genesis),
        same("module", expected=cid_of(story.program), actual=receipt.wasm_hash),
        same("input", expected=cid_of(story.figures), actual=receipt.input_hash),
        same("output", expected=cid_of(story.completed.output), actual=receipt.output_hash),
        same("executor", expected=world.node(HARBOR).did, actual=receipt.executor),
        same(
            "manifest", expected=record_id(story.submitted.manifest), actual=receipt.manifest_hash
        ),
        same("limits", expected=TaskLimits(), actual=receipt.limits),
        same("engine", expected=story.engines[HARBOR], actual=receipt.engine),
        proofs=[ReceiptProof(bundle)],
        receipt=receipt,
        receipt_hash=record_id(bundle.receipt),
    )


@flow.step("UNKNOWN_HASH_REFUSED", adversarial=True, say=SAY["UNKNOWN_HASH_REFUSED"])
async def nobody_has_it(world: World, _: Patronage) -> Evidence:
    """Hugo asks for a hash that nobody has. The answer is no, not silence."""
    absent = cid_of(f"nobody has these bytes: {world.run_id}".encode())
    hugo = hugo_at_bright(world)
    with refused(ModuleUnknown, wasm_hash=absent) as asked:
        await hugo.wasm.get(absent)
    with refused(ModuleUnknown, wasm_hash=absent) as run:
        task = await hugo.compute.submit(absent, b"", executor=world.node(HARBOR).did)
        await task.result()
    return expect(asked.check, run.check, asked=asked.problem, run=run.problem)


@flow.step("BAD_HASH_REFUSED", adversarial=True, say=SAY["BAD_HASH_REFUSED"])
async def not_a_hash(world: World, story: Patronage) -> Evidence:
    """Hugo cuts the last letter off the hash. The node says that this is no hash at all."""
    cut = story.wasm_hash[:-1]
    with refused(HashMalformed, value=cut) as no:
        await hugo_at_bright(world).wasm.get(cut)
    return expect(no.check, refusal=no.problem)


@flow.step("OVERSIZE_REFUSED", adversarial=True, say=SAY["OVERSIZE_REFUSED"])
async def too_large(world: World, _: Patronage) -> Evidence:
    """Mara sends one byte more than a node takes. It is refused before it is read."""
    with refused(BodyOversize, limit_bytes=MODULE_BYTES_MAX) as no:
        await mara_at_river(world).wasm.deploy(bytes(MODULE_BYTES_MAX + 1), name="too large")
    return expect(no.check, sent_bytes=MODULE_BYTES_MAX + 1, refusal=no.problem)


@flow.step("TAMPERED_MODULE_REFUSED", adversarial=True, say=SAY["TAMPERED_MODULE_REFUSED"])
async def a_liar_serves_other_bytes(world: World, story: Patronage) -> Evidence:
    """A liar offers Harbor Homes other bytes for the hash. Harbor notices and asks River City."""
    rosa = rosa_at_harbor(world)
    before = await journal_head(rosa)
    liar = await world.hostile("tampering-provider", against=[HARBOR])
    await wait_for_event(
        rosa, PeerConnected, after=before, match=lambda event: event.peer == liar.did
    )
    for number in range(1, ENTICED_MAX + 1):
        fresh = stamped("patronage", f"{world.run_id} again {number}")
        info = await mara_at_river(world).wasm.deploy(fresh, name="patronage again")
        task = await hugo_at_bright(world).compute.submit(
            info.wasm_hash, story.figures, executor=world.node(HARBOR).did
        )
        result = await task.result()
        served = dict(await liar.stats())
        if served["fetched"]:
            break
    await liar.stop()
    lied, _ = await wait_for_event(
        rosa,
        ProviderLied,
        after=before,
        match=lambda event: event.peer == liar.did,
        deadline_ms=SETTLED_MS,
    )
    fetched, _ = await wait_for_event(
        rosa,
        ModuleFetched,
        after=before,
        match=lambda event: event.wasm_hash == info.wasm_hash,
        deadline_ms=SETTLED_MS,
    )
    return expect(
        same("the liar is named", expected=liar.did, actual=lied.peer),
        same("for this hash", expected=info.wasm_hash, actual=lied.cid),
        that(
            "its bytes were received",
            lied.received_bytes > 0,
            expected="some",
            actual=lied.received_bytes,
        ),
        same("then fetched from River City", expected=world.node(RIVER).did, actual=fetched.peer),
        same("output", expected=story.completed.output, actual=result.output),
        verify_receipt(result.bundle, genesis=world.genesis),
        proofs=[ReceiptProof(result.bundle), BlobProof(fresh)],
        lied=lied,
        fetched=fetched,
        served_by_the_liar=served,
    )


@flow.step("LOOP_STOPPED", adversarial=True, say=SAY["LOOP_STOPPED"])
async def an_endless_loop(world: World, story: Patronage) -> Evidence:
    """Hugo sends a program that never ends. Harbor stops it at its limit, and works on."""
    result = await run_at_harbor(world, module("spin"), b"", limits=SMALL)
    receipt = result.receipt
    stopped = (Outcome.FUEL, Outcome.TIME)
    return expect(
        same("state", expected=TaskState.FAILED.value, actual=result.view.state.value),
        that(
            "stopped at fuel or time",
            receipt.outcome in stopped,
            expected="fuel or time",
            actual=receipt.outcome,
        ),
        that(
            "fuel within the limit",
            receipt.fuel_used <= SMALL.fuel,
            expected=SMALL.fuel,
            actual=receipt.fuel_used,
        ),
        verify_receipt(result.bundle, genesis=world.genesis),
        await answers_the_next(world, story),
        proofs=[ReceiptProof(result.bundle)],
        receipt=receipt,
    )


@flow.step("MEMORY_BOUNDED", adversarial=True, say=SAY["MEMORY_BOUNDED"])
async def a_memory_bomb(world: World, story: Patronage) -> Evidence:
    """Hugo sends a program that takes all memory it can get. Harbor gives it 16 MB, no more."""
    result = await run_at_harbor(world, module("balloon"), b"", limits=SMALL)
    receipt = result.receipt
    return expect(
        same("state", expected=TaskState.FAILED.value, actual=result.view.state.value),
        same("outcome", expected=Outcome.MEMORY.value, actual=receipt.outcome.value),
        that(
            "memory within the limit",
            receipt.memory_peak_bytes <= SMALL.memory_bytes,
            expected=SMALL.memory_bytes,
            actual=receipt.memory_peak_bytes,
        ),
        verify_receipt(result.bundle, genesis=world.genesis),
        await answers_the_next(world, story),
        proofs=[ReceiptProof(result.bundle)],
        receipt=receipt,
    )


@flow.step("UNAUTHENTICATED_REFUSED", adversarial=True, say=SAY["UNAUTHENTICATED_REFUSED"])
async def nobody_in_particular(world: World, story: Patronage) -> Evidence:
    """A stranger without a token asks River City for the program, which is there, in vain."""
    stranger = world.client(RIVER, None)
    with refused(TokenMissing) as no:
        await stranger.call(GET_MODULE, GetModule(wasm_hash=story.wasm_hash))
    return expect(no.check, refusal=no.problem)


@flow.step("SCOPE_REFUSED", adversarial=True, say=SAY["SCOPE_REFUSED"])
async def only_a_reader(world: World, story: Patronage) -> Evidence:
    """Hugo asks with a token that may only read programs. He may not run one with it."""
    reader = world.client(BRIGHT, HUGO, scopes=(Scope.WASM_READ,))
    with refused(ScopeMissing, needs=Scope.COMPUTE_SUBMIT.value, has=[Scope.WASM_READ.value]) as no:
        await reader.compute.submit(story.wasm_hash, story.figures, executor=world.node(HARBOR).did)
    return expect(no.check, refusal=no.problem)


def connected(seen: Peers, *, to: set[str]) -> bool:
    """Return whether a node is connected to all of these."""
    return to <= {link.did for link in seen.links}


async def holds(client: NodeClient, wasm_hash: str) -> bool:
    """Return whether the client's node itself knows the module."""
    try:
        await client.wasm.get(wasm_hash)
    except ModuleUnknown:
        return False
    return True


async def run_at_harbor(
    world: World, program: bytes, figures: bytes, *, limits: TaskLimits
) -> TaskResult:
    """Have Mara deploy a program and Hugo have it run at Harbor Homes; return how it ended."""
    info = await mara_at_river(world).wasm.deploy(program, name="must be stopped")
    task = await hugo_at_bright(world).compute.submit(
        info.wasm_hash, figures, executor=world.node(HARBOR).did, limits=limits
    )
    return await task.result()


async def answers_the_next(world: World, story: Patronage) -> Check:
    """Return the check that Harbor Homes still runs an ordinary task, with the same output."""
    task = await hugo_at_bright(world).compute.submit(
        story.wasm_hash, story.figures, executor=world.node(HARBOR).did
    )
    result = await task.result()
    return same("next task's output", expected=story.completed.output, actual=result.output)
