"""Modules, by a client: the endpoints, and the hash checked again on this side."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from opkit.proof.cid import cid_of
from opkit.wire.base import Cid, MemberId
from opkit.wire.compute import (
    DEPLOY,
    GET_BLOB,
    GET_MODULE,
    LIST_MODULES,
    DeployModule,
    GetBlob,
    GetModule,
    ListModules,
    ModuleInfo,
)
from opkit.wire.errors import Fault

if TYPE_CHECKING:
    from opkit.client.node import NodeClient


class WasmCalls:
    """The modules of one node."""

    def __init__(self, client: NodeClient) -> None:
        """Call by this client."""
        self._client = client

    async def deploy(self, module: bytes, *, name: str) -> ModuleInfo:
        """Have the node keep a module and return what it is known by.

        Raises:
            BodyOversize, ModuleInvalid, StorageFull: see `compute.deploy`.
            Fault: the node gave it another name than its hash.
        """
        info = await self._client.call(DEPLOY, DeployModule(name=name, module=module))
        if info.wasm_hash != cid_of(module):
            raise self._fault(f"it calls the module {info.wasm_hash}, which is not its hash")
        return info

    async def get(self, wasm_hash: str) -> ModuleInfo:
        """Return a module's metadata.

        Raises:
            HashMalformed, ModuleUnknown: see `compute.module`.
        """
        return await self._client.call(GET_MODULE, GetModule(wasm_hash=wasm_hash))

    async def fetch(self, cid: Cid) -> bytes:
        """Return the bytes of this name, hashed again here.

        Raises:
            HashMalformed, BlobUnknown: see `compute.get-blob`.
            Fault: the node answered with other bytes.
        """
        content = (await self._client.call(GET_BLOB, GetBlob(cid=cid))).content
        if cid_of(content) != cid:
            raise self._fault(f"it answered with bytes that are not {cid}")
        return content

    async def list(self, owner: MemberId | str = "") -> AsyncGenerator[ModuleInfo, None]:
        """Return the node's modules, oldest first, of one owner if given."""
        after = ""
        while True:
            page = await self._client.call(LIST_MODULES, ListModules(owner=owner, after=after))
            for module in page.modules:
                yield module
            if not page.next_after:
                return
            after = page.next_after

    def _fault(self, why: str) -> Fault:
        return Fault(where=self._client.url, incident="", why=why)
