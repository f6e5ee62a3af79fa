"""Serving blobs: whether they are here, and their bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from nodeimpl.kernel.blobs import BlobStore
from nodeimpl.p2p.handlers import Handlers, Streamed
from opkit.proof.cid import is_cid
from opkit.wire.base import Did
from opkit.wire.compute import BlobUnknown, HashMalformed
from opkit.wire.peer import FETCH_BLOB, HAVE_BLOB, BlobHeader, BlobOffer, FetchBlob, HaveBlob

PIECE_BYTES = 2**20
"""How much of a blob is read and sent at once: one thread hop per piece."""


def serve_blobs(handlers: Handlers, blobs: BlobStore) -> None:
    """Let `handlers` answer for what `blobs` keeps."""

    async def have(_peer: Did, ask: HaveBlob) -> BlobOffer:
        """Say whether it is here. Refuses: HashMalformed."""
        return BlobOffer(size_bytes=_size(blobs, ask.cid))

    async def fetch(_peer: Did, ask: FetchBlob) -> Streamed[BlobHeader]:
        """Give the bytes. Refuses, in this order: HashMalformed, BlobUnknown."""
        size = _size(blobs, ask.cid)
        if size is None or size > ask.size_bytes_max:
            raise BlobUnknown(cid=ask.cid)
        return Streamed(BlobHeader(size_bytes=size), pieces_of(blobs.path(ask.cid)))

    handlers.serve(HAVE_BLOB, have)
    handlers.serve(FETCH_BLOB, fetch)


def _size(blobs: BlobStore, cid: str) -> int | None:
    if not is_cid(cid):
        raise HashMalformed(value=cid)
    return blobs.size(cid)


async def pieces_of(path: Path) -> AsyncIterator[bytes]:
    """Yield a file's bytes; a thread reads the next piece while one is sent.

    The file is open only within the thread, so that no cancellation can leave it open.
    """
    at = 0
    coming = _start(path, at)
    try:
        while piece := await coming:
            at += len(piece)
            coming = _start(path, at)
            yield piece
    finally:
        await asyncio.gather(coming, return_exceptions=True)


def _start(path: Path, at: int) -> asyncio.Task[bytes]:
    return asyncio.create_task(asyncio.to_thread(_read, path, at))


def _read(path: Path, at: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(PIECE_BYTES)
