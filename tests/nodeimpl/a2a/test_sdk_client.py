"""An unmodified client of the A2A SDK, which sets a bearer header and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.client.errors import A2AClientError
from a2a.types import a2a_pb2 as a2a
from a2a.utils import signing
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from opkit.proof.did import public_key_of
from opkit.proof.receipt import verify_receipt
from opkit.wire.compute import ReceiptBundle
from opkit.wire.grants import LIST_GRANTS, REVOKE_GRANT, ListGrants, RevokeGrant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WASM = Path(__file__).resolve().parents[3] / "wasm"
STORY_S_MAX = 60
BINDINGS = ("JSONRPC", "HTTP+JSON")
BOTH = pytest.mark.parametrize("binding", BINDINGS)


def key_of(kid: str | None, _jku: str | None) -> Ed25519PublicKey:
    """Return the key that a `did:key` spells: nobody is asked, and `jku` is never fetched."""
    assert kid is not None
    return Ed25519PublicKey.from_public_bytes(bytes(public_key_of(kid.partition("#")[0])))


def message(ident: str, **data: Any) -> a2a.SendMessageRequest:
    """Return one message with one part of data."""
    part = a2a.Part()
    part.data.struct_value.update(data)
    said = a2a.Message(role=a2a.Role.ROLE_USER, message_id=ident, parts=[part])
    return a2a.SendMessageRequest(message=said)


def plain(value: Any) -> Any:
    """Return a protobuf value as JSON has it."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: plain(each) for name, each in value.struct_value.fields.items()}
    if kind == "list_value":
        return [plain(each) for each in value.list_value.values]
    return None if kind == "null_value" else getattr(value, kind)


