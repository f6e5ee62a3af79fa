"""Stories made at random from a real node's own schema: answers lead to further asks by its links.

What a schema cannot make, the test supplies: modules that run, and manifests that a member signed.
`OPKIT_FUZZ_EXAMPLES` makes it long and different each time (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import collections
import os
import secrets
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import schemathesis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from schemathesis import GenerationMode
from schemathesis.generation.stateful.state_machine import StepOutput
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.stateful.links import OpenApiLink

from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire import journal, membership, network, overlay  # noqa: F401 - for their refusals
from opkit.wire.base import b64encode
from opkit.wire.compute import TASK_TYP, Manifest, TaskLimits
from opkit.wire.errors import refusal_from

TIMEOUT_S = 0 if "OPKIT_FUZZ_EXAMPLES" in os.environ else 500
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.usefixtures("unmeasured_processes"),
]

WASM = next(p for p in Path(__file__).parents if (p / "pyproject.toml").exists()) / "wasm"
MODULES = {name: (WASM / f"{name}.wasm").read_bytes() for name in ("upper", "probe")}
INPUTS = (b"", b"a plane, a spirit level", b"\xff" * 2_000)
MARA = "river-city-tool-library/mara"
WAIT_MS_MAX, WAIT_MS_ALLOWED = 50, 30_000
EXAMPLES = 12
STEPS = 30
ENDS_TOKEN = "membership.revoke-token"
BOTH = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
NTH = st.integers(0, 999)
"""One of a list, whatever its length."""
SPOILT: dict[str, dict[str, Any]] = {
    "not": {},
    "by a stranger": {"signer": Identity.generate()},
    "of another member": {"member_id": "river-city-tool-library/theo"},
    "of another network": {"network": "b" * 26},
    "past its time": {"issued_at_ms": 1, "expires_at_ms": 2},
    "of an unknown module": {"wasm_hash": cid_of(b"nobody has this")},
    "of no name": {"wasm_hash": "bafk"},
}


class Asked:
    """A real node that is asked: its schema, its links, and what it answered."""

    def __init__(self, node: Any, *, bearing: bool) -> None:
        self.node = node
        self.bearing = bearing
        self.tally: collections.Counter[tuple[str, int]] = collections.Counter()
        self.followed: collections.Counter[str] = collections.Counter()
        schema = schemathesis.openapi.from_url(f"{node.url}/openapi.json")
        every = [result.ok() for result in schema.get_all_operations()]
        self.operations = {name_of(each): each for each in every}
        self.links = [
            OpenApiLink(name, status, definition, operation)
            for operation in every
            for status, response in operation.responses.items()
            for name, definition in response.iter_links()
        ]
        self._token = self.token() if bearing else ""

    def token(self) -> str:
        """Return a fresh token of a member's."""

        async def login() -> str:
            async with self.node.client(MARA) as mara:
                return str((await mara.login()).token)

        return asyncio.run(asyncio.wait_for(login(), 120))

    def ask(self, case: Any) -> StepOutput:
        """Send one ask; whatever it is, its answer is declared and no fault."""
        name = name_of(case.operation)
        headers = {}
        if self.bearing:
            token = self.token() if name == ENDS_TOKEN else self._token
            headers["Authorization"] = f"Bearer {token}"
        response = case.call(headers=headers, timeout=30)
        self.tally[name, response.status_code] += 1
        assert response.status_code < 500 or response.status_code == 503, response.text
        if response.status_code != 200:
            assert refusal_from(response.json()) is not None, response.text
        # A schema cannot say which signatures, names and places are good: those that are not are
        # refused, in a form that is declared.
        case.validate_response(response, excluded_checks=[positive_data_acceptance])
        return StepOutput(response, case)

    def tell(self, name: str, **parts: Any) -> StepOutput:
        """Ask an endpoint by name, with these parts and no others."""
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return self.ask(self.operations[name].Case(headers=headers, **parts))


def name_of(operation: Any) -> str:
    """Return what the contract calls an operation."""
    return str(operation.definition.raw["operationId"])


def needs_token(operation: Any) -> bool:
    """Say whether the schema says so."""
    return "security" in operation.definition.raw


def _shorten(case: Any) -> None:
    """Have no ask wait for long: time is not what is looked for here.

    What may not be asked stays as it is, to be refused.
    """
    asked = str(case.query.get("wait_ms", "")) if isinstance(case.query, dict) else ""
    if asked.isdecimal() and WAIT_MS_MAX < int(asked) <= WAIT_MS_ALLOWED:
        case.query["wait_ms"] = WAIT_MS_MAX


def signed(node: Any, *, module: bytes, content: bytes, fields: dict[str, Any]) -> str:
    """Return a manifest as a member's program signs it, but for some fields."""
    now_ms = time.time_ns() // 1_000_000
    said: dict[str, Any] = {
        "network": node.world.view.network,
        "aud": "any",
        "task_id": secrets.token_hex(16),
        "member_id": MARA,
        "wasm_hash": cid_of(module),
        "input_hash": cid_of(content),
        "limits": TaskLimits(),
        "issued_at_ms": now_ms,
        "expires_at_ms": now_ms + 60_000,
    } | fields
    signer = said.pop("signer", node.world.members[MARA])
    return jws.sign(Manifest(**said), typ=TASK_TYP, identity=signer)


