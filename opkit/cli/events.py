"""`opkit events`: what a node does, as it does it."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from opkit.cli import exits, looping, out
from opkit.cli.address import Address, Target, addressed
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.wire.events import Cursor, JournalEntry, JournalPage

app = out.group(
    """Watch what a node does: its journal, resumable without gaps.

    Examples:

      opkit events tail

      opkit events tail --follow --type compute.

      opkit events tail --after 1.42.6f1e…
    """
)


@app.callback()
def _group() -> None:
    """Watch what a node does: its journal, resumable without gaps."""


@app.command()
@addressed
def tail(
    address: Address,
    *,
    after: Annotated[str, typer.Option(help="A cursor: go on after it.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    kind: Annotated[str, typer.Option("--type", help="Only types that begin so.")] = "",
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=1_000_000, help="End after so many.")
    ] = 1_000_000,
    as_json: out.Json = False,
) -> int:
    """Print a node's journal, one event a line; JSON lines with --json.

    The last line on standard error is the cursor to go on from.

    Example: opkit events tail --node harbor-homes-cooperative --follow
    """
    cursor = looping.run(
        lambda: _tail(address.resolve(), _cursor(after), follow, kind, lines, as_json=as_json)
    )
    if cursor is not None:
        typer.echo(f"cursor {cursor}", err=True)
    return exits.DONE


def _cursor(text: str) -> Cursor | None:
    from pydantic import ValidationError

    from opkit.wire.events import Cursor

    if not text:
        return None
    try:
        return Cursor.parse(text)
    except (ValueError, ValidationError) as bad:
        raise Mistake(
            f"{text!r} is no cursor", hint="generation.sequence.hash, as `events tail` prints it"
        ) from bad


async def _tail(
    target: Target, after: Cursor | None, follow: bool, kind: str, lines: int, *, as_json: bool
) -> Cursor | None:
    cursor = after
    async with target.client() as client:
        reading = client.events(after) if follow else client.journal(after)
        async with aclosing(reading) as pages:
            async for page in pages:
                for entry in page.entries:
                    if not entry.type.startswith(kind):
                        continue
                    _print(entry, as_json=as_json)
                    lines -= 1
                    if lines <= 0:
                        return _after(entry, page)
                cursor = page.cursor
    return cursor


def _after(entry: JournalEntry, page: JournalPage) -> Cursor:
    """Return the place after an entry: where to go on when a page is not read to its end."""
    from opkit.wire.events import Cursor

    return Cursor(generation=page.cursor.generation, sequence=entry.sequence, hash=entry.hash)


def _print(entry: JournalEntry, *, as_json: bool) -> None:
    if as_json:
        out.line(entry.model_dump(mode="json"))
    else:
        typer.echo(_human(entry))


def _human(entry: JournalEntry) -> str:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
    said = " ".join(f"{key}={_short(value)}" for key, value in entry.body.items() if value != "")
    return f"{entry.sequence:>6}  {at}  {entry.type:<28} {said}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return ",".join(out.plain(str(one)) for one in value)
    return out.plain(out.shorten(str(value)))
