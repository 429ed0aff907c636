"""How far a charger's clock is off, learnt over one connection, beginning with what an earlier one had found. Pure.

received - charger's time = offset + how long the message waited. A wait is never negative, so the offset is at most the smallest
difference seen; it is known once a message came that cannot have waited.
"""

from datetime import UTC, datetime, timedelta

TOLERATED = timedelta(seconds=60)
"""A smaller offset counts as none: network and whole seconds make as much."""

REAL_TIME_SLACK = timedelta(seconds=2)
SHORTEST_STEP = timedelta(seconds=5)
"""What follows faster says nothing: a whole queue may arrive within the slack."""
STEPS_IN_REAL_TIME = 2
"""So many steps in a row that take as long on the way as by the charger's clock are no chance: two bundles can be an equal time late."""
STEPS_OF_A_JUMP = 3
"""So many it takes to believe that a clock was put back while it was listened to."""
EARLIEST_PLAUSIBLE = datetime(2020, 1, 1, tzinfo=UTC)
"""Before it a clock was never set, and nothing can be learnt from it but that."""


class ClockOffset:
    """The offset of one connection, as known so far. `before`: what an earlier connection had found, None where nothing was wrong."""

    __slots__ = (
        "_anchor",
        "_connected_at",
        "_estimate",
        "_is_puzzled",
        "_run",
        "_smallest",
        "_steps",
        "before",
        "is_clock_set",
    )

    def __init__(self, connected_at: datetime, before: timedelta | None = None) -> None:
        self.before = before
        self.is_clock_set = False
        """Whether a time was heard that a clock has which was set at all."""
        self._connected_at = connected_at
        self._estimate = before
        self._smallest: timedelta | None = None
        self._anchor: tuple[datetime, datetime] | None = None
        self._steps = 0
        self._run = timedelta()
        self._is_puzzled = False

    @property
    def value(self) -> timedelta | None:
        """The offset, where it is known and more than tolerated."""
        if self._estimate is not None:
            return self._estimate if abs(self._estimate) > TOLERATED else None
        # A clock that is ahead betrays itself: no message can arrive before it was sent.
        return self._smallest if self._smallest is not None and self._smallest < -TOLERATED else None

    @property
    def is_doubtful(self) -> bool:
        """Whether everything so far has waited, or the clock is behind; or it was ahead, and may have been set."""
        is_late = self._estimate is None and self._smallest is not None and self._smallest > TOLERATED
        return is_late or self._is_puzzled

    def booted(self) -> None:
        """The answer to a boot sets the clock, unless what the charger says afterwards of its connectors tells otherwise."""
        self.is_clock_set = True

    def learn(
        self, charger_time: datetime, received_at: datetime, *, is_status: bool = False, is_live: bool = False
    ) -> None:
        """One message with a time. `is_live`: it was asked for, so that only older messages can have waited.

        Messages that follow each other in real time cannot have been queued either.
        """
        if charger_time < EARLIEST_PLAUSIBLE:
            self.is_clock_set &= not is_status
            return
        self.is_clock_set = True
        difference = received_at - charger_time
        if self._may_be_older(charger_time):
            if self._estimate is not None and difference < self._estimate - TOLERATED:
                return
            self._is_puzzled = self._estimate == self.before
        else:
            self._smallest = difference if self._smallest is None else min(difference, self._smallest)
            self._estimate = None if self._estimate is None else min(difference, self._estimate)
        if is_live and (self._smallest is None or difference <= self._smallest + REAL_TIME_SLACK):
            self._estimate, self._is_puzzled = difference, False
        self._follow(charger_time, received_at, difference)

    def _may_be_older(self, charger_time: datetime) -> bool:
        """Whether the message may have been made before this connection, by a clock that was ahead and has been set meanwhile."""
        return self.before is not None and self.before < -TOLERATED and charger_time + self.before < self._connected_at

    def _follow(self, charger_time: datetime, received_at: datetime, difference: timedelta) -> None:
        if self._anchor is None:
            self._anchor, self._run = (charger_time, received_at), difference
            return
        step, received_step = charger_time - self._anchor[0], received_at - self._anchor[1]
        if timedelta() <= step < SHORTEST_STEP:
            return
        self._anchor = (charger_time, received_at)
        if step < timedelta() or abs(step - received_step) > REAL_TIME_SLACK:
            self._steps, self._run = 0, difference
            return
        self._steps += 1
        self._run = min(self._run, difference)
        if self._estimate is None:
            if self._steps >= STEPS_IN_REAL_TIME:
                self._estimate = self._smallest
        elif self._steps >= STEPS_OF_A_JUMP and self._run > self._estimate + TOLERATED:
            self._estimate = self._smallest = self._run
