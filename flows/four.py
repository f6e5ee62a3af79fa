"""A report that shows what it rests on.

Finger Lakes tells those who fund its cooperatives how they do. Zuri, who audits them, reads
their books with tokens that change nothing. She gathers what each of them has signed and follows
every link herself. A proof that nobody shows her stays a gap. Each figure of her report leads to
all that it rests on.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flows.four_acts import (
    BILL,
    BRIGHT,
    CDN,
    COOPS,
    DOLLARS,
    FELIX,
    GWEN,
    HARBOR,
    HOURS,
    KEEPERS,
    NODES,
    ON_THE_ROOF,
    RIVER,
    ROSA,
    SHARES,
    SURPLUS,
    THEO,
    ZURI,
    bill_of,
    fee,
    forged,
    gathered,
    label,
    lengths_of,
    may_write,
    nothing_in,
    of,
    open_books,
    pass_something,
    reader,
    reads_at,
    roof_of,
    shares_of,
    with_,
    writes,
)
from flows.four_say import SAY
from flows.four_sums import Sum, sums_of_all
from flows.modules import stamped
from flows.money import said
from flows.patronage import as_input
from flows.three_acts import PARTIES, counted, put_to_vote, terms_of
from flows.voting import (
    VOTING_DAYS,
    WINDOW_DAYS,
    all_yes,
    closed,
    drafted,
    executed,
    opened,
    vote,
)
from opkit.proof import jws
from opkit.proof.audited import AuditView, examine_audit
from opkit.proof.checks import Check
from opkit.proof.figures import FIGURE_COLUMNS, figures_csv, figures_of, resolves
from opkit.story import AuditProof, Evidence, Flow, World, expect, refused, same, that
from opkit.wire.audit import AUDIT_SCOPES, AuditFile, Figure
from opkit.wire.clearing import Exchange
from opkit.wire.compute import ReceiptBundle
from opkit.wire.deciding import RollCallNotYours
from opkit.wire.endpoint import Scope
from opkit.wire.gateway import ScopeMissing
from opkit.wire.governance import (
    LEDGER_SETTLE,
    LIST_VOTES,
    PROPOSE,
    ListVotes,
    ProposalView,
    Propose,
)
from opkit.wire.ledger import (
    LEDGER_POST,
    LEDGER_TRIAL_BALANCE,
    AskTrialBalance,
    Entry,
    Settle,
    SettleLine,
)
from opkit.wire.membership import VISITORS, RoleInsufficient
from opkit.wire.votes import DistributionEffect, SpendEffect


@dataclass
class Audit:
    """What the steps hand on to each other."""

    roof: ProposalView | None = None
    shares: ProposalView | None = None
    agreeing: dict[str, ProposalView] = field(default_factory=dict)
    paid: list[Entry] = field(default_factory=list)
    passed: Exchange | None = None
    bill: Entry | None = None
    receipt: ReceiptBundle | None = None
    file: AuditFile | None = None
    view: AuditView | None = None

    @property
    def gathered(self) -> AuditFile:
        """All that Zuri was shown."""
        assert self.file is not None, "nothing was gathered yet"
        return self.file

    @property
    def audited(self) -> AuditView:
        """The same, once she has followed every link."""
        assert self.view is not None, "nothing was verified yet"
        return self.view

    @property
    def withheld(self) -> Entry:
        """The entry whose receipt nobody shows."""
        assert self.bill is not None, "nothing was booked yet"
        return self.bill

    @property
    def proposals(self) -> tuple[ProposalView, ProposalView]:
        """What Harbor Homes and BrightWorks decided on."""
        assert self.roof is not None and self.shares is not None, "nothing was proposed yet"
        return self.roof, self.shares


flow: Flow[Audit] = Flow(
    name="4",
    title="A report that shows what it rests on",
    story=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
    memory=Audit,
    notebook="flow_4_audit.ipynb",
    profiles=("federation",),
    needs=frozenset({"pass_time"}),
    disturbs=frozenset({"clock"}),
)


@flow.prepare
async def they_decide(world: World, story: Audit) -> None:
    """Three of them vote: on a roof, on a surplus, and two of them on an agreement."""
    await open_books(world)
    terms = await terms_of(world, text=f"For the audit, as told under {label(world)}.")
    for coop in PARTIES:
        story.agreeing[coop] = await put_to_vote(world, coop, terms, name="audited")
    signed = await drafted(
        world,
        ROSA,
        roof_of(world),
        proposal_id=f"audited-roof-{label(world)}",
        title="Roof repair",
        text="The roof leaks.",
    )
    story.roof = await opened(world, ROSA, signed)
    signed = await drafted(
        world,
        GWEN,
        shares_of(world),
        proposal_id=f"audited-shares-{label(world)}",
        title="Surplus of the first quarter",
        text="By hours.",
    )
    story.shares = await opened(world, GWEN, signed)
    await vote(world, story.roof, ON_THE_ROOF)
    await vote(world, story.shares, all_yes(*HOURS))
    await world.pass_time(days=VOTING_DAYS)
    story.roof = await closed(world, ROSA, story.roof)
    story.shares = await closed(world, GWEN, story.shares)
    for coop, view in story.agreeing.items():
        story.agreeing[coop] = await counted(world, view)


@flow.prepare
async def they_do_it(world: World, story: Audit) -> None:
    """A day later roofer and members are paid; the two sign, exchange 40 credits, and settle."""
    await world.pass_time(days=WINDOW_DAYS)
    roof, shares = story.proposals
    assert isinstance(roof.effect, SpendEffect), "a payment was decided"
    done = await executed(world, FELIX, roof, roof.effect)
    assert done.entry is not None, "a payment posts an entry"
    assert isinstance(shares.effect, DistributionEffect), "a distribution was decided"
    settled = Settle(
        coop=BRIGHT,
        proposal=shares.proposal,
        from_account=shares.effect.from_account,
        unit=SHARES,
        lines=tuple(
            SettleLine(account=line.account, amount=line.amount) for line in shares.effect.lines
        ),
    )
    story.paid = [done.entry, await world.client(BRIGHT, GWEN).call(LEDGER_SETTLE, settled)]
    story.passed = await pass_something(world, story.agreeing)


@flow.prepare
async def theo_keeps_a_receipt(world: World, story: Audit) -> None:
    """Theo has BrightWorks' node compute, books the bill, and keeps the receipt to himself."""
    theo = world.client(RIVER, THEO)
    program = await theo.wasm.deploy(stamped("patronage", f"4 {world.run_id}"), name="patronage")
    names = {who.split("/")[1]: hours for who, hours in HOURS.items()}
    task = await theo.compute.submit(
        program.wasm_hash,
        as_input(surplus=SURPLUS, hours=names),
        executor=world.node(BRIGHT).did,
    )
    story.receipt = (await task.result()).bundle
    story.bill = await bill_of(world, jws.record_id(story.receipt.receipt))


