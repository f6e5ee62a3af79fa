"""The root command: which groups there are, and how a mistake is told.

Importing this module imports Typer and nothing of the kit: a group's module is imported when one
of its commands is run, and what that needs is imported inside the command.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import core
from typer import main as typer_main

from opkit import __version__
from opkit.cli import exits
from opkit.cli.failing import Explained, explain, tell

if TYPE_CHECKING:
    from typer._click import Command, Context

GROUPS = {
    "demo": "Tell the demo's stories on a network of real nodes and write a signed report.",
    "doctor": "Say what is wrong on this machine, and what to do about it.",
    "dash": "Serve the console in a browser: live pages of a network, presenting, looking on.",
    "devnet": "Run a network of real nodes on this machine, look at it, do it harm, mend it.",
    "net": "Run hundreds of nodes in virtual time, in bad weather, and see whether they hold.",
    "peers": "Whom a node is connected with, and how these links do.",
    "card": "Agent cards: publish, update, revoke, resolve, verify, show.",
    "dht": "Records that the network keeps by name: get, put, provide, providers, route.",
    "name": "Names under a coop: register, renew, withdraw, get, list, import.",
    "ledger": "A coop's ledger: history, position, accounts, entry, statement, post, audit.",
    "hold": "Money that is set aside in a ledger: create, list, show, post, void.",
    "service": "Services that members named, found from any node, proven here: find.",
    "node": "A single node: init, run, status, backup, restore, new-generation.",
    "identity": "Make and show identities: new, show.",
    "login": "Get a token from a node, for tools that are not opkit.",
    "member": "Members of a node: add, revoke, rekey, list.",
    "proposal": "What a coop decides: open, list, show, vote, delegate, close, cancel, execute.",
    "decision": "What was decided, counted again offline: fetch, verify, omission.",
    "agreement": "What coops agree on: propose, sign, show, list, verify, end, bring.",
    "exchange": "What coops exchange under an agreement: offer, show, list.",
    "clearing": "How coops stand with each other: positions, settle, net.",
    "federation": "Coops that belong together: members, register, vouch, attest, revoke, forks.",
    "audit": "What coops show to their auditor: gather, verify, report.",
    "wasm": "Modules by their hash: deploy, get, list.",
    "compute": "Run a module as a task: submit, status, cancel.",
    "grant": "What a node may submit in your name, for A2A clients: give, list, revoke.",
    "receipt": "Check what an executor signed: verify, replay.",
    "rehearse": "Say before a demo whether it will hold: go or no-go, with reasons.",
    "record": "Tell a story without an audience; write one page that shows it again.",
    "report": "Check a whole run folder, or a replay: verify.",
    "events": "Watch what a node does: tail.",
    "journal": "Check a node's whole journal, keep proofs of its entries: verify, prove.",
}
"""Every command group by name, with its one-line help; `opkit.cli.<name>.app` is the group."""

HELP_NAMES = ["-h", "--help"]
"""What asks for help, everywhere."""

_HEADING = "Examples:"
_EXAMPLE = re.compile(r"(Examples?:)?\s*(opkit .*)?.*")
"""Matches every line: the heading of examples, and an example, if they are in it."""

_EPILOG = """\
Examples:

  opkit demo                       tell all stories, write a report

  opkit devnet up                  start three nodes that stay

  opkit devnet status              who runs, who is connected to whom

  opkit report verify DIR          check a report, every file and every proof

Exit codes: 0 done, 1 failed, 2 usage, 3 not applicable, 4 consistent but signer unknown, 130
interrupted. Every command takes --json. State lives under $OPKIT_HOME, by default the user's
state directory."""


class _LazyGroup(core.TyperGroup):
    """Knows every group's name and help; loads a group when it is the one that is run."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, help_text in GROUPS.items():
            self.commands[name] = core.TyperCommand(name=name, help=help_text)

    def get_params(self, ctx: Context) -> Any:
        """Return the options of `opkit` itself, named as those of its commands are."""
        options = super().get_params(ctx)
        for option in options:
            _say_plainly(option)
        return options

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Return the real command in place of its name and help."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in GROUPS:
            command = _group(name)
            command.name = name
            _let_flow(command)
        return name, command, rest


