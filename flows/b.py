"""Names that nobody can take.

Mara of River City Tool Library gives a service a name: a program that shares out what a lathe
costs. Her cooperative's node signs beside her, and every node hears of it. Rosa, at Harbor Homes,
finds the service by what it does, checks every proof herself, signs in with her own key and uses
it. Then strangers, rivals and a relay try to get between the two, and Mara takes the name back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from flows.a import connected
from flows.b_acts import (
    ALL,
    BRIGHT,
    CAPABILITY,
    HARBOR,
    HEARD,
    KIND,
    NO_RECORD,
    PROPAGATED_MS,
    REGION,
    RIVER,
    ROSA,
    all_answer,
    altered,
    answers,
    claim,
    claim_in,
    claims_in,
    counted,
    discovered,
    hash_of,
    home_of,
    injecting,
    more_than,
    of_no_algorithm,
    register,
    run_out,
)
from flows.b_say import SAY
from flows.modules import stamped
from flows.patronage import allocate, as_input, as_output
from flows.runs import label_of
from opkit.proof import jws
from opkit.proof.names import read_name
from opkit.proof.receipt import verify_receipt
from opkit.story import (
    BlobProof,
    Evidence,
    Flow,
    NameProof,
    ReceiptProof,
    World,
    expect,
    nothing_signed,
    refused,
    same,
    that,
    until,
)
from opkit.wire.compute import GET_MODULE, GetModule
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import TokenMissing, TokenRejected
from opkit.wire.membership import TOKEN_TYP
from opkit.wire.names import (
    ClaimNotMembers,
    NameHeld,
    NameTaken,
    ServiceEndpoint,
    ServiceTarget,
)
from opkit.wire.network import PEERS, AskPeers
from opkit.wire.services import FIND_SERVICES, FindServices

if TYPE_CHECKING:
    from opkit.client import NodeClient
    from opkit.proof.services import ProvenService

MARA = "river-city-tool-library/mara"
THEO = "river-city-tool-library/theo"
HUGO = "brightworks-cooperative/hugo"
BRAM = "brightworks-cooperative/bram"

COSTS = 4_200
HOURS = {"Kofi": 9, "Nadia": 7, "Silas": 5}
"""What the lathe cost in a month, in cents, and for how many hours who used it."""

PATH = "/v1/compute/wasm/"
"""Under which path of its node a service of this story is found."""

SHORT_MS = 1_000
"""How long the token lives that is to run out in the story: no node grants a shorter one."""


@dataclass
class Names:
    """What the steps hand on to each other."""

    name: str = ""
    decoy: str = ""
    program: bytes = b""
    wasm_hash: str = ""
    claimed: str = ""
    heard: dict[str, int] = field(default_factory=dict)
    held: NameHeld | None = None
    service: ProvenService | None = None
    token: str = ""
    short: str = ""

    @property
    def mine(self) -> NameHeld:
        """The name as Mara holds it now."""
        assert self.held is not None, "no name was registered yet"
        return self.held

    @property
    def target(self) -> ServiceTarget:
        """What the name stands for."""
        assert isinstance(self.mine.target, ServiceTarget), "it stands for a service"
        return self.mine.target

    @property
    def stands(self) -> str:
        """What names the record that stands, to the last byte."""
        return hash_of(self.mine.record)

    @property
    def found(self) -> ProvenService:
        """The service as Rosa found and proved it."""
        assert self.service is not None, "nothing was discovered yet"
        return self.service


flow: Flow[Names] = Flow(
    name="b",
    title="Names that nobody can take",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Names,
    notebook="flow_b_discovery.ipynb",
    needs=frozenset({"hostile", "kill"}),
    disturbs=frozenset({f"node:{BRIGHT}"}),
)


def mara_at_river(world: World) -> NodeClient:
    """Return Mara's client of River City's node."""
    return world.client(RIVER, MARA)


def rosa_at_harbor(world: World) -> NodeClient:
    """Return Rosa's client of Harbor Homes' node."""
    return world.client(HARBOR, ROSA)


@flow.prepare
async def three_nodes_are_connected(world: World, _: Names) -> None:
    """The nodes of River City, BrightWorks and Harbor Homes are connected to each other."""
    dids = {org: world.node(org).did for org in ALL}
    for org, did in dids.items():
        await until(
            partial(world.operator(org).call, PEERS, AskPeers()),
            partial(connected, to=set(dids.values()) - {did}),
            what=f"{org} connected to the others",
        )


@flow.prepare
async def there_is_a_service(world: World, story: Names) -> None:
    """River City's node keeps the program that shares out what the lathe costs."""
    story.program = stamped("patronage", world.run_id)
    info = await mara_at_river(world).wasm.deploy(story.program, name="costs of the lathe")
    story.wasm_hash = info.wasm_hash
    label = label_of(world.run_id)
    story.name, story.decoy = f"lathe-{label}.{RIVER}", f"lathe-{label}.{BRIGHT}"


