"""Every event has a sentence; none says more than the event does."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import opkit.wire
from opkit.story.states import State
from opkit.views.sentences import Names, deed_told, event_told
from opkit.wire.events import EVENTS
from tests.opkit.views.sentences_said import BODIES, DID, NAMES

for _module in pkgutil.walk_packages(opkit.wire.__path__, "opkit.wire."):
    importlib.import_module(_module.name)


@pytest.mark.parametrize("type_", sorted(EVENTS))
def test_every_event_has_a_sentence_of_its_own(type_):
    body, sentence, tone = BODIES[type_]

    told = event_told(type_, body, org="bakery", names=NAMES)

    assert (told.sentence, told.tone) == (sentence, tone)


@pytest.mark.parametrize("type_", sorted(EVENTS))
def test_an_event_that_lacks_everything_is_told_all_the_same(type_):
    assert event_told(type_, {}, org="bakery", names=Names()).sentence


def test_an_event_of_a_later_version_is_told_by_its_name():
    told = event_told("ledger.hold-opened", {}, org="bakery", names=NAMES)

    assert told.sentence == "Bakery notes ledger: hold opened"


@pytest.mark.parametrize(
    ("outcome", "tone"),
    [
        ("fuel", State.REFUSED),
        ("time", State.REFUSED),
        ("memory", State.REFUSED),
        ("stack", State.REFUSED),
        ("trap", State.REFUSED),
        ("cancelled", State.WAITING),
    ],
)
def test_a_task_that_its_sandbox_stopped_is_no_failure(outcome, tone):
    told = event_told("compute.task-finished", {"outcome": outcome}, org="bakery", names=NAMES)

    assert told.tone is tone
    assert "receipt" in told.sentence


@pytest.mark.parametrize(
    ("state", "code", "tone"),
    [
        ("failed", "module-unknown", State.FAILED),
        ("failed", "", State.REFUSED),
        ("refused", "quota-exceeded", State.REFUSED),
        ("refused", "queue-full", State.FAILED),
        ("refused", "executor-unavailable", State.FAILED),
        ("cancelled", "", State.WAITING),
    ],
)
def test_how_a_task_ended_is_told_by_its_home(state, code, tone):
    body = {"state": state, "code": code}
    told = event_told("compute.task-ended", body, org="bakery", names=NAMES)

    assert told.tone is tone
    assert code.replace("-", " ") in told.sentence


def test_a_node_that_keeps_a_task_gives_it_to_nobody():
    names = Names(titles={"bakery": "Bakery"}, orgs={DID: "bakery"})
    told = event_told("compute.task-placed", {"executor": DID}, org="bakery", names=names)

    assert told.sentence == "Bakery keeps the task"


def test_a_lie_is_told_as_adversarial():
    body, _, _ = BODIES["network.provider-lied"]

    assert event_told("network.provider-lied", body, org="bakery", names=NAMES).adversarial


@pytest.mark.parametrize(
    ("deed", "tone", "adversarial"),
    [
        ({"what": "kill", "org": "bakery"}, State.RUNNING, True),
        ({"what": "restart", "org": "bakery"}, State.DONE, False),
        ({"what": "cut", "a": "bakery", "b": "harbor-homes"}, State.RUNNING, True),
        ({"what": "heal", "a": "bakery", "b": "harbor-homes"}, State.DONE, False),
        ({"what": "pass_time", "days": 1}, State.DONE, False),
    ],
)
def test_what_was_done_on_purpose_is_never_told_as_a_failure(deed, tone, adversarial):
    told = deed_told(deed, titles=NAMES.titles)

    assert (told.tone, told.adversarial) == (tone, adversarial)


def test_who_belongs_to_no_organisation_is_named_without_one():
    said = [
        event_told("membership.token-issued", {"member_id": each}, org="bakery", names=NAMES)
        for each in ("-/operator", "-/nora-voss")
    ]
    asked = {"member_id": "-/operator", "wasm_hash": "b"}
    first = event_told("compute.task-accepted", asked, org="bakery", names=NAMES).sentence

    assert [told.sentence.split(" gave ")[1] for told in said] == [
        "the operator a token",
        "Nora Voss a token",
    ]
    assert first.startswith("The operator asked ")


def test_a_link_that_has_become_slow_is_said_with_what_it_was():
    body = {"peer": DID, "amiss": "delay", "round_trip_us": 240_000, "best_round_trip_us": 2_000}

    told = event_told("network.link-worsened", body, org="bakery", names=NAMES)

    assert told.sentence == (
        "Bakery’s link to Harbor Homes has become slow: 240 ms a round trip, 2.0 ms at its best"
    )


@pytest.mark.parametrize(
    ("kept", "pushed", "what"),
    [
        (2, 0, "got 2 missing records"),
        (0, 1, "gave 1 record"),
        (0, 4, "gave 4 records"),
        (0, 0, "found nothing to give"),
    ],
)
def test_what_comparing_did_is_said_without_noughts(kept, pushed, what):
    body = {"peer": DID, "kept": kept, "pushed": pushed}
    told = event_told("overlay.records-repaired", body, org="bakery", names=NAMES)
    assert told.sentence == f"Bakery {what}, comparing with Harbor Homes"


@pytest.mark.parametrize(
    ("type_", "body", "sentence"),
    [
        (
            "ledger.entry-posted",
            {
                "kind": "correction",
                "cause": None,
                "postings": [
                    {"account": "bakery:cash", "unit": "usd-cents", "amount": -1},
                    {"account": "bakery:due/harbor-homes", "unit": "usd-cents", "amount": 1},
                ],
            },
            "Bakery posted 0.01 $ from Cash to Harbor Homes, putting an earlier entry right",
        ),
        ("ledger.account-configured", {"closed": True}, "Bakery closed an account, as was decided"),
        (
            "ledger.account-configured",
            {"account": "bakery:cash", "floor": 0},
            "Cash of Bakery may owe none, as was decided",
        ),
        (
            "governance.delegation-set",
            {"member_id": "bakery/bo", "to": None},
            "Bo lets nobody vote for them any more",
        ),
        (
            "governance.proposal-closed",
            {"proposal_id": "oven", "outcome": "rejected", "tally": {"yes": 1, "no": 3}},
            "Bakery’s members rejected “oven”: 1 yes, 3 no",
        ),
        (
            "governance.proposal-closed",
            {"proposal_id": "oven", "outcome": "no-quorum", "tally": {"cast": 2, "electorate": 5}},
            "Bakery’s members did not decide “oven”: 2 of 5 took part",
        ),
    ],
)
def test_what_money_and_votes_came_to_is_told_as_it_was(type_, body, sentence):
    assert event_told(type_, body, org="bakery", names=NAMES).sentence == sentence


@pytest.mark.parametrize(
    ("type_", "body", "sentence"),
    [
        (
            "federation.vouched",
            {"did": DID, "by": "x", "expel": True},
            "Bakery heard a stranger say that Harbor Homes shall be expelled",
        ),
        ("objects.opened", {"object_id": "federation"}, "Bakery begins to share the federation"),
        (
            "objects.merged",
            {"object_id": "agreement/9", "operations": 1},
            "Bakery signed 1 change of an agreement",
        ),
        (
            "agreements.signed",
            {"title": "Ovens", "coop": "bakery", "action": "end"},
            "Bakery has it that Bakery gave notice of “Ovens”, as it had decided",
        ),
        ("agreements.turned", {"after": "odd"}, "an agreement stands otherwise now, says Bakery"),
        (
            "clearing.offered",
            {
                "coop": "bakery",
                "kind": "settlement",
                "period": "2026-03",
                "unit": "usd-cents",
                "legs": [{"payer": "bakery", "payee": "harbor-homes", "amount": 150}],
            },
            "Bakery proposed the settlement of 2026-03: 1.50 $ from Bakery to Harbor Homes",
        ),
        ("clearing.aborted", {"why": "lapsed"}, "Nothing came of an exchange at Bakery: lapsed"),
    ],
)
def test_what_coops_share_and_exchange_is_told_as_it_was(type_, body, sentence):
    assert event_told(type_, body, org="bakery", names=NAMES).sentence == sentence
