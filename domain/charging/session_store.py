"""Charge sessions as the machine doors work on them: rows in, records in memory, rows out, a few statements for many."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec

from domain import sql
from domain.charging.energy_intervals import Part
from domain.charging.live import padded
from domain.charging.session_rules import Reading
from domain.roles import SessionFlag, SessionState, StopReason


class SessionRecord(msgspec.Struct):
    """A row of charge_sessions, as far as machines write it."""

    id: UUID
    installation_id: UUID
    circuit_id: UUID | None
    charger_id: UUID
    user_id: UUID | None
    card_id: UUID | None
    installation_name: str
    circuit_name: str | None
    charger_name: str
    user_name: str | None
    card_name: str | None
    time_zone: str
    id_token: str | None
    station_id: UUID | None
    transaction_id: str | None
    start_key: str | None
    stop_key: str | None
    state: SessionState
    flags: SessionFlag
    authorized_at: datetime | None
    started_at: datetime
    ended_at: datetime | None
    registered_at: datetime | None
    last_event_at: datetime | None
    device_started_at: datetime | None
    inferred_end_due_at: datetime | None
    meter_start_wh: int | None
    meter_last_wh: int | None
    meter_stop_wh: int | None
    energy_wh: int | None
    connected_s: int
    charging_s: int
    stop_reason: StopReason | None
    is_paused: bool
    priority: int
    external_id: str | None
    created_at: datetime

    @property
    def is_open(self) -> bool:
        """Whether the charge goes on, as far as is known."""
        return self.state is SessionState.ACTIVE

    @property
    def is_going_on(self) -> bool:
        """Whether nothing speaks of its end yet."""
        return self.is_open and self.inferred_end_due_at is None

    @property
    def is_unclaimed(self) -> bool:
        """Whether nobody has shown a card for it yet, where one is asked for."""
        return self.id_token is None and self.authorized_at is None

    @property
    def is_inferred(self) -> bool:
        """Whether its end is only a conclusion, so that the real one is still welcome."""
        return SessionFlag.END_INFERRED in self.flags


_COLUMNS = SessionRecord.__struct_fields__
_OF_PEOPLE = {"is_paused", "priority", "created_at", "id", "installation_id", "circuit_id", "charger_id"}
"""Never written over: people change them meanwhile, or they never change."""
_WRITTEN = tuple(name for name in _COLUMNS if name not in _OF_PEOPLE)

_ID, _TEXT, _TIME, _LONG, _INT = "uuid", "text", "timestamptz", "int8", "int4"
_TYPES = {
    **dict.fromkeys(("id", "installation_id", "circuit_id", "charger_id", "user_id", "card_id", "station_id"), _ID),
    **dict.fromkeys(
        (
            "authorized_at",
            "started_at",
            "ended_at",
            "registered_at",
            "last_event_at",
            "device_started_at",
            "inferred_end_due_at",
            "created_at",
        ),
        _TIME,
    ),
    **dict.fromkeys(("meter_start_wh", "meter_last_wh", "meter_stop_wh", "energy_wh"), _LONG),
    **dict.fromkeys(("flags", "connected_s", "charging_s", "priority"), _INT),
    "is_paused": "bool",
}
_PROGRESS = (
    "flags",
    "last_event_at",
    "connected_s",
    "charging_s",
    "meter_start_wh",
    "meter_last_wh",
    "energy_wh",
)
"""What readings change."""


def _columns(*names: str) -> tuple[sql.Columns, Callable[[SessionRecord], tuple[Any, ...]]]:
    return sql.Columns("charge_sessions", {name: _TYPES.get(name, _TEXT) for name in names}), attrgetter(*names)


_WHOLE, _WHOLE_OF = _columns(*_COLUMNS)
_CHANGED, _CHANGED_OF = _columns("id", *_WRITTEN)
_READ_ON, _READ_ON_OF = _columns("id", *_PROGRESS)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM charge_sessions WHERE "  # noqa: S608  names of ours only


_STATES = {one.value: one for one in SessionState}


@lru_cache(maxsize=1024)
def _flags(mask: int) -> SessionFlag:
    # To make one of an enumeration takes microseconds, and every reading has one.
    return SessionFlag(mask)


def _stop_reason(value: Any) -> StopReason | None:
    return None if value is None else StopReason(value)


_FROM_SQLITE: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("id", "installation_id", "charger_id"), sql.uuid_of),
    **dict.fromkeys(("circuit_id", "user_id", "card_id", "station_id"), sql.optional_uuid_of),
    **dict.fromkeys(("started_at", "created_at"), sql.instant_of),
    **dict.fromkeys(
        (
            "authorized_at",
            "ended_at",
            "registered_at",
            "last_event_at",
            "device_started_at",
            "inferred_end_due_at",
        ),
        sql.optional_instant_of,
    ),
    "is_paused": bool,
}
"""What SQLite has in another form."""


def _record(row: sql.Record) -> SessionRecord:
    record = SessionRecord(*row)
    if not isinstance(row["id"], UUID):
        for name, read in _FROM_SQLITE.items():
            setattr(record, name, read(getattr(record, name)))
    record.state = _STATES[record.state]
    record.flags = _flags(record.flags)
    record.stop_reason = _stop_reason(record.stop_reason)
    return record


async def open_of_stations(station_ids: Sequence[UUID]) -> list[SessionRecord]:
    """Every session that goes on at these stations, oldest first."""
    arguments: list[object] = [SessionState.ACTIVE]
    condition = sql.any_of("station_id", padded(station_ids), arguments)
    return [
        _record(row)
        for row in await sql.records(
            f"{_SELECT} state = $1 AND replaced_by_id IS NULL AND {condition} ORDER BY started_at, id", *arguments
        )
    ]


async def by_keys(column: str, station_ids: Sequence[UUID], keys: Sequence[str]) -> list[SessionRecord]:
    """Sessions of these stations whose `transaction_id`, `start_key` or `stop_key` is among the keys."""
    if not keys:
        return []
    arguments: list[object] = []
    stations = sql.any_of("station_id", padded(station_ids), arguments)
    wanted = sql.any_of(column, list(dict.fromkeys(keys)), arguments)
    return [_record(row) for row in await sql.records(f"{_SELECT}{stations} AND {wanted}", *arguments)]


async def without_start(station_ids: Sequence[UUID], *, since: datetime) -> list[SessionRecord]:
    """Sessions of these stations of which only the final record came: a start that was overtaken may still follow."""
    if not station_ids:
        return []
    arguments: list[object] = [SessionState.ENDED, since]
    condition = sql.any_of("station_id", padded(station_ids), arguments)
    return [
        _record(row)
        for row in await sql.records(
            f"{_SELECT} state = $1 AND registered_at >= $2 AND start_key IS NULL AND transaction_id IS NULL"
            f" AND {condition} ORDER BY started_at, id",
            *arguments,
        )
    ]


_AWAITING_END = """
SELECT c.id, c.station_id FROM charge_sessions c JOIN stations s ON s.id = c.station_id
WHERE c.inferred_end_due_at <= $1 AND c.state = $2 AND s.is_connected AND s.connected_at <= $3
ORDER BY c.inferred_end_due_at LIMIT $4
"""


async def awaiting_end(*, due: datetime, connected_before: datetime, limit: int) -> dict[UUID, UUID]:
    """Session → station of those whose awaited final record has not come, though the station had time to deliver it."""
    found = await sql.rows(_AWAITING_END, due, SessionState.ACTIVE, connected_before, limit)
    return {sql.uuid_of(row["id"]): sql.uuid_of(row["station_id"]) for row in found}


async def by_ids(ids: Sequence[UUID]) -> list[SessionRecord]:
    """These sessions."""
    arguments: list[object] = []
    condition = sql.any_of("id", padded(ids), arguments)
    return [_record(row) for row in await sql.records(f"{_SELECT}{condition} ORDER BY id", *arguments)]


async def insert(records: Iterable[SessionRecord]) -> None:
    """New sessions are stored."""
    await _WHOLE.insert(map(_WHOLE_OF, records))


async def update(records: Iterable[SessionRecord]) -> None:
    """Known sessions are stored, but for what people decide about them."""
    await _CHANGED.update(map(_CHANGED_OF, records))


async def update_progress(records: Iterable[SessionRecord]) -> None:
    """What readings have changed of known sessions is stored."""
    await _READ_ON.update(map(_READ_ON_OF, records))


class SampleRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One reading to be stored."""

    installation_id: UUID
    charger_id: UUID
    session_id: UUID | None
    at: datetime
    received_at: datetime
    context: str
    register_wh: int | None
    power_w: float | None
    currents: tuple[float | None, float | None, float | None]