def _group(name: str) -> Any:
    """Return the real command of a group."""
    return typer_main.get_command(import_module(f"opkit.cli.{name}").app)


def _let_flow(command: Any) -> None:
    """Let the help of a command, and of those below it, be broken where the terminal ends."""
    command.help = flowing(command.help or "") or None
    context = typer.Context(command, help_option_names=HELP_NAMES)
    for option in (*command.params, command.get_help_option(context)):
        _say_plainly(option)
    for below in getattr(command, "commands", {}).values():
        _let_flow(below)


def _say_plainly(option: Any) -> None:
    """Name what an option takes in a word that is not Python's; a switch takes nothing."""
    if isinstance(option, core.TyperOption) and option.metavar is None:
        kind = option.type_descriptor
        if option.is_flag:
            option.metavar = ""
        elif kind.is_path:
            option.metavar = "PATH"
        else:
            option.metavar = "N" if kind.annotation in (int, float) else "TEXT"


def flowing(text: str) -> str:
    """Return a help text with one line for each paragraph: sources are wider than terminals.

    Examples stay lines of their own, below one heading, with nothing between them.
    """
    lines: list[str] = []
    below_heading = False
    for line in text.split("\n"):
        found = _EXAMPLE.fullmatch(line)
        assert found is not None, "it matches every line"
        heading, example = found.groups()
        before = lines[-1] if lines else ""
        if heading and _HEADING not in lines:
            # Typer takes the margin of a text from below its first line: let that not be this one.
            lines += ["", "", _HEADING] if len(lines) == 2 else [_HEADING]
        below_heading = bool(heading) or (below_heading and (bool(example) or not line))
        if example and (below_heading or line.startswith(" ")):
            if not before and len(lines) > 1 and lines[-2].startswith(("  ", _HEADING)):
                lines.pop()
            lines.append(f"  {example}")
        elif not heading and before and line and not before.startswith(("  ", _HEADING)):
            lines[-1] = f"{before} {line}"
        elif not heading:
            lines.append(line)
    return "\n".join(lines)


app = typer.Typer(
    cls=_LazyGroup,
    name="opkit",
    help="Tell, run and verify demo stories on a cooperative peer-to-peer network.",
    epilog=flowing(_EPILOG),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": HELP_NAMES},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"opkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print and end."),
    ] = False,
) -> None:
    """Tell, run and verify demo stories on a cooperative peer-to-peer network."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code (`opkit.cli.exits`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = typer_main.get_command(app)
    try:
        done = command.main(args=arguments, prog_name="opkit", standalone_mode=False)
    except typer.Abort:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - the process edge: what is not explained is raised.
        return _fail(error, command, arguments)
    if done == exits.INTERRUPTED:
        return _interrupted()
    return done if isinstance(done, int) else exits.DONE


def _interrupted() -> int:
    """Say so: a prompt that comes back without a word looks like success."""
    sys.stderr.write("opkit: interrupted\n")
    return exits.INTERRUPTED


def _meant(command: Any, arguments: Sequence[str]) -> str:
    """Return the command that somebody meant, as far as the words name one."""
    words = ["opkit"]
    for word in arguments:
        if word in getattr(command, "commands", {}):
            command = _group(word) if len(words) == 1 else command.commands[word]
            words.append(word)
    return " ".join(words)


def _fail(error: Exception, command: Any, arguments: Sequence[str]) -> int:
    as_json = "--json" in arguments
    shown = getattr(error, "format_message", None)
    if shown is not None:
        return _misused(error, shown(), meant=_meant(command, arguments), as_json=as_json)
    explained = explain(error)
    if explained is None:
        raise error
    tell(explained, as_json=as_json)
    return explained.code


def _misused(error: Any, message: str, *, meant: str, as_json: bool) -> int:
    """Tell of a command line that Typer could not read; of some it does not say whose it was."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return exits.USAGE  # Making the error has shown the help.
    where = context.command_path if context is not None else meant
    told = Explained(why=message, hint=f"{where} --help", code=exits.USAGE)
    tell(told, as_json=as_json)
    return exits.USAGE
