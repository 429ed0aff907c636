"""Cars coming to a simulated charger and leaving it, by plan, by habit or by hand."""

from random import Random

from devices.simulator.plan import Habits, Visit
from devices.simulator.station import Station
from domain.clock import Clock

NEVER_S = float("inf")


class Visits:
    """Who comes next and when; `due_s` (monotonic) is when the next car comes or the present one leaves."""

    def __init__(
        self,
        station: Station,
        planned: tuple[Visit, ...] | None,
        habits: Habits | None,
        *,
        random: Random,
        clock: Clock,
    ) -> None:
        self.due_s = NEVER_S
        self._station = station
        self._planned = None if planned is None else iter(planned)
        self._habits = habits
        self._random = random
        self._clock = clock
        self._visit: Visit | None = None

    def plan_next(self) -> None:
        """The next car is on its way, if one will come at all."""
        if self._planned is not None:
            self._visit = next(self._planned, None)
        else:
            self._visit = None if self._habits is None else self._habits.visit(self._random)
        self.due_s = NEVER_S if self._visit is None else self._clock.monotonic() + self._visit.after_s

    def advance(self) -> None:
        """Whoever was to come or to leave by now has done so."""
        if self._clock.monotonic() < self.due_s:
            return
        if self._station.car is not None:
            self.depart()
        elif self._visit is not None:
            self.arrive(self._visit)

    def arrive(self, visit: Visit) -> None:
        """The car comes now and stays as long as it wants; nothing where another car stands."""
        if self._station.car is None:
            self._visit = visit
            self.due_s = self._clock.monotonic() + visit.stay_s
            self._station.plug_in(visit)

    def depart(self) -> None:
        """The car leaves now, and the next one is planned."""
        self._station.unplug(by_card=self._visit is not None and self._visit.stops_by_card)
        self.plan_next()

    def close(self) -> None:
        """The car leaves now, and none comes any more."""
        self._planned = iter(())
        self.depart()