_SAMPLES = sql.Columns(
    "samples",
    {
        **dict.fromkeys(("installation_id", "charger_id", "session_id"), _ID),
        **dict.fromkeys(("at", "received_at"), _TIME),
        "context": _TEXT,
        "register_wh": _LONG,
        **dict.fromkeys(("power_w", "current_l1", "current_l2", "current_l3"), "float8"),
    },
)


async def insert_samples(samples: Iterable[SampleRow]) -> None:
    """The readings are stored, each once however often it is delivered."""
    await _SAMPLES.insert(
        (
            (
                one.installation_id,
                one.charger_id,
                one.session_id,
                one.at,
                one.received_at,
                one.context[:24],
                one.register_wh,
                one.power_w,
                *one.currents,
            )
            for one in samples
        ),
        unless="charger_id, at, context",
    )


# A reading that was received before the session was heard of whose it is was given to that session by this very statement, not by the
# charger. What an ended session has is taken back only where its energy does not follow from its readings.
_ADOPT = """
UPDATE samples SET session_id = $1
WHERE charger_id = $2 AND at >= $3 AND COALESCE(at <= $4, TRUE) AND COALESCE(at < $5, TRUE)
AND NOT EXISTS (
  SELECT 1 FROM charge_sessions n
  WHERE n.charger_id = $2 AND n.id <> $1 AND n.started_at > $3 AND n.started_at <= samples.at AND n.replaced_by_id IS NULL)
AND (session_id IS NULL OR EXISTS (
  SELECT 1 FROM charge_sessions o
  WHERE o.id = samples.session_id AND o.id <> $1 AND o.started_at < $3 AND samples.received_at <= o.created_at
  AND (o.flags & $6) = 0 AND (o.ended_at IS NULL OR (o.ended_at <= $3 AND (o.flags & $7) = 0))))
"""


