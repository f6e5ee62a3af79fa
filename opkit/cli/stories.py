"""What the commands that tell stories share: which there are, where they lie, on what network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opkit.cli import exits
from opkit.cli.failing import Mistake

if TYPE_CHECKING:
    from opkit.story import Flow


ON_ITS_OWN = "end that first, or leave --devnet out: then it is told on a network of its own"
"""What to do where a story is told already."""


def check_profile(profile: str) -> None:
    """Refuse a profile that there is not; an empty one is left to choose.

    Raises:
        Mistake: there is none of this name.
    """
    from devnet.spec import PROFILES

    if profile not in ("", *PROFILES):
        raise Mistake(f"there is no profile {profile!r}", hint=" or ".join(PROFILES))


def check_name(name: str) -> None:
    """Refuse a name that no devnet can have: it becomes a folder's.

    Raises:
        Mistake: it is none.
    """
    from devnet.spec import NAME

    if not re.fullmatch(NAME, name):
        raise Mistake(f"{name!r} is no name for a devnet", hint="use a-z, 0-9 and hyphens")


def check_database(url: str) -> None:
    """Refuse a URL that names no PostgreSQL server, or carries a password; empty means SQLite.

    Raises:
        DevnetError: it does.
    """
    if url:
        from devnet.databases import check_server

        check_server(url)


def choose_flows(names: tuple[str, ...], profile: str) -> list[Flow[Any]]:
    """Return the flows to tell: those named, or all that the profile can show.

    Raises:
        Mistake: there is no such flow, or it does not apply to this network (exit code 3).
    """
    from devnet.company import PROCESSES
    from flows import FLOWS
    from opkit.story import NotApplicable

    unknown = [name for name in names if name not in FLOWS]
    if unknown:
        raise Mistake(f"there is no flow {', '.join(unknown)}", hint=f"flows: {', '.join(FLOWS)}")
    chosen = []
    for name in dict.fromkeys(names or FLOWS):
        try:
            FLOWS[name].check_applies(profile=profile, capabilities=PROCESSES)
        except NotApplicable as lacking:
            if names:
                raise Mistake(str(lacking), code=exits.NOT_APPLICABLE) from lacking
            continue
        chosen.append(FLOWS[name])
    if not chosen:
        raise Mistake(f"no flow applies to profile {profile!r}", code=exits.NOT_APPLICABLE)
    return chosen


def smallest_profile(names: tuple[str, ...]) -> str:
    """Return the network of fewest nodes that can show all of these flows.

    One that there is not is no reason for a greater network: `choose_flows` says so.
    """
    from devnet.spec import PROFILES
    from flows import FLOWS

    named = [FLOWS[name] for name in names if name in FLOWS]
    shown = (each for each in PROFILES if all(each in flow.profiles for flow in named))
    return next(shown, PROFILES[-1])


def notebooks_folder() -> Path:
    """Return the folder of story notebooks, in a checkout or an installation.

    Raises:
        Mistake: it is not there.
    """
    from flows.files import folder_of

    try:
        return folder_of("notebooks")
    except FileNotFoundError as missing:
        raise Mistake(
            str(missing),
            hint="install the wheel again, or run from a checkout",
            code=exits.NOT_APPLICABLE,
        ) from missing
