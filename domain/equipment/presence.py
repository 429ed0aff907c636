"""How steadily stations are here: their comings and goings of the last while. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Turn:
    """From then on the station is here, or gone."""

    at: datetime
    is_here: bool


class Presences:
    """Of the stations that have been gone within the window. Before what is noted, a station is taken for here."""

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._turns: dict[UUID, deque[Turn]] = {}

    def note(
        self, station_id: UUID, *, is_here: bool, came_at: datetime | None, went_at: datetime | None, now: datetime
    ) -> None:
        """When it last came and last went, as of now."""
        turns = self._turns.setdefault(station_id, deque())
        last = turns[-1].at if turns else None
        news = [Turn(at, one) for at, one in ((went_at, False), (came_at, True)) if at is not None]
        # At the same instant one connection gave way to the next.
        for turn in sorted(news, key=lambda one: (one.at, one.is_here is is_here)):
            if last is None or turn.at > last:
                turns.append(turn)
        self._forget(station_id, now)

    def _forget(self, station_id: UUID, now: datetime) -> None:
        turns = self._turns[station_id]
        # The newest one before the window says how it was when the window began.
        while len(turns) > 1 and turns[1].at <= now - self._window:
            turns.popleft()

    def keep_only(self, station_ids: set[UUID]) -> None:
        """The others have been here all the time."""
        for gone in self._turns.keys() - station_ids:
            del self._turns[gone]

    def here_for(self, station_id: UUID, now: datetime) -> timedelta:
        """How much of the window it has been here."""
        begin = now - self._window
        return sum(
            (until - since for since, until, is_here in self._stretches(station_id, begin, now) if is_here), timedelta()
        )

    def departures(self, station_id: UUID, now: datetime) -> int:
        """How often it went within the window."""
        begin = now - self._window
        return sum(not turn.is_here and turn.at > begin for turn in self._turns.get(station_id, ()))

    def is_unsteady(self, station_id: UUID, now: datetime) -> bool:
        """Whether it comes and goes, and is here for less than half of the time."""
        return self.departures(station_id, now) > 1 and self.here_for(station_id, now) < self._window / 2

    def _stretches(self, station_id: UUID, begin: datetime, now: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
        since, is_here = begin, True
        for turn in self._turns.get(station_id, ()):
            if turn.at > begin:
                yield since, turn.at, is_here
                since = turn.at
            is_here = turn.is_here
        yield since, now, is_here
