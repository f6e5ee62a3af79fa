"""One member at a desk: who signs with their own key, which this machine keeps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opkit.client import NodeClient, TaskResult
from opkit.lab.bars import progress
from opkit.proof.record import make_record
from opkit.views.amounts import DAY_MS
from opkit.views.reprdesk import member_html
from opkit.wire.compute import ModuleInfo, TaskLimits
from opkit.wire.genesis import Founder
from opkit.wire.overlay import PUBLISH, Published, PublishRecord
from opkit.wire.records import Carried, RecordName

if TYPE_CHECKING:
    from opkit.lab.desk import Desk


@dataclass(frozen=True, kw_only=True)
class MemberDesk:
    """A founding member by name. What they do is signed with their own key, never a node's."""

    member_id: str
    name: str
    title: str
    coop: str
    did: str
    _desk: Desk = field(repr=False)

    @classmethod
    def of(cls, desk: Desk, coop: str, founder: Founder) -> MemberDesk:
        """Return the founding member of a coop."""
        return cls(
            member_id=founder.member_id,
            name=founder.name,
            title=founder.title,
            coop=coop,
            did=founder.did,
            _desk=desk,
        )

    def client(self, at: str = "") -> NodeClient:
        """Return a client that speaks for them.

        Args:
            at: the node, by name or a beginning of it; their own coop's unless given.

        Raises:
            KeyError: there is no such node, or their key is not kept on this machine.
        """
        org = self._desk.nodes[at].org if at else self.coop
        return self._desk.world.client(org, self.member_id)

    async def deploy(self, module: bytes, *, name: str) -> ModuleInfo:
        """Put a module on their node and return what it is known by.

        Raises:
            BodyOversize, ModuleInvalid, StorageFull: see `compute.deploy`.
        """
        return await self.client().wasm.deploy(module, name=name)

    async def run(
        self,
        module: ModuleInfo | str,
        given: bytes | str = b"",
        *,
        at: str = "",
        limits: TaskLimits | None = None,
    ) -> TaskResult:
        """Have a module run, and return how that ended, with its checked receipt.

        Args:
            module: the module, or its hash.
            given: what it reads; text is sent as UTF-8.
            at: the node that runs it, by name or a beginning; their own node chooses unless given.
            limits: what the run may use at most.

        Raises:
            Refusal, Unreachable, Fault: as `TaskHandle.result`.
        """
        wasm_hash = module if isinstance(module, str) else module.wasm_hash
        async with progress(f"{self.name}'s task") as bar:
            handle = await self.client().compute.submit(
                wasm_hash,
                given.encode("utf-8") if isinstance(given, str) else given,
                executor=self._desk.nodes[at].did if at else None,
                limits=limits,
            )
            bar.say("accepted, waiting for its receipt")
            return await handle.result()

    async def note(self, label: str, text: str, *, days: int = 1) -> Published:
        """Have the network keep a note of theirs; a later one under the label replaces it.

        Args:
            label: what it is called among their notes; without a slash.
            text: what it says.
            days: for how long it stands.

        Raises:
            Refusal: as `PUBLISH` of `opkit.wire.overlay` says.
        """
        token = make_record(
            self._desk.world.member(self.member_id),
            network=self._desk.genesis.network,
            namespace="note",
            name=self.note_name(label),
            value={"text": text},
            at_ms=time.time_ns() // 1_000_000,
            term_ms=days * DAY_MS,
        )
        return await self.client().call(PUBLISH, PublishRecord(carried=Carried(jws=token)))

    def note_name(self, label: str) -> RecordName:
        """Return under which name the network keeps a note of theirs."""
        return f"{self.did}/{label}"

    def _repr_html_(self) -> str:
        return member_html(name=self.name, title=self.title, member_id=self.member_id, did=self.did)
