"""`opkit login`: a token for tools that are not opkit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import exits, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.wire.endpoint import Scope
    from opkit.wire.membership import Token

app = out.group()


@app.command()
@addressed
def login(
    address: Address,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="A scope such as wasm:read; repeat it. Default: all you may."),
    ] = None,
    ttl_ms: Annotated[
        int, typer.Option(min=1_000, max=3_600_000, help="How long the token lives.")
    ] = 3_600_000,
    as_json: out.Json = False,
) -> int:
    """Get a token by signing the node's challenge, and keep it in a file (mode 0600).

    opkit itself needs no login: it signs when it must. The token is not printed.

    Example: opkit login --as mara --scope wasm:read
    """
    target = address.resolve()
    if target.identity is None:
        raise Mistake("a login needs an identity", hint="--identity NAME, or a file")
    token = asyncio.run(_login(target, scope, ttl_ms))
    path = target.tokens / f"{target.did[-12:]}-{token.member_id.replace('/', '.')}.token"
    home.write_private(path, token.token.encode("ascii"))
    said = {
        "file": str(path),
        "member_id": token.member_id,
        "scopes": [scope.value for scope in token.scopes],
        "expires_at_ms": token.expires_at_ms,
        "url": target.url,
    }
    out.show(said, as_json=as_json, human=lambda on: out.facts(on, said))
    return exits.DONE


async def _login(target: Target, scopes: list[str] | None, ttl_ms: int) -> Token:
    async with target.client() as client:
        return await client.login(scopes=_scopes(scopes), ttl_ms=ttl_ms)


def _scopes(names: list[str] | None) -> tuple[Scope, ...] | None:
    from opkit.wire.endpoint import Scope

    if not names:
        return None
    known = {scope.value for scope in Scope}
    for name in names:
        if name not in known:
            raise Mistake(f"there is no scope {name!r}", hint=f"one of {', '.join(sorted(known))}")
    return tuple(Scope(name) for name in names)
