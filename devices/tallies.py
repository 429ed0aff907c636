"""What had to be forgiven each kind of charger, and what each charger did wrong, counted for whoever looks after them."""

from collections import Counter
from collections.abc import Hashable
from typing import Final

from domain.equipment.capabilities import Kind

MOST_KINDS: Final = 200
MOST_CHARGERS: Final = 1_000
"""So many have figures of their own; beyond that they count as OTHER, or whoever invents names would fill the memory."""
OTHER: Final = "other"


class Tallies:
    """Since the process began."""

    def __init__(self) -> None:
        self.leniencies: Counter[tuple[str, str, str]] = Counter()
        """By vendor, model and what was forgiven."""
        self.faults: Counter[tuple[str, str]] = Counter()
        """By identity and what was wrong."""
        self._kinds: set[Hashable] = set()
        self._chargers: set[Hashable] = set()

    def forgave(self, kind: Kind, leniency: str) -> None:
        """A message of a charger of that kind was understood all the same."""
        vendor, model = (
            (kind.vendor, kind.model)
            if _has_room(self._kinds, (kind.vendor, kind.model), MOST_KINDS)
            else (OTHER, OTHER)
        )
        self.leniencies[vendor, model, leniency] += 1

    def did_wrong(self, identity: str, what: str) -> None:
        """A charger that is known here by that identity, or whoever uses its name, did that."""
        named = identity if _has_room(self._chargers, identity, MOST_CHARGERS) else OTHER
        self.faults[named, what] += 1


def _has_room(known: set[Hashable], one: Hashable, most: int) -> bool:
    if one not in known and len(known) >= most:
        return False
    known.add(one)
    return True