@flow.step("EVIDENCE_GATHERED", say=SAY["EVIDENCE_GATHERED"])
async def zuri_reads_all(world: World, story: Audit) -> Evidence:
    """Zuri of Finger Lakes reads the books of all four cooperatives. Her tokens can only read."""
    checks = []
    for coop in COOPS:
        granted = await reader(world, coop).login(scopes=AUDIT_SCOPES)
        checks.append(
            same(
                f"her token at {coop} is for",
                expected=", ".join(sorted(AUDIT_SCOPES)),
                actual=", ".join(sorted(granted.scopes)),
            )
        )
    story.file = file = await gathered(world)
    for coop in COOPS:
        counted = await world.client(coop, KEEPERS[coop]).call(
            LEDGER_TRIAL_BALANCE, AskTrialBalance(coop=coop)
        )
        checks += [
            same(
                f"{coop}, entries by its own books",
                expected=counted.sequence,
                actual=len(of(file, coop).entries),
            ),
            that(f"{coop}, its journal covers the last one", of(file, coop).tie is not None),
        ]
    roof = story.proposals[0]
    with refused(RollCallNotYours, coop=HARBOR) as secret:
        ask = ListVotes(coop=HARBOR, proposal_id=roof.proposal_id)
        await reader(world, HARBOR).call(LIST_VOTES, ask)
    return expect(
        *checks,
        secret.check,
        *_between(story, file),
        entries={coop: len(of(file, coop).entries) for coop in COOPS},
        decisions={coop: len(of(file, coop).decisions) for coop in COOPS},
        agreements={coop: len(of(file, coop).agreements) for coop in COOPS},
        exchanges={coop: len(of(file, coop).exchanges) for coop in COOPS},
        who_voted_how=secret.problem,
    )


