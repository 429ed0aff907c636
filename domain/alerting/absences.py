"""Chargers that are not heard of: each has an alert, and where most of a place is gone the place has one instead.

Machines only. A charger counts as missed once it was here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import sql
from domain.alerting import alert_book, alert_news, faults
from domain.alerting.alert_book import Finding, Thing
from domain.alerting.alert_news import Occasion
from domain.charging import live
from domain.charging.live import Connector
from domain.equipment.presence import Presences
from domain.events import AlertChanged, Event
from domain.roles import AlertKind

GATHERING = 15
"""The part of the grace for which others are waited for when a grace ends: those that failed together are told of together."""
LEAST_FOR_ALL = 3
"""Fewer chargers than this are told of one by one."""

_ABSENT = """
SELECT c.id, c.installation_id, s.last_seen_at FROM chargers c JOIN stations s ON s.id = c.station_id
JOIN installations i ON i.id = c.installation_id
WHERE c.removed_at IS NULL AND c.is_enabled AND i.is_active AND NOT s.is_connected AND s.last_seen_at <= $1
  AND NOT EXISTS (SELECT 1 FROM alerts a WHERE a.open_key = '{kind}:' || {id})
ORDER BY c.installation_id, c.id LIMIT 2000
"""
_COMING_AND_GOING = """
SELECT c.id, c.installation_id, s.id AS station_id, s.is_connected, s.connected_at, s.disconnected_at FROM stations s
JOIN chargers c ON c.station_id = s.id JOIN installations i ON i.id = c.installation_id
WHERE s.disconnected_at > $1 AND c.removed_at IS NULL AND c.is_enabled AND i.is_active ORDER BY c.installation_id, c.id
"""
_UNSTEADY = """
SELECT a.id, a.charger_id, c.station_id FROM alerts a JOIN chargers c ON c.id = a.charger_id JOIN stations s ON s.id = c.station_id
WHERE a.open_key IS NOT NULL AND a.kind = $1 AND a.vendor_code = $2 AND s.is_connected ORDER BY a.charger_id LIMIT 500
"""
_WHOLE = """
SELECT a.id, a.installation_id FROM alerts a WHERE a.open_key IS NOT NULL AND a.kind = $1 ORDER BY a.installation_id
"""
_COUNTED = """
SELECT c.installation_id, COUNT(*) AS total, SUM(CASE WHEN s.is_connected THEN 0 ELSE 1 END) AS gone FROM chargers c
JOIN stations s ON s.id = c.station_id
WHERE c.removed_at IS NULL AND c.is_enabled AND s.last_seen_at IS NOT NULL AND {places} GROUP BY c.installation_id
"""


@dataclass(frozen=True, slots=True)
class Missed:
    """A charger whose grace has ended, at `due_at`. `since`: when it was last heard of."""

    charger_id: UUID
    installation_id: UUID
    due_at: datetime
    since: datetime
    code: str | None = None


@dataclass
class AbsenceWatch:
    """Looks who is gone while a process runs; what it has seen of comings and goings is its own memory."""

    grace: timedelta
    started_at: datetime
    """Of the portal: before that nobody could be heard."""
    _presences: Presences = field(init=False)
    _unsteady_since: dict[UUID, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._presences = Presences(self.grace)

    async def check(self, *, now: datetime) -> list[Event]:
        """Whoever has been silent for the grace, or was here for less than half of it and comes and goes, has an open alert, a fifteenth
        of the grace later. Where more than half of a place's chargers and at least three are gone by then, the place has one, and theirs
        are parts of it; it is over when half of them are back.
        """
        unsteady = await self._look(now)
        events = await _back_at_places(now=now)
        if now - self.started_at < self.grace:
            return events
        events += await self._steady_again(now)
        missed = [*await self._silent(now), *unsteady]
        if missed:
            events += await self._open(missed, now)
        return events

    async def _silent(self, now: datetime) -> list[Missed]:
        key = "c.id" if sql.is_sqlite() else "CAST(c.id AS TEXT)"
        statement = _ABSENT.format(kind=AlertKind.CHARGER_OFFLINE.value, id=key)
        found = await sql.rows(statement, now - self.grace)
        return [
            Missed(
                sql.uuid_of(row["id"]),
                sql.uuid_of(row["installation_id"]),
                max(sql.instant_of(row["last_seen_at"]), self.started_at) + self.grace,
                sql.instant_of(row["last_seen_at"]),
            )
            for row in found
        ]

    async def _look(self, now: datetime) -> list[Missed]:
        """Those who come and go."""
        rows = await sql.rows(_COMING_AND_GOING, now - self.grace)
        for row in rows:
            self._presences.note(
                sql.uuid_of(row["station_id"]),
                is_here=bool(row["is_connected"]),
                came_at=sql.optional_instant_of(row["connected_at"]),
                went_at=sql.optional_instant_of(row["disconnected_at"]),
                now=now,
            )
        self._presences.keep_only({sql.uuid_of(row["station_id"]) for row in rows})
        unsteady = [row for row in rows if self._presences.is_unsteady(sql.uuid_of(row["station_id"]), now)]
        here = {sql.uuid_of(row["id"]) for row in unsteady}
        self._unsteady_since = {one: self._unsteady_since.get(one, now) for one in here}
        return [
            Missed(charger_id, sql.uuid_of(row["installation_id"]), since, since, faults.UNSTEADY)
            for row in unsteady
            for charger_id in (sql.uuid_of(row["id"]),)
            for since in (self._unsteady_since[charger_id],)
        ]

    async def _steady_again(self, now: datetime) -> list[Event]:
        """Those who have come to stay."""
        rows = await sql.rows(_UNSTEADY, AlertKind.CHARGER_OFFLINE, faults.UNSTEADY)
        over = {
            sql.uuid_of(row["charger_id"]): sql.uuid_of(row["id"])
            for row in rows
            if not self._presences.is_unsteady(sql.uuid_of(row["station_id"]), now)
        }
        if not over:
            return []
        async with in_transaction():
            connectors = await live.of_chargers(list(over))
            events: list[Event] = [*await alert_book.resolved(list(over.values()), now=now)]
            return [*events, *await _written(connectors)]

    async def _open(self, missed: Sequence[Missed], now: datetime) -> list[Event]:
        places: dict[UUID, list[Missed]] = {}
        for one in missed:
            places.setdefault(one.installation_id, []).append(one)
        whole = {place: alert_id for alert_id, place in await _open_places()}
        events: list[Event] = []
        for place, some in places.items():
            is_time = min(one.due_at for one in some) + self.grace / GATHERING <= now
            if is_time or place in whole:
                events += await _told(place, some, whole.get(place), now=now)
        return events


async def _told(place: UUID, missed: Sequence[Missed], whole: UUID | None, *, now: datetime) -> list[Event]:
    """The alerts of these chargers are open, as parts of the place's where there is one or is to be."""
    async with in_transaction():
        connectors = {one.place.charger_id: one for one in await live.of_chargers([one.charger_id for one in missed])}
        events: list[Event] = []
        if whole is None and _is_most(*(await _counted([place])).get(place, (0, 0))):
            since = min(one.since for one in missed)
            opened = await alert_book.opened(
                Finding(thing=Thing(place), kind=AlertKind.INSTALLATION_OFFLINE), now=now, since=since
            )
            if opened is not None:
                whole = opened.alert_id
                events += [opened, *await _fold(place, whole)]
        for one in missed:
            connector = connectors.get(one.charger_id)
            # Who came back since we looked was heard before the alert was there.
            is_back = connector is not None and connector.live.is_online and one.code is None
            if connector is not None and not is_back and connector.place.installation_id == place:
                events += await _missing(connector, one, whole, now=now)
        return [*events, *await live.write(connectors.values())]


