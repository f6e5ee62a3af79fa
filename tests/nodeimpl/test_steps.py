"""A refusal tells nothing of what exists by its time: the same steps lead to it either way.

Clocks are not asked: what a whole node does for each of two asks is written down and compared. A
step is a signature that is checked, a transaction, a statement with how much it brought, or a look
at the blobs. How long each of them takes is up to libraries, engine and system.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from devnet.inprocess import inprocess_world
from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.kernel.store import Store
from nodeimpl.kernel.tx import Tx
from opkit.proof import jws
from opkit.proof.cid import cid_of
from opkit.proof.keys import Identity
from opkit.wire.base import b64decode, b64encode
from opkit.wire.compute import (
    CANCEL,
    GET_BLOB,
    GET_TASK,
    BlobUnknown,
    CancelTask,
    GetBlob,
    GetTask,
    TaskUnknown,
)
from opkit.wire.endpoint import Scope
from opkit.wire.errors import Refusal
from opkit.wire.gateway import ScopeMissing, TokenMissing, TokenRejected
from opkit.wire.membership import (
    CHALLENGE,
    LOGIN_TYP,
    TOKEN,
    TOKEN_TYP,
    AskChallenge,
    AskToken,
    Login,
    LoginRejected,
    TokenClaims,
)

pytestmark = pytest.mark.slow

RIVER = "river-city-tool-library"
MARA, OTHER = f"{RIVER}/mara", f"{RIVER}/theo"
MODULE = (Path(__file__).resolve().parents[2] / "wasm" / "upper.wasm").read_bytes()
STORY_S_MAX = 100

Story = Callable[[Any, "Tracing"], Awaitable[None]]


class Tracing:
    """Writes down what a node does for the asks of `taken`, and for nothing else beside them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asks: ContextVar[list[str] | None] = ContextVar("asks", default=None)
        self._here = threading.local()
        self._trace_signatures(monkeypatch)
        self._trace_transactions(monkeypatch)
        self._trace_blobs(monkeypatch)

    async def taken(self, ask: Awaitable[Any], *, refused: type[Refusal]) -> list[str]:
        """Return the steps of one ask that is refused."""

        async def no() -> None:
            with pytest.raises(refused):
                await ask

        return await self.steps_of(no())

    async def steps_of(self, ask: Awaitable[None]) -> list[str]:
        """Return the steps that were taken for an ask."""
        steps: list[str] = []
        token = self._asks.set(steps)
        try:
            await ask
        finally:
            self._asks.reset(token)
        return steps

    def _trace_signatures(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = jws.verify_signature

        def verify(*given: Any, **named: Any) -> None:
            self._note("signature")
            real(*given, **named)

        monkeypatch.setattr(jws, "verify_signature", verify)

    def _trace_transactions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        execute = Tx._execute

        def statement(tx: Tx, said: Any, parameters: Any, take: Any, **named: Any) -> Any:
            brought = execute(tx, said, parameters, take, **named)
            rows = len(brought) if isinstance(brought, list) else brought is not None
            self._note(f"{int(rows)} of {said.sqlite}")
            return brought

        monkeypatch.setattr(Tx, "_execute", statement)
        for kind in ("read", "write"):
            monkeypatch.setattr(Store, kind, self._transaction(kind, getattr(Store, kind)))

    def _transaction(self, kind: str, real: Any) -> Any:
        async def transact(store: Store, work: Any) -> Any:
            steps = self._asks.get()
            self._note(kind)

            def traced(tx: Tx) -> Any:
                with self._on_this_thread(steps):
                    return work(tx)

            return await real(store, traced)

        return transact

    def _trace_blobs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("size", "touch", "get"):
            real = getattr(BlobStore, name)

            def look(*given: Any, name: str = name, real: Any = real, **named: Any) -> Any:
                self._note(f"blobs {name}")
                return real(*given, **named)

            monkeypatch.setattr(BlobStore, name, look)

    @contextlib.contextmanager
    def _on_this_thread(self, steps: list[str] | None) -> Iterator[None]:
        """Count what a transaction does on the store's own threads."""
        self._here.steps = steps
        try:
            yield
        finally:
            self._here.steps = None

    def _note(self, step: str) -> None:
        steps = getattr(self._here, "steps", None)
        steps = self._asks.get() if steps is None else steps
        if steps is not None:
            steps.append(step)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Tell a story in a world of whole nodes, whose steps are traced."""

    def tell(story: Story) -> None:
        async def main() -> None:
            async with inprocess_world("three") as world:
                await story(world, Tracing(monkeypatch))

        asyncio.run(asyncio.wait_for(main(), STORY_S_MAX))

    return tell


async def task_of_mara(world: Any) -> str:
    """Return the id of a task that ended, with receipt and output."""
    mara = world.client(RIVER, MARA)
    info = await mara.wasm.deploy(MODULE, name="upper")
    handle = await mara.compute.submit(info.wasm_hash, b"what mara alone may see")
    await handle.result()
    return str(handle.task_id)


def test_another_members_task_is_looked_for_like_one_that_there_is_not(
    told: Callable[[Story], None],
) -> None:
    async def story(world: Any, tracing: Tracing) -> None:
        theirs, nobodys = await task_of_mara(world), secrets.token_hex(16)
        other = world.client(RIVER, OTHER)
        await other.compute.submit(cid_of(MODULE), b"")  # Logged in, and known to the node.
        for make in (
            lambda task: other.call(GET_TASK, GetTask(task_id=task)),
            lambda task: other.call(GET_TASK, GetTask(task_id=task, wait_ms=30_000)),
            lambda task: other.call(CANCEL, CancelTask(task_id=task)),
        ):
            found = [
                await tracing.taken(make(task), refused=TaskUnknown) for task in (theirs, nobodys)
            ]
            assert found[0] == found[1]
            assert any("compute_tasks" in step for step in found[0]), found
        assert (await world.client(RIVER, MARA).call(GET_TASK, GetTask(task_id=theirs))).receipt
        assert (await world.operator(RIVER).call(GET_TASK, GetTask(task_id=theirs))).receipt

    told(story)


def test_who_may_not_read_blobs_is_refused_before_any_is_looked_for(
    told: Callable[[Story], None],
) -> None:
    async def story(world: Any, tracing: Tracing) -> None:
        await task_of_mara(world)
        kept, unknown = cid_of(MODULE), cid_of(b"nobody has this")
        narrow = world.client(RIVER, OTHER, scopes=(Scope.NODE_READ,))
        nobody = world.client(RIVER, None)
        with pytest.raises(ScopeMissing):  # From now on its token is known.
            await narrow.call(GET_BLOB, GetBlob(cid=kept))
        for client, refused in ((narrow, ScopeMissing), (nobody, TokenMissing)):
            for cid in (kept, unknown):
                ask = client.call(GET_BLOB, GetBlob(cid=cid))
                assert await tracing.taken(ask, refused=refused) == []
        reader = world.client(RIVER, OTHER)
        ask = reader.call(GET_BLOB, GetBlob(cid=unknown))
        assert "blobs get" in await tracing.taken(ask, refused=BlobUnknown)

    told(story)


def test_a_made_up_token_is_refused_alike_whoever_it_names(
    told: Callable[[Story], None],
) -> None:
    """One signature and no look at anything, whether there is such a member, key or token."""

    async def story(world: Any, tracing: Tracing) -> None:
        mara = world.client(RIVER, MARA)
        good = (await mara.login()).token
        said, _, _ = good.rpartition(".")
        made_up = [f"{said}.{b64encode(bytes(64))}"]
        for member, did in ((MARA, mara.identity.did), ("-/none", Identity.generate().did)):
            fields = {"member_id": member, "did": did, "token_id": secrets.token_hex(16)}
            made_up.append(forged(good, **fields))
        steps = [
            await tracing.taken(
                mara.with_token(token).call(GET_TASK, GetTask(task_id="0" * 32)),
                refused=TokenRejected,
            )
            for token in made_up
        ]
        assert steps == [["signature"]] * len(made_up)

    told(story)


def test_a_login_that_nobody_signed_is_refused_alike_whoever_it_names(
    told: Callable[[Story], None],
) -> None:
    """A challenge is made for any key, and a wrong signature ends it, a member's or not."""

    async def story(world: Any, tracing: Tracing) -> None:
        nobody, found = world.client(RIVER, None), []
        for who in (world.client(RIVER, MARA).identity, Identity.generate()):
            challenges: list[Any] = []

            async def challenge(did: str = who.did, to: list[Any] = challenges) -> None:
                to.append(await nobody.call(CHALLENGE, AskChallenge(did=did)))

            steps = await tracing.steps_of(challenge())
            login = Login(
                network=nobody.network,
                aud=nobody.node,
                did=who.did,
                challenge=challenges[0].challenge,
                scopes=(),
            )
            said, _, _ = jws.sign(login, typ=LOGIN_TYP, identity=who).rpartition(".")
            ask = nobody.call(TOKEN, AskToken(login=f"{said}.{b64encode(bytes(64))}"))
            steps += await tracing.taken(ask, refused=LoginRejected)
            found.append(steps)
        assert found == [["signature"], ["signature"]]

    told(story)


def forged(token: str, **fields: Any) -> str:
    """Return a token that says other things, with a signature that is none for them."""
    header, body, signature = token.split(".")
    claims = TokenClaims.model_validate_json(b64decode(body)).model_copy(update=fields)
    own = jws.sign(claims, typ=TOKEN_TYP, identity=Identity.generate())
    return f"{header}.{own.split('.')[1]}.{signature}"