@asynccontextmanager
async def sdk(node: Any, binding: str, *, streaming: bool) -> AsyncIterator[Any]:
    """Give a client that found the node by its card and verified that."""
    headers = {"Authorization": f"Bearer {await node.bearer()}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as http:
        card = await A2ACardResolver(http, node.url).get_agent_card()
        signing.create_signature_verifier(key_of, ["EdDSA", "Ed25519"])(card)
        config = ClientConfig(
            httpx_client=http, streaming=streaming, supported_protocol_bindings=[binding]
        )
        yield ClientFactory(config).create(card)


async def deployed(node: Any, name: str, **grant: Any) -> str:
    """Have a module at the node, and a grant of Mara's."""
    async with node.member() as client:
        info = await client.wasm.deploy((WASM / f"{name}.wasm").read_bytes(), name=name)
        await node.give(client, **grant)
        return str(info.wasm_hash)


async def said_by(client: Any, asked: a2a.SendMessageRequest) -> list[Any]:
    return [event async for event in client.send_message(asked)]


def output_of(artifacts: Any) -> str:
    return str(next(each for each in artifacts if each.artifact_id == "output").parts[0].text)


def story(work: Callable[[], Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(STORY_S_MAX):
            return await work()

    return asyncio.run(bounded())


@BOTH
def test_a_client_that_knows_a2a_alone_runs_a_task(node: Any, binding: str) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with sdk(node, binding, streaming=False) as client:
            asked = message(f"plain-{binding}", wasm_hash=upper, input="hello")
            (event,) = await said_by(client, asked)
            task = event.task
            assert task.status.state == a2a.TaskState.TASK_STATE_COMPLETED
            assert output_of(task.artifacts) == "HELLO"
            bundle = ReceiptBundle.model_validate(plain(task.artifacts[1].parts[0].data))
            verdict = verify_receipt(bundle, genesis=node.world.view)
            assert verdict.status == "verified", verdict.failures
            (again,) = await said_by(client, asked)
            assert again.task == task, "the same message is the same task"
            assert await client.get_task(a2a.GetTaskRequest(id=task.id)) == task
            page = await client.list_tasks(
                a2a.ListTasksRequest(context_id=task.context_id, include_artifacts=True)
            )
            assert (list(page.tasks), page.total_size) == ([task], 1)
            with pytest.raises(TaskNotCancelableError):
                await client.cancel_task(a2a.CancelTaskRequest(id=task.id))

    story(work)


@BOTH
def test_a_stream_tells_states_and_brings_the_output(node: Any, binding: str) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with sdk(node, binding, streaming=True) as client:
            asked = message(f"stream-{binding}", wasm_hash=upper, input="hello")
            events = await said_by(client, asked)
            kinds = [event.WhichOneof("payload") for event in events]
            assert kinds[0] == "task"
            if len(kinds) == 1:  # It had ended before the first event.
                assert output_of(events[0].task.artifacts) == "HELLO"
                return
            assert kinds[-1] == "status_update"
            last = events[-1].status_update.status.state
            assert last == a2a.TaskState.TASK_STATE_COMPLETED
            made = [
                each.artifact_update.artifact for each in events if each.HasField("artifact_update")
            ]
            assert output_of(made) == "HELLO"

    story(work)


def test_a_running_task_is_followed_by_others_and_cancelled(own_node: Any) -> None:
    """Its worker is replaced, which is why the node is this test's own."""

    async def work(binding: str) -> None:
        spin = await deployed(own_node, "spin", tasks_max=len(binding))
        limits = {"fuel": 100_000_000_000, "time_ms": 60_000}
        asked = message(f"cancel-{binding}", wasm_hash=spin, input="", limits=limits)
        asked.configuration.return_immediately = True
        async with (
            sdk(own_node, binding, streaming=False) as client,
            sdk(own_node, binding, streaming=True) as other,
        ):
            (event,) = await said_by(client, asked)
            ident = event.task.id
            assert event.task.status.state in (
                a2a.TaskState.TASK_STATE_SUBMITTED,
                a2a.TaskState.TASK_STATE_WORKING,
            )
            following = aiter(other.subscribe(a2a.SubscribeToTaskRequest(id=ident)))
            first = await anext(following)
            assert first.task.id == ident
            ended = await client.cancel_task(a2a.CancelTaskRequest(id=ident))
            assert ended.status.state == a2a.TaskState.TASK_STATE_CANCELED
            rest = [each async for each in following]
            assert rest[-1].status_update.status.state == a2a.TaskState.TASK_STATE_CANCELED
            with pytest.raises(UnsupportedOperationError):
                async for _ in other.subscribe(a2a.SubscribeToTaskRequest(id=ident)):
                    pass

    for binding in BINDINGS:
        story(partial(work, binding))


@BOTH
def test_what_fails_is_told_by_the_errors_that_clients_know(node: Any, binding: str) -> None:
    async def work() -> None:
        upper = await deployed(node, "upper")
        async with sdk(node, binding, streaming=False) as client:
            with pytest.raises(TaskNotFoundError):
                await client.get_task(a2a.GetTaskRequest(id="0" * 32))
            text = a2a.Message(
                role=a2a.Role.ROLE_USER, message_id="t", parts=[a2a.Part(text="run it")]
            )
            with pytest.raises(ContentTypeNotSupportedError):
                await said_by(client, a2a.SendMessageRequest(message=text))
            for data in (
                {"wasm_hash": upper},
                {"wasm_hash": upper, "input": "x", "input_b64": "eA"},
                {"wasm_hash": upper, "input": "x", "colour": "red"},
                {"wasm_hash": "no hash", "input": "x"},
                {"wasm_hash": upper, "input": "x", "limits": {"fuel": 0}},
            ):
                with pytest.raises(InvalidParamsError):
                    await said_by(client, message("wrong", **data))
            config = a2a.TaskPushNotificationConfig(task_id="0" * 32, url="http://127.0.0.1/")
            with pytest.raises(PushNotificationNotSupportedError):
                await client.create_task_push_notification_config(config)
            more = message("more", wasm_hash=upper, input="x")
            (event,) = await said_by(client, more)
            more.message.task_id, more.message.message_id = event.task.id, "more-2"
            with pytest.raises(UnsupportedOperationError):
                await said_by(client, more)

    story(work)


@BOTH
def test_without_a_grant_nothing_runs_and_the_client_is_told_so(node: Any, binding: str) -> None:
    async def work() -> None:
        async with node.member() as client:
            for held in (await client.call(LIST_GRANTS, ListGrants())).grants:
                await client.call(REVOKE_GRANT, RevokeGrant(grant_id=held.grant_id))
            info = await client.wasm.deploy((WASM / "upper.wasm").read_bytes(), name="upper")
        async with sdk(node, binding, streaming=False) as client:
            with pytest.raises(A2AClientError, match=r"403|No grant"):
                await said_by(client, message("none", wasm_hash=info.wasm_hash, input="x"))

    story(work)


def test_the_node_loads_nothing_of_the_sdk(node: Any) -> None:
    """Not even after it was asked: it speaks A2A by itself."""
    assert node.process is not None
    maps = Path(f"/proc/{node.process.pid}/maps").read_text("utf-8")
    assert "_upb" not in maps, "protobuf's library is loaded"
