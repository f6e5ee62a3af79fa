"""What clearing is asked, by members and between nodes, with refusals in order of precedence."""

from __future__ import annotations

from opkit.wire.clearing.refusals import (
    JUDGED_REFUSALS,
    TAKEN_REFUSALS,
    WRITE_REFUSALS,
    ArbiterElsewhere,
    ExchangeUnknown,
    OfferRejected,
    RulingEarly,
)
from opkit.wire.clearing.types import (
    AskClearing,
    AskOutcome,
    AskRuling,
    Exchange,
    ExchangeAnswer,
    ExchangePage,
    ListExchanges,
    ListPositions,
    NetDebts,
    OfferAccepted,
    OfferExchange,
    OutcomeTaken,
    PositionList,
    PostOffer,
    Ruled,
    SettlePeriod,
    TellOutcome,
)
from opkit.wire.endpoint import Endpoint, Scope
from opkit.wire.gateway import StoreBusy
from opkit.wire.peer import PeerMethod

POST_OFFER = Endpoint(
    name="clearing.offer",
    method="POST",
    path="/v1/clearing/offers",
    ask=PostOffer,
    answer=Exchange,
    scope=Scope.CLEARING_WRITE,
    changes=True,
    stores_answer=False,
    refuses=(*WRITE_REFUSALS, *JUDGED_REFUSALS),
    body_bytes_max=4_096,
)

SETTLE_PERIOD = Endpoint(
    name="clearing.settle",
    method="POST",
    path="/v1/clearing/settle",
    ask=SettlePeriod,
    answer=Exchange,
    scope=Scope.CLEARING_WRITE,
    changes=True,
    stores_answer=False,
    refuses=(*WRITE_REFUSALS, *JUDGED_REFUSALS),
    body_bytes_max=4_096,
)

NET_DEBTS = Endpoint(
    name="clearing.net",
    method="POST",
    path="/v1/clearing/net",
    ask=NetDebts,
    answer=Exchange,
    scope=Scope.CLEARING_WRITE,
    changes=True,
    stores_answer=False,
    refuses=(*WRITE_REFUSALS, *JUDGED_REFUSALS),
    body_bytes_max=16_384,
)

LIST_EXCHANGES = Endpoint(
    name="clearing.exchanges",
    method="GET",
    path="/v1/clearing/exchanges",
    ask=ListExchanges,
    answer=ExchangePage,
    scope=Scope.CLEARING_READ,
)

READ_EXCHANGE = Endpoint(
    name="clearing.exchange",
    method="GET",
    path="/v1/clearing/exchanges/{exchange}",
    ask=AskClearing,
    answer=ExchangeAnswer,
    scope=Scope.CLEARING_READ,
    refuses=(ExchangeUnknown,),
)

LIST_POSITIONS = Endpoint(
    name="clearing.positions",
    method="GET",
    path="/v1/clearing/positions",
    ask=ListPositions,
    answer=PositionList,
    scope=Scope.CLEARING_READ,
)

OFFER_EXCHANGE = PeerMethod(
    name="clearing.offer",
    ask=OfferExchange,
    answer=OfferAccepted,
    refuses=(*TAKEN_REFUSALS, StoreBusy),
)

TELL_OUTCOME = PeerMethod(
    name="clearing.settled",
    ask=TellOutcome,
    answer=OutcomeTaken,
    refuses=(OfferRejected, StoreBusy),
)

ASK_OUTCOME = PeerMethod(
    name="clearing.ask",
    ask=AskOutcome,
    answer=OutcomeTaken,
    refuses=(OfferRejected, ExchangeUnknown, StoreBusy),
)

ASK_RULING = PeerMethod(
    name="clearing.rule",
    ask=AskRuling,
    answer=Ruled,
    refuses=(OfferRejected, ArbiterElsewhere, RulingEarly, StoreBusy),
    deadline_ms=15_000,
)
