"""What this process knows of each kind of charger: the tables, and what chargers have taught, read once a kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.clock import Clock
from domain.equipment import charger_kinds
from domain.equipment.capabilities import Capabilities, ChargerModels, Kind

_SAID = {"rate_unit", "most_stack_level"}
"""What a charger is asked for; the rest shows."""


@dataclass(slots=True)
class Kinds:
    """The capabilities of every kind. What another process has learnt since is known after the next start."""

    models: ChargerModels
    clock: Clock
    _learnt: dict[Kind, Mapping[str, object]] = field(default_factory=dict)
    _reporting: set[Kind] = field(default_factory=set)

    def of(self, kind: Kind) -> Capabilities:
        """As far as they are known here by now."""
        return self.models.of(kind, self._learnt.get(kind))

    async def is_known(self, kind: Kind) -> bool:
        """Whether a charger of that kind has said what it can do."""
        if kind not in self._learnt and (found := await charger_kinds.learnt(kind)) is not None:
            self._learnt[kind] = found
        return not _SAID.isdisjoint(self._learnt.get(kind, {}))

    def asks_for_report(self, kind: Kind) -> bool:
        """Whether nobody of that kind was asked for all that it has to tell; from now on somebody was. Once a process: it is much."""
        is_first = kind not in self._reporting
        self._reporting.add(kind)
        return is_first

    def learn(self, kind: Kind, facts: Mapping[str, object]) -> None:
        """These facts hold for every charger of that kind, here and at once."""
        self._learnt[kind] = {**self._learnt.get(kind, {}), **facts}

    async def keep(self, kind: Kind) -> None:
        """What was learnt about that kind outlives this process."""
        await charger_kinds.learn(kind, self._learnt[kind], now=self.clock.now())
