"""`opkit dash`: serve the console in a browser."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opkit import home
from opkit.cli import exits, looping, out, stories
from opkit.cli.dashing import browser_at, followed, granted, logged, run_file
from opkit.cli.failing import Mistake
from opkit.cli.stories import check_name, check_profile

if TYPE_CHECKING:
    from rich.console import Console

    from devnet.launch import Launched
    from devnet.state import DevnetState
    from opkit.dash.limits import Limits
    from opkit.dash.server import ConsoleServer

app = out.group()

DEFAULT_DEVNET = "default"
PORT = 8866
PRESENTERS_MAY = ["read", "tell", "chaos"]
VIEWERS_MAY = ["read"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PASSWORDS = {"presenter": "OPKIT_DASH_PASSWORD", "viewer": "OPKIT_DASH_VIEWER_PASSWORD"}


@app.command()
def dash(
    *,
    devnet: Annotated[
        str, typer.Option(help="The devnet; default: the one that runs, else one is started.")
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            help="If one is started: three nodes or the whole federation; with --devnet, start it."
        ),
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = PORT,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    base_url: Annotated[
        str, typer.Option(help="Path, or whole address, under which a reverse proxy shows it.")
    ] = "/",
    password: Annotated[
        bool, typer.Option("--password", help="Also let in who knows a password; asks for it.")
    ] = False,
    ready: Annotated[int, typer.Option(min=0, help="Kernels kept ready for each page.")] = 1,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address.")
    ] = False,
    as_json: out.Json = False,
) -> int:
    """Serve the console: live pages of a network, for presenters and for viewers who look on.

    Attaches to a running devnet, or starts one that ends with this command. Prints an address for
    presenters, who may tell flows and disturb the network, and one for viewers, who may not. Ctrl-C
    ends it.

    Examples:
      opkit dash

      opkit dash --devnet default --port 0 --no-browser

      opkit dash --base-url https://demo.example/opkit/
    """
    base, public = _place(base_url)
    limits = _limits(ready)
    passwords = _passwords(ask=password)
    screen = out.console(errors=True)
    state, launched = _network(
        devnet, profile, screen, quiet=as_json, check=lambda: _check_free(host, port)
    )
    try:
        asked = _Asked(
            host=host,
            port=port,
            base=base,
            public=public,
            passwords=passwords,
            limits=limits,
            browser=not no_browser and not as_json,
            as_json=as_json,
        )
        looping.run(lambda: _serve(asked, state))
    finally:
        if launched is not None:
            launched.down()
    return exits.DONE


@dataclass(frozen=True, kw_only=True)
class _Asked:
    host: str
    port: int
    base: str
    public: str
    passwords: dict[str, str]
    limits: Limits
    browser: bool
    as_json: bool


def _place(base_url: str) -> tuple[str, str]:
    """Return the base path with a slash at both ends, and the whole address if one was given."""
    found = re.fullmatch(r"(https?://[\w.:\[\]-]+)?((?:/[\w~-][\w.~-]*)*)/?", base_url, re.ASCII)
    if not base_url or found is None:
        raise Mistake(
            f"{base_url!r} is no place for a console",
            hint="a path such as /opkit/, or an address such as https://demo.example/opkit/",
        )
    base = f"{found[2]}/"
    return base, f"{found[1]}{base}" if found[1] else ""


def _limits(ready: int) -> Limits:
    """Return the limits of a console that keeps so many kernels ready for each page."""
    from opkit.dash.limits import limits_for, ready_max
    from opkit.views.nav import PAGES

    try:
        return limits_for(ready=ready, pages=len(PAGES))
    except ValueError as bad:
        raise Mistake(str(bad), hint=f"--ready {ready_max(pages=len(PAGES))}") from bad


def _passwords(*, ask: bool) -> dict[str, str]:
    """Return the passwords by role: from the environment, or asked for.

    They are taken out of the environment, for kernels inherit it.
    """
    found = {role: os.environ.pop(name, "") for role, name in PASSWORDS.items()}
    if ask and not any(found.values()):
        found["presenter"] = typer.prompt(
            "Presenters' password", hide_input=True, confirmation_prompt=True, err=True
        )
        found["viewer"] = typer.prompt(
            "Viewers' password (empty: none)",
            default="",
            show_default=False,
            hide_input=True,
            confirmation_prompt=True,
            err=True,
        )
    return {role: word for role, word in found.items() if word}


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken before a network is started for nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as bad:
        taken = bad.errno == errno.EADDRINUSE
        raise Mistake(
            f"port {port} of {host} is taken" if taken else f"cannot listen on {host}: {bad}",
            hint="choose another: --port 0 takes any free one",
            code=exits.FAILED,
        ) from bad


def _network(
    name: str, profile: str, screen: Console, *, quiet: bool, check: Callable[[], None]
) -> tuple[DevnetState, Launched | None]:
    """Return a running devnet, and what ends it if it was started here."""
    from devnet.state import is_running, list_devnets, load_state_of

    check_profile(profile)
    devnets = dict(list_devnets())
    running = [each for each, runs in devnets.items() if runs]
    if not name and len(running) > 1:
        among = ", ".join(running)
        raise Mistake(f"several devnets run: {among}", hint="say which one: --devnet NAME")
    chosen = name or (running[0] if running else DEFAULT_DEVNET)
    check_name(chosen)
    folder = home.devnet_folder(chosen)
    known = (folder / "state.json").exists()
    if name and not known and not profile:
        # Most likely a slip of the pen: nobody wants another network without saying of what kind.
        there = ", ".join(f"{each}{'' if runs else ' (stopped)'}" for each, runs in devnets.items())
        raise Mistake(
            f"there is no devnet called {name!r}",
            hint=f"there are: {there or 'none'}; to start one: --devnet {name} --profile three",
        )
    kept = load_state_of(folder).profile if known else ""
    if profile and kept and profile != kept:
        raise Mistake(f"devnet {chosen!r} is of profile {kept!r}", hint="leave --profile out")
    if known and is_running(folder):
        return load_state_of(folder), None
    check()
    launched = _launch(chosen, kept or profile or "three", screen, quiet=quiet)
    return load_state_of(launched.folder), launched


def _launch(name: str, profile: str, screen: Console, *, quiet: bool) -> Launched:
    """Start a devnet, and load the server's modules while it comes up."""
    from devnet.launch import launch

    if not quiet:
        screen.print(f"starting devnet {name} ({profile}); it ends with the console", markup=False)
    launched = launch(name=name, profile=profile, seed=7)
    try:
        import opkit.dash.server  # noqa: F401 - loaded here, where there is time to wait for

        launched.wait_ready()
    except BaseException:  # Ctrl-C included: a network half up must not stay.
        launched.down()
        raise
    return launched