def _between(story: Audit, file: AuditFile) -> Iterable[Check]:
    """Yield the checks that both parties showed what they agreed on, and what passed."""
    assert story.passed is not None, "nothing has passed between them"
    for coop in PARTIES:
        shown = of(file, coop)
        agreed = {each.agreement for each in shown.agreements}
        passed = {jws.record_id(each.offer) for each in shown.exchanges}
        yield that(f"{coop}, its agreement", story.passed.legs[0].agreement in agreed)
        yield that(f"{coop}, what passed", story.passed.hash in passed)


@flow.step("CHAINS_VERIFIED", say=SAY["CHAINS_VERIFIED"])
async def link_by_link(world: World, story: Audit) -> Evidence:
    """Zuri follows every link herself. She calls decisions attested: she has not seen the votes."""
    story.view = view = examine_audit(story.gathered, genesis=world.genesis)
    cut = with_(story.gathered, BRIGHT, entries=of(story.gathered, BRIGHT).entries[:-1])
    last = of(story.gathered, HARBOR).entries[-1]
    changed = with_(
        story.gathered,
        HARBOR,
        entries=(*of(story.gathered, HARBOR).entries[:-1], forged(last)),
    )
    roof, shares = (
        (HARBOR, story.proposals[0].decision, story.paid[0]),
        (BRIGHT, story.proposals[1].decision, story.paid[1]),
    )
    return expect(
        that(
            "every link holds, from the genesis",
            view.verdict.status == "verified",
            expected="verified",
            actual=", ".join(each.name for each in view.verdict.failures) or view.verdict.status,
        ),
        *_each_coop(view),
        *_attested(view, *roof),
        *_attested(view, *shares),
        *_notices(world, cut, "announced-place", "an entry left out is found"),
        *_notices(world, changed, "chain", "an entry changed by one is found"),
        links={coop: len(audited.checks) for coop, audited in view.coops.items()},
    )


def _each_coop(view: AuditView) -> Iterable[Check]:
    """Yield the check of each coop's links, all together."""
    for coop, audited in view.coops.items():
        bad = [check.name for check in audited.checks if not check.ok]
        yield that(
            f"{coop}, {len(audited.checks)} links",
            bool(audited.checks) and not bad,
            expected="all hold",
            actual=", ".join(bad) or "all hold",
        )


def _attested(view: AuditView, coop: str, decision: str | None, entry: Entry) -> Iterable[Check]:
    """Yield the checks that an entry rests on its decision, as it left the coop."""
    known = view.coops[coop]
    cause = entry.cause.id if entry.cause else ""
    yield same(f"{coop}, what the payment cites", expected=decision or "", actual=cause)
    yield that(f"{coop}, that decision was attested", cause in known.decisions)
    figure = _named(figures_of(view), coop, "paid-by-decision")
    yield same(f"{coop}, what was paid is", expected="attested", actual=_stands(figure))


