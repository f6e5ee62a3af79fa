"""Names and agent cards with a peer in JavaScript: it verifies them, and makes some itself.

Once it takes the place of a coop's home node, with that node's key: then no name of the coop is
held unless this second implementation countersigns it. The stage is in `stage.py`.
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devnet.state import load_running, node_folder
from opkit.proof import keystore
from opkit.proof.jws import peek
from opkit.proof.keys import Identity
from opkit.wire.names import NameTaken, NameUnknown, ServiceTarget
from opkit.wire.overlay import OVERLAY, AskOverlay

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

_SPEC = importlib.util.spec_from_file_location(
    "javascript_stage", Path(__file__).with_name("stage.py")
)
assert _SPEC is not None and _SPEC.loader is not None
beside: Any = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = beside  # Where dataclasses look for their module.
_SPEC.loader.exec_module(beside)
RIVER, BRIGHT, HARBOR = ALL = beside.ALL
MARA = beside.MARA
ROSA, FELIX = f"{HARBOR}/rosa", f"{HARBOR}/felix"
eventually = beside.eventually
network = beside.network
tell = beside.tell

CARD = {
    "name": "Harbor Homes, in JavaScript",
    "description": "A coop's home node, größer als 7 €.",
    "version": "1",
    "supportedInterfaces": [
        {"url": "http://127.0.0.1:9/a2a/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "skills": [{"id": "roof", "name": "Roof", "description": "Mends it.", "tags": ["repair"]}],
}


def key_of(network: str, org: str) -> Identity:
    """Return a node's own key."""
    folder = node_folder(load_running(network).folder, org)
    sealed, secret = (folder / name for name in ("keystore.json", "keystore.key"))
    (seed,) = keystore.unseal(sealed.read_bytes(), secret=secret.read_bytes()).values()
    return Identity.from_seed(seed)


def label() -> str:
    return f"js-{secrets.token_hex(4)}"


def test_it_hears_of_a_name_by_gossip_and_verifies_it(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        peer, world = stage.peer, stage.world
        await stage.dial_all()

        async def in_mesh() -> bool:
            return len((await peer.do("state"))["mesh"]) == len(ALL)

        await eventually(in_mesh)
        name = f"{label()}.{RIVER}"
        target = ServiceTarget(type="lathe", node=world.node(RIVER).did)
        held = await world.client(BRIGHT, MARA).names.register(name, target)
        await eventually(lambda: peer.do("kept", namespace="name", name=name))
        (kept,) = await peer.do("kept", namespace="name", name=name)
        assert (kept["jws"], kept["owner"]) == (held.record, world.node(RIVER).did)
        assert (await peer.do("state"))["counts"]["bad"] == 0
        gone = await world.client(BRIGHT, MARA).names.withdraw(name)

        async def is_withdrawn() -> bool:
            (kept,) = await peer.do("kept", namespace="name", name=name)
            return bool(kept["jws"] == gone.record)

        await eventually(is_withdrawn)

    tell(story)


def test_it_resolves_a_nodes_card_and_nodes_resolve_its_own(tell: Callable[..., None]) -> None:
    async def story(stage: Any) -> None:
        peer, world, known = stage.peer, stage.world, [stage.contact(RIVER)]
        did = world.node(BRIGHT).did
        (card,) = await peer.do("get", namespace="card", name=did, known=known)
        said = await world.operator(RIVER).cards.resolve(did)
        assert (card["value"]["card"], card["value"]["cid"]) == (said.view.card, said.view.cid)
        mine = await peer.do("card", card=CARD)
        await peer.do("put", carried=mine, known=known)
        for org in ALL:
            found = await world.operator(org).cards.resolve(peer.did)
            assert found.sequence == peek(mine["jws"]).payload["sequence"]
            assert found.view.card["skills"] == CARD["skills"]

    tell(story)


def test_as_the_home_of_a_coop_it_lets_names_be_held_and_services_be_found(
    network: str, tell: Callable[..., None]
) -> None:
    home = key_of(network, HARBOR)

    async def story(stage: Any) -> None:
        peer, world = stage.peer, stage.world
        for org in (RIVER, BRIGHT):
            await peer.do("dial", to=stage.contact(org))
        mine = await peer.do("card", card=CARD)
        await peer.do("keep", carried=mine)
        name = f"{label()}.{HARBOR}"
        target = ServiceTarget(type=label(), node=peer.did, capabilities=("repair",))
        held = await world.client(BRIGHT, ROSA).names.register(name, target)
        assert held.home == peer.did == home.did

        async def is_known() -> bool:
            try:
                known = await world.operator(RIVER).names.get(name)
            except NameUnknown:
                return False
            return bool(known.record == held.record)

        await eventually(is_known)
        with pytest.raises(NameTaken) as taken:
            await world.client(RIVER, FELIX).names.register(name, target)
        assert taken.value.member_id == ROSA

        async def shows_card() -> bool:
            (it,) = await world.client(RIVER, MARA).discover(type=target.type, capability="repair")
            assert (it.name, it.member_id, it.home) == (name, ROSA, peer.did)
            # The card is on the peer's own shelf: a node has it once both have compared.
            return it.card is not None and it.card.name == CARD["name"]

        await eventually(shows_card)

    async def without_home(world: Any) -> None:
        async def all_known() -> bool:
            for org in (RIVER, BRIGHT):
                said = await world.operator(org).call(OVERLAY, AskOverlay())
                if {each.name: each.count for each in said.records}.get("node", 0) < len(ALL):
                    return False
            return True

        # The home's own record, which the services on it need, is gone with it otherwise.
        await eventually(all_known)
        await world.kill(HARBOR)

    tell(story, serves=True, key=home, first=without_home)
