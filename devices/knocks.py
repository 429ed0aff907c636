"""What is remembered of chargers that nobody has added: gathered in memory, and written now and then, so that a flood costs little."""

import dataclasses
from collections import Counter

import structlog

from domain import sql
from domain.addresses import network_of
from domain.equipment import unknown_chargers
from domain.equipment.unknown_chargers import Knock

MOST_WAITING = 100
"""Identities that wait to be written: what a flood of them costs the database each time."""
MOST_OF_ADDRESS = 20
"""So many of them from one network, so that one alone crowds out nobody."""

_AWAY = (*sql.DATABASE_AWAY, *sql.DATABASE_TROUBLE)

_log = structlog.get_logger(__name__)


class Knocks:
    """The knocks since the last writing, one an identity."""

    def __init__(self, counts: "Counter[str]") -> None:
        self._counts = counts
        self._waiting: dict[str, Knock] = {}
        self._by_network: Counter[str] = Counter()

    def note(self, knock: Knock) -> None:
        """It is written soon, with what the same identity did before; not where too many others wait, which is counted."""
        known = self._waiting.get(knock.identity)
        if known is not None:
            self._waiting[knock.identity] = _both(known, knock)
            return
        network = network_of(knock.address)
        if len(self._waiting) >= MOST_WAITING or self._by_network[network] >= MOST_OF_ADDRESS:
            self._counts["knocks not noted"] += 1
            return
        self._waiting[knock.identity] = knock
        self._by_network[network] += 1

    async def write(self) -> None:
        """What waited is in the table. While the database is away it goes on waiting."""
        if not self._waiting:
            return
        written = self._waiting
        self._waiting, self._by_network = {}, Counter()
        try:
            evicted = await unknown_chargers.note(list(written.values()))
        except _AWAY:
            newer = self._waiting
            self._waiting = {}
            for knock in (*written.values(), *newer.values()):
                self.note(knock)
            return
        if evicted:
            self._counts["unknown chargers forgotten"] += evicted
            _log.warning("unknown chargers were forgotten: too many knock", forgotten=evicted)


def _both(earlier: Knock, later: Knock) -> Knock:
    """One knock for two of the same identity."""
    told = {
        name: getattr(later, name) or getattr(earlier, name)
        for name in ("protocol", "vendor", "model", "serial_number", "firmware_version")
    }
    first = earlier.password_hash or later.password_hash
    return dataclasses.replace(
        later,
        attempts=earlier.attempts + later.attempts,
        password_hash=first,
        is_contested=earlier.is_contested
        or later.is_contested
        or (later.password_hash is not None and later.password_hash != first),
        **told,
    )
