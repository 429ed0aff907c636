"""How far a charger's clock is off, learnt over one connection. Pure.

received - charger's time = offset + how long the message waited. A wait is never negative, so the offset is at most the smallest
difference seen; it is known once a message came that cannot have waited.
"""

from datetime import UTC, datetime, timedelta

TOLERATED = timedelta(seconds=60)
"""A smaller offset counts as none: network and whole seconds make as much."""

REAL_TIME_SLACK = timedelta(seconds=2)
STEPS_IN_REAL_TIME = 2
"""So many steps in a row that take as long on the way as by the charger's clock are no chance: two bundles can be an equal time late."""

SHORTEST_STEP = timedelta(seconds=1)
EARLIEST_PLAUSIBLE = datetime(2020, 1, 1, tzinfo=UTC)
"""Before it a clock was never set, and nothing can be learnt from it but that."""


class ClockOffset:
    """The offset of one connection, as known so far."""

    __slots__ = ("_is_known", "_last", "_smallest", "_steps")

    def __init__(self) -> None:
        self._smallest: timedelta | None = None
        self._last: tuple[datetime, datetime] | None = None
        self._is_known = False
        self._steps = 0

    @property
    def value(self) -> timedelta | None:
        """The offset, where it is known and more than tolerated."""
        if self._smallest is None or abs(self._smallest) <= TOLERATED:
            return None
        # A clock that is ahead betrays itself: no message can arrive before it was sent.
        return self._smallest if self._is_known or self._smallest < timedelta() else None

    @property
    def is_clock_set(self) -> bool:
        """Whether a time was heard that a clock has which was set at all."""
        return self._smallest is not None

    def learn(self, charger_time: datetime, received_at: datetime, *, is_periodic: bool = False) -> None:
        """One message with a time. Periodic ones that follow each other in real time cannot have been queued."""
        if charger_time < EARLIEST_PLAUSIBLE:
            return
        difference = received_at - charger_time
        if self._smallest is None or difference < self._smallest:
            self._smallest = difference
        if not is_periodic:
            return
        if self._last is not None:
            step, received_step = charger_time - self._last[0], received_at - self._last[1]
            is_in_real_time = step >= SHORTEST_STEP and abs(step - received_step) <= REAL_TIME_SLACK
            self._steps = self._steps + 1 if is_in_real_time else 0
            self._is_known |= self._steps >= STEPS_IN_REAL_TIME
        self._last = (charger_time, received_at)
