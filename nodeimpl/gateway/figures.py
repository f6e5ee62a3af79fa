"""What the gateway counts."""

from __future__ import annotations

import time

from prometheus_client import Counter, Histogram

from nodeimpl.kernel.metrics import Metrics


class Figures:
    """Counters of one gateway; each label's child is looked up once."""

    def __init__(self, metrics: Metrics) -> None:
        """Register the metrics of the gateway."""
        self._asks = metrics.counter(
            "http_asks", "Asks answered, by endpoint and status.", ["endpoint", "status"]
        )
        self._seconds = metrics.seconds("http_ask", "Time from head to answer.", ["endpoint"])
        self.streams = metrics.gauge("event_streams", "Event streams that are open.")
        self.pages = metrics.counter("event_pages", "Pages sent to event streams.")
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def began(self) -> float:
        """Return the start of a measurement."""
        return time.perf_counter()

    def asked(self, endpoint: str, *, status: int, began: float) -> None:
        """Count one ask that was answered."""
        child = self._children.get((endpoint, status))
        if child is None:
            # Endpoints and statuses are few and fixed: what is remembered here is bounded by them.
            child = (self._asks.labels(endpoint, str(status)), self._seconds.labels(endpoint))
            self._children[endpoint, status] = child
        child[0].inc()
        child[1].observe(time.perf_counter() - began)
