"""What a node answers about the federation and the objects that it shares."""

from __future__ import annotations

from nodeimpl.federation import rules
from nodeimpl.federation.members import roll_of
from nodeimpl.federation.service import Federation, view_of
from nodeimpl.kernel.binding import Caller
from nodeimpl.kernel.store import Tx
from nodeimpl.sharing import store as shared
from nodeimpl.sharing.store import ValueRow
from opkit.proof import jws
from opkit.proof.canonical import sha256_hex
from opkit.proof.federation import founders_of, home_coop
from opkit.proof.operations import reread_operation
from opkit.wire import federation as wire
from opkit.wire.base import Did, Slug
from opkit.wire.endpoint import Scope
from opkit.wire.federation import FEDERATION, VOUCHES_MIN, Attestation
from opkit.wire.objects import ObjectUnknown
from opkit.wire.operations import AUTHORS_MAX


class Reading:
    """Answers readers."""

    def __init__(self, federation: Federation) -> None:
        """Read what this part of the node keeps."""
        self._sharing = federation.sharing
        self._genesis = federation.genesis
        self._founders = founders_of(federation.genesis)

    def members(
        self, tx: Tx, ask: wire.ListFederation, caller: Caller | None, _: None = None
    ) -> wire.FederationMembers:
        """Say who belongs to the federation; a network without coops has nobody."""
        del ask, caller
        if not self._founders:
            return wire.FederationMembers(
                members=(), state=sha256_hex(b""), operations=0, vouches_min=VOUCHES_MIN
            )
        roll = roll_of(self._sharing, tx, genesis=self._genesis, founders=self._founders)
        known = roll.known()
        return wire.FederationMembers(
            members=tuple(roll.view(did) for did in known[: wire.MEMBERS_SHOWN_MAX]),
            left_off=max(0, len(known) - wire.MEMBERS_SHOWN_MAX),
            expelled=tuple(sorted(roll.expelled))[:AUTHORS_MAX],
            state=self._sharing.state(tx, FEDERATION),
            operations=self._sharing.row(tx, FEDERATION).operations,
            vouches_min=VOUCHES_MIN,
        )

    def attestations(
        self, tx: Tx, ask: wire.ListAttestations, caller: Caller | None, _: None = None
    ) -> wire.AttestationPage:
        """Say what is attested, also what was taken back."""
        del caller
        begins = f"{rules.ATTESTATION}/"
        rows = self._sharing.values(tx, FEDERATION, begins) if self._founders else []
        found: list[tuple[str, wire.AttestationView]] = []
        for row in rows:
            if row.key <= ask.after:
                continue
            view = self._view(row, tx.world_ms)
            if _wanted(view, ask):
                found.append((row.key, view))
            if len(found) > ask.attestations_max:
                break
        page = found[: ask.attestations_max]
        return wire.AttestationPage(
            attestations=tuple(view for _, view in page),
            next_after=page[-1][0] if len(found) > len(page) else "",
            world_ms=tx.world_ms,
        )

    def _view(self, row: ValueRow, world_ms: int) -> wire.AttestationView:
        if row.value is not None:
            said = Attestation.model_validate(jws.reread(row.value))
            return view_of(said, row.value, operation=row.operation, world_ms=world_ms)
        _, did, subject, type_ = row.key.split("/")
        return wire.AttestationView(
            issuer_did=did,
            issuer=self._coop(did),
            subject=subject,
            type=type_,
            state="revoked",
            statement="",
            valid_from_ms=None,
            valid_until_ms=None,
            evidence=None,
            operation=row.operation,
            token=None,
        )

    def forks(
        self, tx: Tx, ask: wire.ListForks, caller: Caller | None, _: None = None
    ) -> wire.ForksShown:
        """Show the proofs that authors signed two histories."""
        del ask
        may = [
            (object_id, did, first, second)
            for object_id, did, first, second in self._sharing.forks(tx)
            if _may_read(object_id, caller)
        ]
        return wire.ForksShown(
            forks=tuple(
                wire.ForkShown(
                    object_id=object_id, did=did, coop=self._coop(did), first=first, second=second
                )
                for object_id, did, first, second in may[: wire.FORKS_SHOWN_MAX]
            ),
            left_off=max(0, len(may) - wire.FORKS_SHOWN_MAX),
        )

    def log(self, tx: Tx, ask: wire.ReadLog, caller: Caller | None, _: None = None) -> wire.LogPage:
        """Show the operations on an object. Refuses: ObjectUnknown."""
        if not _may_read(ask.object_id, caller):
            raise ObjectUnknown(object_id=ask.object_id)
        row = self._sharing.row(tx, ask.object_id)
        rows = shared.operations(tx, row.object_id, ask.after)
        lines = []
        for number, token in rows[: ask.operations_max]:
            read = reread_operation(token)
            said = read.operation
            lines.append(
                wire.LogLine(
                    number=number,
                    operation=read.id,
                    did=said.did,
                    coop=self._coop(said.did),
                    act=said.act,
                    time_ms=said.time_ms,
                    token=token,
                )
            )
        return wire.LogPage(
            object_id=row.object_id,
            epoch=row.epoch,
            operations=tuple(lines),
            next_after=lines[-1].number if len(rows) > len(lines) else 0,
        )

    def objects(
        self, tx: Tx, ask: wire.ListObjects, caller: Caller | None, _: None = None
    ) -> wire.ObjectPage:
        """Say of which objects replicas are kept here, and what they add up to."""
        del caller
        rows = shared.objects(tx, ask.after)
        page = rows[: ask.objects_max]
        return wire.ObjectPage(
            objects=tuple(
                wire.SharedObject(
                    object_id=row.object_id,
                    kind=row.kind,
                    authors=row.authors,
                    epoch=row.epoch,
                    operations=row.operations,
                    heads=len(row.heads),
                    state=self._sharing.state(tx, row.object_id),
                    forks=row.forks,
                )
                for row in page
            ),
            next_after=page[-1].object_id if len(rows) > len(page) else "",
        )

    def _coop(self, did: Did) -> Slug | None:
        return home_coop(self._genesis, did)


def _may_read(object_id: str, caller: Caller | None) -> bool:
    """Return whether a caller may read the operations on an object one by one.

    What parties share may hold more than what leaves a coop: it is for who reads agreements.
    """
    if object_id == FEDERATION:
        return True
    return caller is not None and Scope.AGREEMENTS_READ in caller.scopes


def _wanted(view: wire.AttestationView, ask: wire.ListAttestations) -> bool:
    return (
        ask.issuer in ("", view.issuer, view.issuer_did)
        and ask.subject in ("", view.subject)
        and ask.type in ("", view.type)
        and (not ask.valid or view.state == "valid")
    )