async def _missing(connector: Connector, missed: Missed, whole: UUID | None, *, now: datetime) -> list[Event]:
    finding = Finding(
        thing=Thing(missed.installation_id, missed.charger_id),
        kind=AlertKind.CHARGER_OFFLINE,
        code=missed.code,
        info="It comes and goes." if missed.code else None,
        folded_into=whole,
    )
    event = await alert_book.opened(finding, now=now, since=missed.since)
    if event is None:
        return []
    connector.warnings_changed = True
    return [event]


def _is_most(total: int, gone: int) -> bool:
    return gone >= LEAST_FOR_ALL and gone * 2 > total


async def _counted(places: Sequence[UUID]) -> Mapping[UUID, tuple[int, int]]:
    """(chargers that were here once, those that are gone) of each place."""
    arguments: list[object] = []
    statement = _COUNTED.format(places=sql.any_of("c.installation_id", places, arguments))
    return {
        sql.uuid_of(row["installation_id"]): (int(row["total"]), int(row["gone"]))
        for row in await sql.rows(statement, *arguments)
    }


async def _open_places() -> list[tuple[UUID, UUID]]:
    """(alert, installation) of each place that is gone as a whole."""
    rows = await sql.rows(_WHOLE, AlertKind.INSTALLATION_OFFLINE)
    return [(sql.uuid_of(row["id"]), sql.uuid_of(row["installation_id"])) for row in rows]


async def _back_at_places(*, now: datetime) -> list[Event]:
    """Places of which half is back are gone no more; who is still missed there stands alone again."""
    found = await _open_places()
    if not found:
        return []
    counted = await _counted([place for _, place in found])
    events: list[Event] = []
    for alert_id, place in found:
        total, gone = counted.get(place, (0, 0))
        if gone * 2 <= total:
            async with in_transaction():
                events += await alert_book.resolved([alert_id], now=now)
                events += await _unfold(alert_id, now=now)
    return events


async def _fold(place: UUID, whole: UUID) -> list[AlertChanged]:
    """Who was missed there before is a part of it, too."""
    rows = await sql.rows(
        "UPDATE alerts SET folded_into_id = $1 WHERE installation_id = $2 AND kind = $3 AND open_key IS NOT NULL"
        " RETURNING id, charger_id",
        whole,
        place,
        AlertKind.CHARGER_OFFLINE,
    )
    return list(_events(rows, place))


async def _unfold(whole: UUID, *, now: datetime) -> list[AlertChanged]:
    rows = await sql.rows(
        "UPDATE alerts SET folded_into_id = NULL WHERE folded_into_id = $1 AND open_key IS NOT NULL"
        " RETURNING id, installation_id, charger_id",
        whole,
    )
    for row in rows:
        # Whoever was told of the whole is told of those that stand alone now.
        await alert_news.put(sql.uuid_of(row["id"]), Occasion.OPENED, now=now)
    return [event for row in rows for event in _events([row], sql.uuid_of(row["installation_id"]))]


def _events(rows: Iterable[sql.Row], place: UUID) -> Iterable[AlertChanged]:
    return (AlertChanged(sql.uuid_of(row["id"]), place, sql.optional_uuid_of(row["charger_id"])) for row in rows)


async def _written(connectors: Sequence[Connector]) -> list[Event]:
    for one in connectors:
        one.warnings_changed = True
    return list(await live.write(connectors))