@flow.step("NAME_REGISTERED", say=SAY["NAME_REGISTERED"])
async def mara_registers(world: World, story: Names) -> Evidence:
    """Mara names a service: she signs the claim, and River City's node signs it beside her."""
    target = ServiceTarget(
        type=KIND,
        node=world.node(RIVER).did,
        endpoints=(ServiceEndpoint(protocol="opkit", path=f"{PATH}{story.wasm_hash}"),),
        capabilities=(CAPABILITY,),
        region=REGION,
    )
    story.heard = {org: await counted(world, org, HEARD) for org in (BRIGHT, HARBOR)}
    story.claimed = claim(world, MARA, story.name, target)
    story.held = held = await register(mara_at_river(world), story.claimed)
    view = read_name(held.record, world.genesis)
    return expect(
        same("the name", expected=story.name, actual=view.name),
        same("held by", expected=MARA, actual=view.member_id),
        same("signed with her own key", expected=world.member(MARA).did, actual=view.did),
        same("countersigned by the coop's home", expected=home_of(world, RIVER), actual=view.home),
        same("which is River City's node", expected=world.node(RIVER).did, actual=view.home),
        same("the claim in it, to the byte", expected=story.claimed, actual=claim_in(held.record)),
        that("stands for the service", view.target == target, expected=target, actual=view.target),
        that("numbered by the node", view.sequence > 0, expected="a number", actual=view.sequence),
        proofs=[NameProof(held.record)],
        held=held,
    )


@flow.step("NAME_PROPAGATED", say=SAY["NAME_PROPAGATED"])
async def everybody_hears(world: World, story: Names) -> Evidence:
    """Within five seconds BrightWorks and Harbor Homes answer with the very same record."""
    took_ms = await all_answer(world, story.name, story.stands, orgs=(BRIGHT, HARBOR))
    heard = {
        org: await until(
            partial(counted, world, org, HEARD),
            partial(more_than, story.heard[org]),
            what=f"an announcement at {world.node(org).title}",
        )
        for org in (BRIGHT, HARBOR)
    }
    return expect(
        *await answers(world, story.name, story.stands),
        that(
            "within the deadline",
            took_ms <= PROPAGATED_MS,
            expected=f"{PROPAGATED_MS} ms at most",
            actual=f"{took_ms} ms",
        ),
        *(
            that(
                f"{world.node(org).title} heard it in gossip",
                heard[org] > story.heard[org],
                expected=f"more than {story.heard[org]} announcements",
                actual=heard[org],
            )
            for org in (BRIGHT, HARBOR)
        ),
        took_ms=took_ms,
        deadline_ms=PROPAGATED_MS,
    )


@flow.step("SERVICE_DISCOVERED", say=SAY["SERVICE_DISCOVERED"])
async def rosa_discovers(world: World, story: Names) -> Evidence:
    """Rosa asks Harbor Homes who shares out a lathe's costs, and proves every link herself."""
    story.service = found = await discovered(world, story.name)
    return expect(
        found.verdict,
        same("under the name", expected=story.name, actual=found.name),
        same("by the same record", expected=story.stands, actual=hash_of(found.found.name_record)),
        same("held by", expected=MARA, actual=found.member_id),
        same("on the node", expected=world.node(RIVER).did, actual=found.node),
        that(
            "called where the node itself says",
            world.node(RIVER).url in {door.url for door in found.doors},
            expected=world.node(RIVER).url,
            actual=[door.url for door in found.doors],
        ),
        proofs=[NameProof(found.found.name_record)],
        health=found.health,
    )


@flow.step("AUTHENTICATED_CALL", say=SAY["AUTHENTICATED_CALL"])
async def rosa_calls(world: World, story: Names) -> Evidence:
    """Rosa signs River City's challenge, gets a token, and has the lathe's costs shared out."""
    node = world.node(RIVER).did
    figures = as_input(surplus=COSTS, hours=HOURS)
    member = rosa_at_harbor(world).as_member(world.member(ROSA))
    async with await member.connect(story.found) as service:
        wasm_hash = story.found.endpoints[0].path.removeprefix(PATH)
        task = await service.compute.submit(wasm_hash, figures, executor=node)
        result = await task.result()
        story.token = service.token or ""
        story.short = (await service.login(ttl_ms=SHORT_MS)).token
    claims = claims_in(story.token)
    shares = allocate(surplus=COSTS, hours=HOURS)
    return expect(
        same("the token is of the node", expected=node, actual=claims.aud),
        same("it is Rosa's", expected=ROSA, actual=claims.member_id),
        same("for her own key", expected=world.member(ROSA).did, actual=claims.did),
        same("output", expected=as_output(shares), actual=result.output),
        verify_receipt(result.bundle, genesis=world.genesis),
        same("computed by", expected=node, actual=result.receipt.executor),
        proofs=[ReceiptProof(result.bundle), BlobProof(figures), BlobProof(result.output)],
        shares=shares,
        token_good_for=claims.scopes,
        token_expires_at_ms=claims.expires_at_ms,
    )