class Story(RuleBasedStateMachine):
    """One story told to `asked`.

    What is drawn never depends on what was answered, so that the same draws are the same story: a
    link whose source was not answered yet is an ask with made-up fields.
    """

    asked: ClassVar[Asked]

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, list[StepOutput]] = {}

    @initialize(data=st.data())
    def begin(self, data: Any) -> None:
        self.deploy("upper", data)

    @rule(data=st.data(), nth=NTH, mode=BOTH)
    def ask_anything(self, data: Any, nth: int, mode: GenerationMode) -> None:
        every = sorted(self.asked.operations)
        operation = self.asked.operations[every[nth % len(every)]]
        self.tell(data.draw(operation.as_strategy(generation_mode=mode)))

    @rule(data=st.data(), which=NTH, nth=NTH)
    def follow(self, data: Any, which: int, nth: int) -> None:
        link = self.asked.links[which % len(self.asked.links)]
        case = data.draw(link.target.as_strategy())
        said = self.answers.get(name_of(link.source))
        if said:
            fill(case, link, said[nth % len(said)])
            self.asked.followed[link.name] += 1
        self.tell(case)

    @rule(
        data=st.data(),
        what=st.sampled_from(["task", "task", "blob", "module"]),
        module=st.sampled_from(sorted(MODULES)),
        content=st.sampled_from(INPUTS),
        inline=st.booleans(),
        spoilt=st.sampled_from(["not"] * len(SPOILT) + sorted(SPOILT)),
    )
    def bring(
        self, data: Any, what: str, module: str, content: bytes, inline: bool, spoilt: str
    ) -> None:
        """Bring what a schema cannot make: bytes that run or are cited, and signed manifests."""
        if what == "module":
            self.deploy(module, data)
            return
        if what == "blob":
            self.make("compute.put-blob", data, body=content)
            return
        manifest = signed(
            self.asked.node, module=MODULES[module], content=content, fields=SPOILT[spoilt]
        )
        body = {"manifest": manifest} | ({"input_inline": b64encode(content)} if inline else {})
        self.make("compute.submit", data, body=body)

    def deploy(self, module: str, data: Any) -> None:
        self.make("compute.deploy", data, query={"name": module}, body=MODULES[module])

    def make(self, name: str, data: Any, **parts: Any) -> None:
        """Ask with some parts given and the others drawn."""
        case = data.draw(self.asked.operations[name].as_strategy())
        for part, value in parts.items():
            setattr(case, part, value)
        self.tell(case)

    def tell(self, case: Any) -> None:
        _shorten(case)
        output = self.asked.ask(case)
        if output.response.status_code == 200:
            self.answers.setdefault(name_of(case.operation), []).append(output)


def fill(case: Any, link: OpenApiLink, said: StepOutput) -> None:
    """Take what the link names from an answer into the next ask."""
    for container, fields in link.extract(said).parameters.items():
        for name, extracted in fields.items():
            value = extracted.value.ok()
            if value is not None:
                setattr(case, container, {**(getattr(case, container) or {}), name: value})


def test_every_link_of_the_schema_leads_from_an_answer_to_an_answer(attacked: Any) -> None:
    """What the document promises of links holds, once there is a task with a receipt."""
    asked = Asked(attacked, bearing=True)
    content = INPUTS[-1]
    manifest = signed(attacked, module=MODULES["upper"], content=content, fields={})
    asked.tell("compute.deploy", query={"name": "upper"}, body=MODULES["upper"])
    asked.tell("compute.put-blob", body=content)
    submitted = asked.tell("compute.submit", body={"manifest": manifest})
    task = {"task_id": submitted.response.json()["task_id"]}
    ended = asked.tell("compute.task", path_parameters=task, query={"wait_ms": 30_000})
    assert ended.response.json()["state"] == "done", ended.response.text
    said = {"compute.submit": submitted, "compute.task": ended} | {
        name: asked.tell(name) for name in ("compute.modules", "membership.list", "events.read")
    }
    said["compute.put-blob"] = asked.tell("compute.put-blob", body=content)
    named = {"name": "upper"}
    said["compute.deploy"] = asked.tell("compute.deploy", query=named, body=MODULES["upper"])
    for link in asked.links:
        case = link.target.Case(headers={"Idempotency-Key": secrets.token_hex(8)})
        fill(case, link, said[name_of(link.source)])
        asked.ask(case)
        assert asked.tally[name_of(link.target), 200], f"{name_of(link.source)}: {link.name}"
    assert {status for _, status in asked.tally} == {200}, asked.tally


@pytest.mark.parametrize("bearing", [True, False], ids=["token", "no-token"])
def test_no_story_made_from_the_schema_and_its_links_breaks_the_node(
    attacked: Any, fuzzing: Any, bearing: bool
) -> None:
    asked = Asked(attacked, bearing=bearing)
    bounds: settings = fuzzing(EXAMPLES, stateful_step_count=STEPS)
    story = type("ToldStory", (Story,), {"asked": asked})
    run_state_machine_as_test(story, settings=bounds)  # type: ignore[no-untyped-call]  # Not ours.

    assert asked.tally.total() > EXAMPLES
    if bearing:
        assert asked.tally["compute.submit", 200] and asked.followed.total()
    else:
        let_in = {name for name, status in asked.tally if status == 200}
        open_to_all = {each for each, at in asked.operations.items() if not needs_token(at)}
        assert let_in <= open_to_all