async def _serve(asked: _Asked, state: DevnetState) -> None:
    """Serve until told to end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with logged(state.name) as (path, log):
        async with _console(asked, state, log) as server:
            presenter = _announce(server, asked, state, path)
            with browser_at(presenter) if asked.browser else nullcontext():
                await stop.wait()
            if not asked.as_json:
                sys.stderr.write("\nending\n")


@asynccontextmanager
async def _console(asked: _Asked, state: DevnetState, log: int) -> AsyncIterator[ConsoleServer]:
    """Open tokens, live state and server, and close them in the other order."""
    from opkit.dash.access import Keys, Role
    from opkit.dash.server import ConsoleServer, Settings
    from opkit.live.pages import open_page

    async with (
        granted(state, PRESENTERS_MAY) as presenters,
        granted(state, VIEWERS_MAY) as viewers,
        followed(state, viewers) as live,
    ):
        server = ConsoleServer(
            Settings(
                network=state.name,
                notebooks=notebooks_folder(),
                host=asked.host,
                port=asked.port,
                base=asked.base,
                public=asked.public,
                limits=asked.limits,
                log=log,
            ),
            keys=Keys(passwords={Role(name): word for name, word in asked.passwords.items()}),
            live=live,
            make_page=lambda name: open_page(name, live),
        )
        with run_file(state, presenters):
            await server.open()
            try:
                yield server
            finally:
                await server.close()


def notebooks_folder() -> Path:
    """Return the folder with one notebook for each page.

    Raises:
        Mistake: it is not there.
    """
    folder = stories.notebooks_folder() / "dashboards"
    if not folder.is_dir():
        raise Mistake(f"there is no folder {folder}", code=exits.NOT_APPLICABLE)
    return folder


def _announce(server: ConsoleServer, asked: _Asked, state: DevnetState, log: Path) -> str:
    """Print the addresses; return the presenters'."""
    from opkit.dash.access import Role

    presenter, viewer = server.address(Role.PRESENTER), server.address(Role.VIEWER)
    if asked.as_json:
        said = {"url": presenter, "viewer_url": viewer, "port": server.port}
        out.line({**said, "devnet": state.name, "log": str(log)})
        return presenter
    lines = [f"console of {state.name}", f"  present  {presenter}", f"  look on  {viewer}"]
    lines += [f"  log      {log}", "  end it   Ctrl-C"]
    if asked.host not in LOOPBACK and not asked.public:
        lines.append("  careful  plain HTTP: whoever is on the way can read it, tokens included")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return presenter