@flow.step("UNSIGNED_IGNORED", adversarial=True, say=SAY["UNSIGNED_IGNORED"])
async def nobody_signed(world: World, story: Names) -> Evidence:
    """A stranger tells all three nodes that the name leads elsewhere. Nobody has signed that."""
    async with injecting(world, "name-unsigned", story.name) as injected:
        pass
    return expect(
        injected.told("put", {"signed-record-rejected": 3}),
        injected.told("pushed", {"signed-record-rejected": 3}),
        injected.unheard(),
        *await answers(world, story.name, story.stands),
        stranger=injected.did,
        told=injected.stats,
    )


@flow.step("FORGED_IGNORED", adversarial=True, say=SAY["FORGED_IGNORED"])
async def signed_by_another_key(world: World, story: Names) -> Evidence:
    """A stranger signs the name with its own key, in the home's name and in its own. In vain."""
    async with injecting(world, "name-forged", story.name) as injected:
        pass
    said = {"signed-record-rejected": 3, "record-not-owners": 3}
    return expect(
        injected.told("put", said),
        injected.told("pushed", said),
        injected.unheard(),
        *await answers(world, story.name, story.stands),
        stranger=injected.did,
        told=injected.stats,
    )


@flow.step("STALE_IGNORED", adversarial=True, say=SAY["STALE_IGNORED"])
async def said_before(world: World, story: Names) -> Evidence:
    """Mara renews the name. A stranger sends round what stood before, truly signed. In vain."""
    before = story.mine
    async with injecting(world, "name-stale", story.name) as injected:
        renewed = claim(world, MARA, story.name, story.target)
        story.held = await register(mara_at_river(world), renewed)
        await all_answer(world, story.name, story.stands, orgs=ALL)
    return expect(
        that(
            "the home counts on",
            story.mine.sequence > before.sequence,
            expected=f"more than {before.sequence}",
            actual=story.mine.sequence,
        ),
        injected.told("put", {"record-outdated": 3}),
        injected.told("pushed", {"ok": 3}),
        injected.unheard(),
        *await answers(world, story.name, story.stands),
        proofs=[NameProof(before.record), NameProof(story.mine.record)],
        stranger=injected.did,
        told=injected.stats,
    )


@flow.step("NO_TOKEN_REFUSED", adversarial=True, say=SAY["NO_TOKEN_REFUSED"])
async def nobody_in_particular(world: World, story: Names) -> Evidence:
    """A stranger calls River City's service without a token, and asks who offers one. In vain."""
    stranger = world.client(RIVER, None)
    with refused(TokenMissing) as called:
        await stranger.call(GET_MODULE, GetModule(wasm_hash=story.wasm_hash))
    with refused(TokenMissing) as asked:
        await stranger.call(FIND_SERVICES, FindServices(type=KIND))
    return expect(called.check, asked.check, called=called.problem, asked=asked.problem)


@flow.step("BAD_TOKEN_REFUSED", adversarial=True, say=SAY["BAD_TOKEN_REFUSED"])
async def almost_a_token(world: World, story: Names) -> Evidence:
    """Tokens run out, changed, unsigned, self-made or another node's: River City refuses each."""
    river, bright, rosa = world.node(RIVER), world.node(BRIGHT), world.member(ROSA)
    await run_out(world, story.short)
    elsewhere = await world.client(BRIGHT, ROSA).login()
    own = jws.sign(claims_in(story.token), typ=TOKEN_TYP, identity=rosa)
    bad = {
        "run out": (story.short, "it has expired"),
        "another node's": (elsewhere.token, f"it is signed by {bright.did}, not by {river.did}"),
        "changed": (altered(story.token, scopes=[*Scope]), "the signature does not verify"),
        "self-made": (own, f"it is signed by {rosa.did}, not by {river.did}"),
        "unsigned": (of_no_algorithm(story.token), "the algorithm is 'none', not 'Ed25519'"),
    }
    stranger, asked = world.client(RIVER, None), GetModule(wasm_hash=story.wasm_hash)
    problems: dict[str, Any] = {}
    checks = []
    for what, (token, why) in bad.items():
        with refused(TokenRejected, why=why) as no:
            await stranger.with_token(token).call(GET_MODULE, asked)
        checks.append(same(f"{what}: why", expected=why, actual=no.refusal.why))
        problems[what] = no.problem
    info = await stranger.with_token(story.token).call(GET_MODULE, asked)
    good = same("with the good one", expected=story.wasm_hash, actual=info.wasm_hash)
    return expect(*checks, good, refusals=problems)