async def adopt_samples(session: SessionRecord, *, until: datetime | None) -> None:
    """The session has the readings that came before anybody knew whose they are: those of its time at its charger, which goes to its end,
    to the next start that is stored, or to `until`, a start that is not. Also those that an earlier session took for want of this one.
    """
    wrong, estimated = SessionFlag.CLOCK_UNRELIABLE, SessionFlag.ENERGY_ESTIMATED
    where = (session.id, session.charger_id, session.started_at, session.ended_at, until)
    await sql.execute(_ADOPT, *where, int(wrong), int(estimated))


async def readings(session_ids: Sequence[UUID]) -> dict[UUID, list[Reading]]:
    """The stored readings of each session, in order of time."""
    if not session_ids:
        return {}
    arguments: list[object] = []
    condition = sql.any_of("session_id", padded(session_ids), arguments)
    found = await sql.rows(
        "SELECT session_id, at, register_wh, current_l1, current_l2, current_l3 FROM samples"  # noqa: S608
        f" WHERE {condition} ORDER BY session_id, at, id",
        *arguments,
    )
    by_session: dict[UUID, list[Reading]] = {}
    for row in found:
        currents = [row[name] for name in ("current_l1", "current_l2", "current_l3") if row[name] is not None]
        reading = Reading(sql.instant_of(row["at"]), row["register_wh"], max(currents, default=None))
        by_session.setdefault(sql.uuid_of(row["session_id"]), []).append(reading)
    return by_session


_LOWEST_AFTER = "(SELECT MIN(register_wh) FROM samples WHERE charger_id = ${} AND session_id = ${} AND at > ${})"


async def lowest_after(
    asked: Iterable[tuple[SessionRecord, datetime]], *, by: timedelta
) -> dict[tuple[UUID, datetime], int | None]:
    """(Session, instant) → the lowest register that the session has of a time more than `by` later; None where it has none."""
    found: dict[tuple[UUID, datetime], int | None] = {}
    distinct = {(one.id, at): one for one, at in asked}
    for some in sql.in_chunks(list(distinct)):
        arguments: list[object] = []
        for session_id, at in padded(some):
            arguments += [distinct[session_id, at].charger_id, session_id, at + by]
        marks = range(1, len(arguments), 3)
        looked_up = ", ".join(_LOWEST_AFTER.format(mark, mark + 1, mark + 2) for mark in marks)
        (row,) = await sql.records(f"SELECT {looked_up}", *arguments)
        found |= dict(zip(some, row, strict=False))
    return found


_PARTS = sql.Columns(
    "energy_intervals",
    {
        "session_id": _ID,
        "installation_id": _ID,
        "start_at": _TIME,
        "end_at": _TIME,
        "energy_wh": _LONG,
        "quality": _TEXT,
    },
)


async def replace_intervals(parts: dict[UUID, tuple[UUID, Sequence[Part]]]) -> None:
    """Session → (installation, parts): the sessions' intervals are these and no others."""
    if not parts:
        return
    arguments: list[object] = []
    condition = sql.any_of("session_id", padded(list(parts)), arguments)
    await sql.execute(f"DELETE FROM energy_intervals WHERE {condition}", *arguments)  # noqa: S608
    await _PARTS.insert(
        (session_id, installation_id, part.start_at, part.end_at, part.energy_wh, part.quality)
        for session_id, (installation_id, session_parts) in parts.items()
        for part in session_parts
    )