def _notices(world: World, file: AuditFile, check: str, what: str) -> Iterable[Check]:
    """Yield the check that a copy which lies is found out, and by what."""
    failed = examine_audit(file, genesis=world.genesis).verdict.failures
    names = [each.name.partition(", ")[2] for each in failed]
    yield that(what, check in names, expected=check, actual=", ".join(names) or "nothing")


def _named(figures: Sequence[Figure], coop: str, name: str) -> Figure | None:
    of_coop = (each for each in figures if each.coop == coop and each.name.startswith(name))
    return next(of_coop, None)


def _stands(figure: Figure | None) -> str:
    return "nothing" if figure is None else figure.standing


def _rests_on(figure: Figure | None, hash_: str) -> bool:
    return figure is not None and any(ref.hash == hash_ for ref in figure.rests_on)


@flow.step("GAP_REPORTED", say=SAY["GAP_REPORTED"])
async def theo_shows_nothing(world: World, story: Audit) -> Evidence:
    """Theo's bill names a receipt that nobody shows. Zuri reports the gap, and counts it apart."""
    view, bill = story.audited, story.withheld
    mine = [gap for gap in view.gaps if gap.cited_by == bill.hash]
    figures = figures_of(view)
    apart = _named(figures, RIVER, "unproven/receipt")
    elsewhere = [
        each.name
        for each in figures
        if each is not apart and each.unit != "-" and _rests_on(each, bill.hash)
    ]
    assert story.receipt is not None and bill.cause is not None, "the bill names its receipt"
    handed = examine_audit(
        with_(story.gathered, RIVER, receipts=(story.receipt,)), genesis=world.genesis
    )
    left = [gap for gap in handed.gaps if gap.cited_by == bill.hash]
    return expect(
        same("gaps at this entry", expected=1, actual=len(mine)),
        same("what is missing", expected="receipt", actual=mine[0].kind if mine else "nothing"),
        same("which one", expected=bill.cause.id, actual=mine[0].named if mine else "none"),
        that(
            "nothing else is missing",
            {gap.kind for gap in view.gaps} == {"receipt"},
            expected="receipts alone",
            actual=", ".join(f"{gap.kind} of {gap.coop}" for gap in view.gaps),
        ),
        same("its figure stands as", expected="gap", actual=_stands(apart)),
        that("it has the bill", _rests_on(apart, bill.hash)),
        that("no other sum has it", not elsewhere, actual=", ".join(elsewhere) or "none"),
        same("once Theo hands it over, gaps there", expected=0, actual=len(left)),
        same("and what he handed over verifies", expected="verified", actual=handed.verdict.status),
        gap=mine[0] if mine else None,
        bill=said(BILL, DOLLARS),
    )


@flow.step("FIGURES_LINKED", say=SAY["FIGURES_LINKED"])
async def each_figure_leads_to_it(_: World, story: Audit) -> Evidence:
    """Each figure of Zuri's report names what it rests on, and comes out the same from that."""
    file, view = story.gathered, story.audited
    figures = figures_of(view)
    lost = [f"{each.coop} {each.name}" for each in figures if not _linked(each, view)]
    told = {(each.coop, each.name): _as_sum(each) for each in figures}
    again = sums_of_all(file)
    names = sorted(told.keys() | again.keys())
    wrong = [" ".join(each) for each in names if told.get(each) != again.get(each)]
    table = figures_csv(figures)
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8"))))
    paid = _named(figures, HARBOR, "paid-by-decision")
    return expect(
        that("each leads to evidence that was gathered", not lost, actual=", ".join(lost)),
        that("each comes to the same, made again here", not wrong, actual=", ".join(wrong)),
        that(
            "the roof is in what Harbor Homes paid",
            _rests_on(paid, story.paid[0].hash),
        ),
        same("rows of the table", expected=len(figures), actual=len(rows)),
        same("its columns", expected=list(FIGURE_COLUMNS), actual=list(rows[0])),
        that(
            "the table says the same",
            [row["amount"] for row in rows] == [str(each.amount) for each in figures],
        ),
        that("made again it is the same", figures_csv(figures_of(view)) == table),
        proofs=[AuditProof(file)],
        figures=[
            {
                "coop": each.coop,
                "figure": each.label,
                "amount": each.amount,
                "unit": each.unit,
                "stands": each.standing,
                "rests on": len(each.rests_on),
            }
            for each in figures
        ],
    )