@flow.step("RIVAL_REFUSED", adversarial=True, say=SAY["RIVAL_REFUSED"])
async def others_want_it(world: World, story: Names) -> Evidence:
    """Theo of River City claims Mara's name, and so does Hugo of BrightWorks. Neither gets it."""
    theo, hugo = world.client(RIVER, THEO), world.client(BRIGHT, HUGO)
    with refused(NameTaken, name=story.name, member_id=MARA) as taken:
        await register(theo, claim(world, THEO, story.name, story.target))
    with refused(ClaimNotMembers, member_id=HUGO) as outside:
        await register(hugo, claim(world, HUGO, story.name, story.target))
    return expect(
        taken.check,
        outside.check,
        *await answers(world, story.name, story.stands),
        theo=taken.problem,
        hugo=outside.problem,
    )


@flow.step("FOREIGN_WITHDRAWAL_REFUSED", adversarial=True, say=SAY["FOREIGN_WITHDRAWAL_REFUSED"])
async def another_lets_it_go(world: World, story: Names) -> Evidence:
    """Theo tries to give Mara's name back, as himself and as if he was Mara. It stays hers."""
    theo = world.client(RIVER, THEO)
    with refused(NameTaken, name=story.name, member_id=MARA) as as_himself:
        await register(theo, claim(world, THEO, story.name, None))
    with refused(ClaimNotMembers, member_id=MARA) as as_mara:
        await register(theo, claim(world, THEO, story.name, None, of=MARA))
    return expect(
        as_himself.check,
        as_mara.check,
        *await answers(world, story.name, story.stands),
        as_himself=as_himself.problem,
        as_mara=as_mara.problem,
    )


@flow.step("RELAYED_CHALLENGE_REFUSED", adversarial=True, say=SAY["RELAYED_CHALLENGE_REFUSED"])
async def somebody_between(world: World, story: Names) -> Evidence:
    """A relay with a name of its own shows Rosa River City's challenge. She does not sign it."""
    relay = await world.hostile("relay", against=ALL)
    bram = world.client(BRIGHT, BRAM)
    target = story.target.model_copy(update={"node": relay.did})
    await register(bram, claim(world, BRAM, story.decoy, target))
    found = await discovered(world, story.decoy)
    member = rosa_at_harbor(world).as_member(world.member(ROSA))
    with nothing_signed(dialled=relay.did, answered=world.node(RIVER).did) as no:
        async with await member.connect(found) as service:
            await service.call(GET_MODULE, GetModule(wasm_hash=story.wasm_hash))
    passed = dict(await relay.stats())
    await relay.stop()
    await register(bram, claim(world, BRAM, story.decoy, None))
    return expect(
        found.verdict,
        same("its name leads to the relay", expected=relay.did, actual=found.node),
        no.check,
        that(
            "challenges that the relay passed on",
            passed.get("challenges", 0) > 0,
            expected="at least one",
            actual=passed.get("challenges", 0),
        ),
        same("signed challenges that it got", expected=0, actual=passed.get("logins", 0)),
        same("tokens that it got", expected=0, actual=passed.get("tokens", 0)),
        relay=relay.did,
        passed_on=passed,
    )


@flow.step("NAME_WITHDRAWN", say=SAY["NAME_WITHDRAWN"])
async def mara_lets_it_go(world: World, story: Names) -> Evidence:
    """Mara gives the name back. All forget it, BrightWorks too, whose node was down meanwhile."""
    await world.kill(BRIGHT)
    gone = await register(mara_at_river(world), claim(world, MARA, story.name, None))
    took_ms = await all_answer(world, story.name, NO_RECORD, orgs=(RIVER, HARBOR))
    await world.restart(BRIGHT)
    later_ms = await all_answer(world, story.name, NO_RECORD, orgs=(BRIGHT,))
    view = read_name(gone.record, world.genesis)
    asked = FindServices(type=KIND, capability=CAPABILITY, region=REGION)
    left = (await rosa_at_harbor(world).call(FIND_SERVICES, asked)).services
    return expect(
        that("it stands for nothing", not view.held, expected="nothing", actual=view.target),
        same("given back by", expected=MARA, actual=view.member_id),
        same(
            "countersigned by River City's node", expected=world.node(RIVER).did, actual=view.home
        ),
        *await answers(world, story.name, NO_RECORD),
        that(
            "nobody discovers it",
            story.name not in {each.name for each in left},
            expected=f"not {story.name}",
            actual=[each.name for each in left],
        ),
        proofs=[NameProof(gone.record)],
        took_ms=took_ms,
        took_ms_after_the_restart=later_ms,
    )
