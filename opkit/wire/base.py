"""The base of all wire types, and the scalar types they share.

Everything that crosses a process boundary is a frozen value that refuses unknown fields, with
bounds in its types, so that rules may assert what the wire already excludes. Who only listens
leaves out what a newer node added (`Wire.heard`). Source: ADR 0026.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

SAFE_INT_MAX = 2**53 - 1
"""The greatest integer that canonical JSON can carry. Source: RFC 8785, section 3.2.2.3."""


class Wire(BaseModel):
    """A frozen value that crosses a process boundary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def heard(cls, said: Any) -> Self:
        """Return the value in a node's answer or event, without what only a newer node says.

        Fields that are unknown here are left out, at every depth, for whoever reads an answer acts
        on what it knows of it. What is asked, signed or said between nodes is read by
        `model_validate`: there an unknown field may change the meaning of all others.

        Args:
            said: decoded JSON.

        Raises:
            pydantic.ValidationError: what is known of it is missing or out of bounds.
        """
        return cls.model_validate(said, extra="ignore")

    @classmethod
    def heard_json(cls, said: bytes | str) -> Self:
        """Return the same from JSON that is not decoded yet."""
        return cls.model_validate_json(said, extra="ignore")


def b64encode(data: bytes) -> str:
    """Return base64url without padding. Source: RFC 7515, section 2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64decode(text: str) -> bytes:
    """Return the bytes of unpadded base64url text, accepting exactly one spelling of each value.

    Raises:
        ValueError: other alphabet, padding, white space, or non-zero trailing bits.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as bad:
        raise ValueError("not unpadded base64url") from bad
    # What else of a spelling is free: three letters of the other alphabet, and the last bits.
    last = len(text) // 4
    standard = "+" in text or "/" in text or "=" in text
    if standard or b64encode(data[3 * last :]) != text[4 * last :]:
        raise ValueError("not the canonical unpadded base64url spelling")
    return data


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return b64decode(value)
    raise ValueError("bytes travel as base64url text")


B64 = Annotated[
    bytes,
    PlainValidator(_bytes_of),
    PlainSerializer(b64encode, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64url"}),
]
"""Bytes that travel in JSON as unpadded base64url."""

Did = Annotated[str, StringConstraints(pattern=r"^did:key:z6Mk[1-9A-HJ-NP-Za-km-z]{44}$")]
"""An Ed25519 `did:key` by its shape; `opkit.proof.did` also checks the point it encodes."""

CID_PATTERN = r"^bafkrei[a-z2-7]{52}$"
"""CIDv1, raw, sha2-256, base32 lower case: the only content name in use."""

Cid = Annotated[str, StringConstraints(pattern=CID_PATTERN)]
"""The name of content by its hash."""

PLAIN = r"^[^\x00]*$"
"""The pattern of free text: no NUL, which not every database can keep."""

CidText = Annotated[str, StringConstraints(max_length=128, pattern=PLAIN)]
"""What somebody claims to be a CID: rules judge it, so that a bad one has a refusal of its own."""

RecordId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of a record's signing input, in hex: its identity, whoever signed it again."""

SLUG_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"

Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN)]
"""A short lower-case id such as `river-city-tool-library`."""

MemberId = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]{1,64}/[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$")
]
"""`coop/member`, or `-/member` for members of no coop: what votes and accounts belong to."""

NetworkId = Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{26}$")]
"""128 random bits in base32: which network a signed object belongs to."""

Jws = Annotated[str, StringConstraints(max_length=262_144, pattern=r"^[A-Za-z0-9_.-]+$")]
"""A compact JWS by its shape. Source: RFC 7515, section 3.1."""

TimeMs = Annotated[int, Field(ge=0, le=SAFE_INT_MAX)]
"""Milliseconds since the Unix epoch."""

PERIOD_MS_MAX = 365 * 24 * 3_600_000
"""The longest that an assembly votes, or waits for challenges: a year."""

PeriodMs = Annotated[int, Field(ge=0, le=PERIOD_MS_MAX)]
"""How long an assembly votes, or waits for challenges: what it opens ends while it is wanted."""

Count = Annotated[int, Field(ge=0, le=SAFE_INT_MAX)]
"""A non-negative integer that canonical JSON can carry."""

MemberIdText = Annotated[str, StringConstraints(max_length=130, pattern=PLAIN)]
"""What somebody asks for as a member id; one that is none is simply not found."""

Text = Annotated[str, StringConstraints(max_length=1024, pattern=PLAIN)]
"""Short text for people."""
