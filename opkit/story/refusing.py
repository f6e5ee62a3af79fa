"""`refused`: the way a story shows that a node says no; `nothing_signed`: that a client does.

Exactly the promised leaf counts. Being allowed, another refusal, silence and a broken node all fail
the step: an attack that met a dead node has proved nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from opkit.client.errors import WrongNode
from opkit.proof.checks import Check
from opkit.story.evidence import NotShown, that
from opkit.wire.base import Did
from opkit.wire.errors import CoopError, Refusal

R = TypeVar("R", bound=Refusal)


class refused(Generic[R]):  # noqa: N801 - reads as a word of the story: `with refused(Leaf) as no`
    """Hold a block of calls to being refused with exactly `leaf`.

    ```python
    with refused(ScopeMissing, needs="compute:submit") as no:
        await client.compute.submit(...)
    return expect(no.check, refusal=no.problem)
    ```

    Args:
        leaf: the exact class; a family or a sibling does not count.
        fields: values that fields of the refusal must have.

    Raises:
        NotShown: on leaving the block without that refusal.
    """

    def __init__(self, leaf: type[R], **fields: Any) -> None:
        """See the class."""
        assert leaf.code, f"{leaf.__name__} is a family: name the leaf"
        self._leaf = leaf
        self._fields = fields
        self._said: R | None = None

    @property
    def refusal(self) -> R:
        """The refusal, once the block is left."""
        assert self._said is not None, "the block has not been left yet"
        return self._said

    @property
    def problem(self) -> dict[str, Any]:
        """The refusal's problem document. Source: RFC 9457."""
        return self.refusal.problem()

    @property
    def check(self) -> Check:
        """The refusal as a named check."""
        return that(
            "refused by its exact type", True, expected=self._leaf.code, actual=self.refusal.code
        )

    def __enter__(self) -> refused[R]:
        """Begin the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, said: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Judge how the block ended."""
        promised = f"promised the refusal {self._leaf.code!r}"
        if said is None:
            raise NotShown(f"{promised}, but it was allowed")
        if not isinstance(said, CoopError):
            return False
        if type(said) is not self._leaf:
            raise NotShown(f"{promised}, but got {type(said).__name__}: {said}") from said
        details = said.details()
        for name, value in self._fields.items():
            if details.get(name) != value:
                got = details.get(name)
                raise NotShown(f"{promised} with {name}={value!r}, but got {got!r}") from said
        self._said = said
        return True


class nothing_signed:  # noqa: N801 - reads as a word of the story, as `refused` does
    """Hold a block of calls to ending before the client signs: another node's challenge came.

    ```python
    with nothing_signed(dialled=relay.did, answered=river.did) as no:
        await client.login()
    return expect(no.check)
    ```

    Args:
        dialled: the node that the client was to call.
        answered: the node that whoever answered says to be.

    Raises:
        NotShown: on leaving the block in any other way. Source: ADR 0009.
    """

    def __init__(self, *, dialled: Did, answered: Did) -> None:
        """See the class."""
        self._dialled = dialled
        self._answered = answered
        self._said: WrongNode | None = None

    @property
    def check(self) -> Check:
        """That nothing was signed, as a named check."""
        assert self._said is not None, "the block has not been left yet"
        return that(
            "the challenge is another node's, so nothing was signed",
            True,
            expected=f"dialled {self._dialled}",
            actual=f"answered {self._said.found}",
        )

    def __enter__(self) -> Self:
        """Begin the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, said: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Judge how the block ended."""
        promised = f"promised that nothing is signed for {self._dialled}"
        if said is None:
            raise NotShown(f"{promised}, but a call went through")
        if not isinstance(said, CoopError):
            return False
        if not isinstance(said, WrongNode):
            raise NotShown(f"{promised}, but got {type(said).__name__}: {said}") from said
        if (said.expected, said.found) != (self._dialled, self._answered):
            raise NotShown(f"{promised} by {self._answered}, but got: {said}") from said
        self._said = said
        return True