def _as_sum(figure: Figure) -> Sum:
    """Return what a figure says, and what of its own coop it says it of."""
    kind = {"entries": "journal", "decisions-accepted": "decision"}.get(figure.name, "ledger")
    named = [ref.hash for ref in figure.rests_on if (ref.coop, ref.kind) == (figure.coop, kind)]
    return Sum(amount=figure.amount, rests_on=frozenset(named))


def _linked(figure: Figure, view: AuditView) -> bool:
    """Return whether a figure leads to evidence, unless it is of nothing."""
    if not figure.rests_on:
        return figure.amount == 0
    return all(resolves(ref, view) for ref in figure.rests_on)


@flow.step("AUDITOR_WRITE_REFUSED", adversarial=True, say=SAY["AUDITOR_WRITE_REFUSED"])
async def zuri_writes_nothing(world: World, _: Audit) -> Evidence:
    """With tokens to read, Zuri asks all five nodes for each write there is. None lets her."""
    checks, problems = [], {}
    before = await lengths_of(world)
    asked, met = writes(), {org: Counter[str]() for org in NODES}
    signed = await drafted(
        world,
        ROSA,
        SpendEffect(
            from_account=f"{HARBOR}:reserve",
            to_account=f"{HARBOR}:vendor/audit",
            unit=DOLLARS,
            amount=100,
            memo="For the auditor",
        ),
        proposal_id=f"audit-{label(world)}",
        title="For the auditor",
        text="Nobody asked for it.",
    )
    for org in NODES:
        zuri = reader(world, org)
        with refused(ScopeMissing, needs=Scope.LEDGER_WRITE_OWN.value) as post:
            await zuri.call(LEDGER_POST, fee(world, org if org in COOPS else HARBOR))
        with refused(ScopeMissing, needs=Scope.GOVERNANCE_WRITE.value) as propose:
            await zuri.call(PROPOSE, Propose(coop=HARBOR, proposal=signed))
        checks += [post.check, propose.check]
        for endpoint in asked:
            with refused(ScopeMissing, needs=endpoint.scope) as write:
                await zuri.call(endpoint, nothing_in(endpoint))
            met[org][write.refusal.code] += 1
        problems[org] = post.problem
    for coop in (each for each in COOPS if each != CDN):
        with refused(RoleInsufficient, scope=Scope.LEDGER_WRITE_OWN.value) as token:
            wanted = (*AUDIT_SCOPES, Scope.LEDGER_WRITE_OWN)
            await world.client(coop, ZURI, scopes=wanted).login(scopes=wanted)
        checks.append(token.check)
        problems[f"a token to write at {coop}"] = token.problem
    at_most = await may_write(world)
    after = await lengths_of(world)
    return expect(
        *checks,
        *(
            same(f"{org}, refused", expected={ScopeMissing.code: len(asked)}, actual=dict(each))
            for org, each in met.items()
        ),
        *(
            same(f"{org}, by whatever token, beyond visitors", expected="", actual=", ".join(more))
            for org, more in at_most.items()
            if org != CDN
        ),
        same("entries in all books, before and after", expected=before, actual=after),
        asked_at_each_node=[each.name for each in asked],
        her_tokens={org: reads_at(org) for org in NODES},
        other_tokens_of_hers_may_also={**at_most, "as any visitor": sorted(VISITORS)},
        refusals=problems,
    )
