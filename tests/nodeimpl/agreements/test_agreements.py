"""What a node makes of agreements: signs what was decided, believes what verifies, tells it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from nodeimpl.agreements.rules import Limits
from opkit.proof.agreement import (
    examine_agreement,
    read_agreement_file,
    read_signing,
    signing_of,
    spell_file,
)
from opkit.proof.canonical import sha256_hex
from opkit.proof.terms import agreement_id
from opkit.wire import agreements as wire
from opkit.wire.deciding import EffectMalformed
from opkit.wire.terms import AgreementEffect, Terms
from tests.nodeimpl.agreements.conftest import Keeper, Made
from tests.opkit.proof.pacts import DAY_MS, START_MS, file_of, genesis_of, signed_by, terms_of


def adopting(terms: Terms, **changes: Any) -> AgreementEffect:
    said = {"action": "adopt", "agreement": agreement_id(terms), "terms": terms}
    return AgreementEffect(**{**said, **changes})


def ending(agreement: str) -> AgreementEffect:
    return AgreementEffect(action="end", agreement=agreement)


def amending(agreement: str, **changes: Any) -> Terms:
    return terms_of(amends=agreement, **{"notice_days": 60, **changes})


# Signing.


def test_a_home_signs_what_its_coop_decided_and_shares_exactly_that(
    made: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.decided(terms)
        assert agreement == agreement_id(terms)
        assert mill.told.shared == {agreement: terms}
        ((shared, signing),) = mill.told.signings
        assert shared == agreement
        (kept,) = read_agreement_file(await mill.file(agreement)).signatures
        assert read_signing(signing, terms=terms) == kept
        view = await mill.show(agreement)
        assert (view.state, view.unsigned) == ("proposed", ("yard",))
        assert view.file_hash == sha256_hex(await mill.file(agreement))
        assert [each["coop"] for each in await mill.events("agreements.signed")] == ["mill"]

    made.run(story)


def test_it_is_in_force_once_the_other_has_signed_and_its_file_verifies(
    made: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.decided(terms)
        with pytest.raises(wire.AgreementInactive) as inactive:
            await mill.active(agreement)
        assert (inactive.value.state, inactive.value.unsigned) == ("proposed", ["yard"])
        assert await mill.heard(terms, "yard") == ""
        assert await mill.active(agreement) == terms
        assert (await mill.use(agreement)).since_ms == START_MS
        verdict, _ = examine_agreement(
            read_agreement_file(await mill.file(agreement)), genesis=genesis_of()
        )
        assert verdict.ok, verdict.failures
        told = await mill.events("agreements.turned")
        assert [(each["before"], each["after"]) for each in told] == [("proposed", "active")]

    made.run(story)


def test_what_was_kept_is_there_after_a_restart(made: Made, terms: Terms) -> None:
    files: list[bytes] = []

    async def before(mill: Keeper) -> None:
        await mill.decided(terms)
        await mill.heard(terms, "yard")
        files.append(await mill.file(agreement_id(terms)))

    async def after(mill: Keeper) -> None:
        assert await mill.file(agreement_id(terms)) == files[0]
        assert await mill.active(agreement_id(terms)) == terms

    made.run(before)
    made.run(after)


@pytest.mark.parametrize("action", ["adopt", "end"])
def test_a_coop_signs_once_whatever_it_decides_again(
    made_once: Made, terms: Terms, action: Any
) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.decided(terms)
        if action == "end":
            await mill.heard(terms, "yard")
            await mill.decided(terms, action="end")
        effect = adopting(terms) if action == "adopt" else ending(agreement)
        with pytest.raises(wire.AlreadySigned) as signed:
            await mill.judge(effect)
        assert (signed.value.coop, signed.value.action) == ("mill", action)

    made_once.run(story)


# What may be decided.


def test_altered_terms_have_a_refusal_of_their_own(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        altered = adopting(terms_of(notice_days=1), agreement=agreement_id(terms))
        with pytest.raises(wire.TermsAltered) as refused:
            await mill.judge(altered)
        assert refused.value.agreement == agreement_id(terms)
        assert refused.value.hash == agreement_id(terms_of(notice_days=1))

    made_once.run(story)


def test_terms_that_name_a_stranger_are_malformed(made_once: Made) -> None:
    async def story(mill: Keeper) -> None:
        with pytest.raises(EffectMalformed, match="nobody"):
            await mill.judge(adopting(terms_of(arbiter="nobody")))

    made_once.run(story)


def test_who_is_no_party_neither_signs_nor_ends(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.signed(terms)
        for effect in (adopting(terms), ending(agreement)):
            with pytest.raises(wire.NotParty):
                await mill.judge(effect, coop="wharf")

    made_once.run(story)


def test_only_what_one_has_signed_can_be_ended(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        with pytest.raises(wire.AgreementUnknown):
            await mill.judge(ending(agreement_id(terms)))
        await mill.signed(terms, "yard")
        with pytest.raises(wire.AgreementInactive):
            await mill.judge(ending(agreement_id(terms)))

    made_once.run(story)


def test_what_is_over_is_neither_signed_nor_ended(made_once: Made) -> None:
    async def story(mill: Keeper) -> None:
        once = terms_of(renewable=False)
        agreement = await mill.signed(once, "mill")
        await mill.pass_time(90 * DAY_MS)
        for effect in (
            adopting(once),
            ending(agreement),
            adopting(terms_of(renewable=False, text="y")),
        ):
            with pytest.raises(wire.AgreementInactive) as over:
                await mill.judge(effect, coop="yard" if effect.terms == once else "mill")
            assert over.value.state == "lapsed"

    made_once.run(story)


def test_there_is_room_for_so_many(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        await mill.signed(terms)
        with pytest.raises(wire.AgreementsFull):
            await mill.judge(adopting(terms_of(text="another")))
        assert "no room" in await mill.heard(terms_of(text="another"), "yard")
        with pytest.raises(wire.AgreementsFull):
            await mill.bring(file_of(terms_of(text="another")))
        assert await mill.heard(terms, "yard", "end") == ""

    made_once.run(story, limits=Limits(agreements_max=1))


# Amending.


def test_an_amendment_takes_the_place_of_what_it_amends_once_all_have_signed(
    made: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.signed(terms)
        changed = amending(agreement)
        await mill.pass_time(DAY_MS)
        await mill.heard(changed, "mill", at_ms=START_MS + DAY_MS)
        assert (await mill.state(terms), await mill.state(changed)) == ("active", "proposed")
        with pytest.raises(wire.AgreementInactive):
            await mill.use(agreement_id(changed))
        await mill.heard(changed, "yard", at_ms=START_MS + DAY_MS)
        assert (await mill.state(terms), await mill.state(changed)) == ("superseded", "active")
        assert (await mill.show(agreement)).superseded_by == agreement_id(changed)
        with pytest.raises(wire.AgreementInactive):
            await mill.use(agreement)
        turned = [
            (each["agreement"], each["after"]) for each in await mill.events("agreements.turned")
        ]
        assert turned == [
            (agreement, "active"),
            (agreement_id(changed), "active"),
            (agreement, "superseded"),
        ]

    made.run(story)


def test_of_two_amendments_the_first_counts_in_whatever_order_they_are_heard(
    made: Made, terms: Terms
) -> None:
    early, late = (amending(agreement_id(terms), text=text) for text in ("early", "late"))

    async def story(mill: Keeper) -> None:
        await mill.pass_time(DAY_MS)
        await mill.signed(late, at_ms=START_MS + 9)
        await mill.signed(terms)
        assert await mill.state(terms) == "superseded"
        await mill.signed(early, at_ms=START_MS + 5)
        states = [await mill.state(each) for each in (terms, early, late)]
        assert states == ["superseded", "active", "superseded"]
        assert (await mill.show(agreement_id(late))).superseded_by == agreement_id(early)
        last = {each["agreement"]: each["after"] for each in await mill.events("agreements.turned")}
        assert last == {
            agreement_id(terms): "superseded",
            agreement_id(early): "active",
            agreement_id(late): "superseded",
        }

    made.run(story)


def test_nothing_amends_what_is_unknown_over_or_of_other_parties(
    made_once: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        with pytest.raises(wire.AgreementUnknown):
            await mill.judge(adopting(amending("0" * 64)))
        await mill.signed(terms, "mill")
        with pytest.raises(wire.AgreementInactive) as unsigned:
            await mill.judge(adopting(amending(agreement_id(terms))))
        assert unsigned.value.agreement == agreement_id(terms)
        await mill.signed(terms, "yard")
        await mill.judge(adopting(amending(agreement_id(terms))))
        others = amending(agreement_id(terms), parties=("mill", "wharf"), provisions=())
        with pytest.raises(wire.NotParty):
            await mill.judge(adopting(others))
        assert await mill.heard(terms, "yard", "end") == ""
        await mill.pass_time(30 * DAY_MS)
        with pytest.raises(wire.AgreementInactive) as over:
            await mill.judge(adopting(amending(agreement_id(terms))))
        assert over.value.state == "ended"

    made_once.run(story)


def test_what_other_parties_agree_on_takes_nobodys_place(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        agreement = await mill.signed(terms)
        others = amending(agreement, parties=("mill", "wharf"), provisions=())
        await mill.signed(others)
        assert (await mill.state(terms), await mill.state(others)) == ("active", "active")

    made_once.run(story)


def test_what_was_given_up_before_it_began_takes_nobodys_place(made: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        begins_ms = START_MS + 2 * DAY_MS
        changed = amending(await mill.signed(terms), starts_ms=begins_ms, notice_days=0)
        await mill.signed(changed)
        assert await mill.heard(changed, "yard", "end") == ""
        await mill.pass_time(2 * DAY_MS)
        assert (await mill.state(terms), await mill.state(changed)) == ("active", "ended")

    made.run(story)


# Time.


def test_each_turn_is_told_at_its_moment_also_if_time_jumps_over_several(
    made: Made, terms: Terms
) -> None:
    async def story(mill: Keeper) -> None:
        await mill.signed(terms)
        later = START_MS + 10 * DAY_MS
        assert await mill.heard(terms, "yard", "end", at_ms=later) == ""
        await mill.pass_time(100 * DAY_MS)
        told = await mill.events("agreements.turned")
        assert [(each["after"], each["at_world_ms"]) for each in told] == [
            ("active", START_MS),
            ("ending", later),
            ("ended", later + 30 * DAY_MS),
        ]
        assert await mill.state(terms) == "ended"

    made.run(story)


def test_what_begins_later_is_signed_until_then(made_once: Made) -> None:
    async def story(mill: Keeper) -> None:
        later = terms_of(starts_ms=START_MS + DAY_MS)
        agreement = await mill.signed(later)
        assert await mill.state(later) == "signed"
        with pytest.raises(wire.AgreementInactive):
            await mill.active(agreement)
        await mill.pass_time(DAY_MS)
        assert await mill.active(agreement) == later

    made_once.run(story)


# What is believed.


def test_what_does_not_verify_changes_nothing(made_once: Made, terms: Terms) -> None:
    async def story(mill: Keeper) -> None:
        for changes in (
            {"at_ms": START_MS - 1},
            {"decision": {"kind": "text"}},
            {"decision": {"outcome": "rejected"}},
        ):
            assert await mill.heard(terms, "yard", **changes)
        good = signing_of(signed_by("yard", terms), terms=terms)
        assert mill.agreements.believable(terms, good)
        for bad in ("", "{}", good.replace("yard", "mill", 1), good.replace("We agree", "We do")):
            assert not mill.agreements.believable(terms, bad)
        with pytest.raises(wire.AgreementUnknown):
            await mill.show(agreement_id(terms))

    made_once.run(story)


def test_of_two_signatures_of_one_home_all_keep_the_same(made: Made, terms: Terms) -> None:
    files = []

    async def story(mill: Keeper) -> None:
        agreement = agreement_id(terms)
        for at_ms in (START_MS + 2, START_MS + 1, START_MS + 3):
            await mill.heard(terms, "yard", at_ms=at_ms)
        (kept,) = (await mill.show(agreement)).signatures
        assert kept.signed_at_ms == START_MS + 1
        assert len(await mill.events("agreements.signed")) == 1
        files.append(await mill.file(agreement))
        assert files[0] == spell_file(terms, [signed_by("yard", terms, at_ms=START_MS + 1)])

    made.run(story)


def test_of_two_things_attested_with_one_signature_all_keep_the_same(
    tmp_path: Path, terms: Terms
) -> None:
    told: list[dict[str, Any]] = [{"title": "We agree"}, {"title": "We do"}, {"commitments": 5}]
    files = set()

    async def story(keeper: Keeper, order: Sequence[dict[str, Any]]) -> None:
        for attested in order:
            assert await keeper.heard(terms, "yard", attested=attested) == ""
        file = await keeper.file(agreement_id(terms))
        assert (await keeper.show(agreement_id(terms))).file_hash == sha256_hex(file)
        assert len(await keeper.events("agreements.signed")) == 1
        files.add(file)

    for number, order in enumerate(permutations(told)):
        made = Made(url=f"sqlite:///{tmp_path}/node-{number}.db")
        made.run(lambda keeper, order=order: story(keeper, order))
    assert len(files) == 1


# What is brought.


def test_a_file_is_taken_from_whoever_brings_it_and_handed_on(made: Made, terms: Terms) -> None:
    async def story(hall: Keeper) -> None:
        view = await hall.bring(file_of(terms))
        assert (view.state, view.unsigned) == ("active", ())
        assert hall.told.shared == {view.agreement: terms}
        assert len(hall.told.signings) == 2
        assert await hall.bring(file_of(terms)) == view
        assert len(hall.told.signings) == 2, "what was there is not handed on again"
        assert await hall.file(view.agreement) == file_of(terms)

    made.run(story, node="hall")


def bad_files(terms: Terms) -> list[tuple[bytes, type[Any]]]:
    good = read_agreement_file(file_of(terms))
    altered = spell_file(terms_of(notice_days=1), good.signatures)
    lines = good.signatures
    wrong = spell_file(terms, (lines[0], signed_by("yard", terms, at_ms=START_MS - 1)))
    unsigned = spell_file(terms, ())
    crooked = spell_file(terms_of(arbiter="mill"), ())
    renamed = file_of(terms).replace(
        f'"agreement":"{good.agreement}","signatures"'.encode(),
        f'"agreement":"{"0" * 64}","signatures"'.encode(),
    )
    assert renamed != file_of(terms)
    return [
        (b"{}", wire.AgreementRejected),
        (unsigned, wire.AgreementRejected),
        (crooked, wire.AgreementRejected),
        (file_of(terms_of(arbiter="nobody")), wire.AgreementRejected),
        (altered, wire.TermsAltered),
        (renamed, wire.TermsAltered),
        (wrong, wire.SignatureRejected),
    ]


@pytest.mark.parametrize("number", range(7))
def test_a_bad_file_is_refused_for_what_is_bad_of_it(
    made_once: Made, terms: Terms, number: int
) -> None:
    data, refusal = bad_files(terms)[number]

    async def story(hall: Keeper) -> None:
        with pytest.raises(refusal):
            await hall.bring(data)
        assert (await hall.page()).agreements == ()

    made_once.run(story, node="hall")


def test_a_node_that_stands_nowhere_between_keeps_no_agreement(
    made_once: Made, terms: Terms
) -> None:
    async def story(wharf: Keeper) -> None:
        with pytest.raises(wire.AgreementForeign):
            await wharf.bring(file_of(terms))

    made_once.run(story, node="wharf")


# What is read.


def test_agreements_are_listed_newest_first_in_pages(made: Made) -> None:
    async def story(mill: Keeper) -> None:
        names = []
        for number in range(7):
            terms = terms_of(text=str(number))
            names.append(await mill.signed(terms, *(("mill",) if number % 2 else ())))
        seen: list[str] = []
        before = 0
        while True:
            page = await mill.page(before=before, agreements_max=3)
            seen += [each.agreement for each in page.agreements]
            before = page.next_before
            if not before:
                break
        assert seen == names[::-1]
        active = await mill.page(state="active", party="yard")
        assert [each.agreement for each in active.agreements] == names[::-2]
        assert (await mill.page(party="wharf")).agreements == ()

    made.run(story)


def test_a_filtered_page_scans_so_many_and_goes_on(made_once: Made) -> None:
    async def story(mill: Keeper) -> None:
        first = await mill.signed(terms_of(text="0"))
        for number in range(1, 6):
            await mill.signed(terms_of(text=str(number)), "mill")
        found: list[str] = []
        before, pages = 0, 0
        while True:
            page = await mill.page(state="active", before=before)
            found += [each.agreement for each in page.agreements]
            before, pages = page.next_before, pages + 1
            if not before:
                break
        assert (found, pages) == ([first], 3)

    made_once.run(story, limits=Limits(scanned_max=2))


@pytest.mark.parametrize("asked", ["0" * 64, "x", "", "é" * 128])
def test_what_is_not_here_is_unknown(made_once: Made, asked: str) -> None:
    async def story(mill: Keeper) -> None:
        for ask in (mill.show, mill.file, mill.use, mill.active):
            with pytest.raises(wire.AgreementUnknown):
                await ask(asked)

    made_once.run(story)
