"""Charge sessions as one person sees them: pages, single rows, and when their energy was taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access, anyone_holding
from domain.charging.energy_intervals import Part
from domain.filters import ANYTHING, Columns, Comparison, Condition, Every, Expression, Term, check_size, sql_of
from domain.pages import KeyKind, Keyset, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import DateQuality, IntervalQuality, Role, SessionFlag, SessionState, StopReason
from domain.usage.interval_cuts import clipped, evenly

LONGEST_DETAILS = timedelta(days=31)

_OFFLINE, _UNRELIABLE = int(SessionFlag.OFFLINE), int(SessionFlag.CLOCK_UNRELIABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session that this person may see. Energy in Wh, None when void or unknown; the circuit's name only for who sees circuits."""

    id: UUID
    state: SessionState
    installation_id: UUID
    installation_name: str
    time_zone: str
    charger_id: UUID
    charger_name: str
    circuit_name: str | None
    is_viewers: bool
    user_id: UUID | None
    user_name: str | None
    card_id: UUID | None
    card_name: str | None
    authorized_at: datetime | None
    started_at: datetime
    ended_at: datetime | None
    registered_at: datetime | None
    flag_set: SessionFlag
    energy_wh: int | None
    connected_seconds: int
    charging_seconds: int
    stop_reason: StopReason | None
    external_id: str | None
    replaced_by_id: UUID | None
    is_paused: bool
    priority: int
    energy_target_wh: int | None
    departure_at: datetime | None

    @property
    def date_quality(self) -> DateQuality:
        """How far the dates can be trusted (domain.md §5)."""
        if SessionFlag.CLOCK_UNRELIABLE in self.flag_set:
            return DateQuality.UNRELIABLE
        return DateQuality.OFFLINE if SessionFlag.OFFLINE in self.flag_set else DateQuality.EXACT

    @property
    def flags(self) -> list[SessionFlag]:
        """The flags one by one."""
        return list(self.flag_set)


class SessionOrderField(StrEnum):
    """What sessions can be ordered by."""

    STARTED_AT = "STARTED_AT"
    ENDED_AT = "ENDED_AT"
    REGISTERED_AT = "REGISTERED_AT"
    ENERGY = "ENERGY"
    CHARGER_NAME = "CHARGER_NAME"
    USER_NAME = "USER_NAME"


@dataclass(frozen=True, slots=True)
class SessionOrder:
    """One term of an order."""

    field: SessionOrderField = SessionOrderField.STARTED_AT
    is_descending: bool = True


NEWEST_FIRST = (SessionOrder(),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlace:
    """Where a list of sessions hangs: at an installation, at a charger, or (all None, `is_own`) at the person."""

    installation_id: UUID | None = None
    charger_id: UUID | None = None
    is_own: bool = False


EVERYWHERE = SessionPlace()

_ENERGY = f"CASE WHEN s.state <> '{SessionState.VOID}' THEN s.energy_wh END"
"""As it is shown: nothing is found or ordered by the energy of a session that is void."""

SESSION_COLUMNS = f"""
    s.id, s.state, s.installation_id, s.installation_name, s.time_zone, s.charger_id, s.charger_name, s.circuit_name, s.user_id,
    s.user_name, s.card_id, s.card_name, s.authorized_at, s.started_at, s.ended_at, s.registered_at, s.flags,
    s.connected_s, s.charging_s, s.stop_reason, s.external_id, s.replaced_by_id, s.is_paused, s.priority, s.energy_target_wh,
    s.departure_at, {_ENERGY} AS seen_energy_wh, LOWER(s.charger_name) AS charger_key, LOWER(s.user_name) AS user_key
"""
"""What `session_of_row` reads and orders sort by, of `charge_sessions s`."""

_KEYS: Mapping[SessionOrderField, tuple[str, str, KeyKind, bool]] = {
    SessionOrderField.STARTED_AT: ("s.started_at", "started_at", KeyKind.INSTANT, False),
    SessionOrderField.ENDED_AT: ("s.ended_at", "ended_at", KeyKind.INSTANT, True),
    SessionOrderField.REGISTERED_AT: ("s.registered_at", "registered_at", KeyKind.INSTANT, True),
    SessionOrderField.ENERGY: (_ENERGY, "seen_energy_wh", KeyKind.WHOLE, True),
    SessionOrderField.CHARGER_NAME: ("LOWER(s.charger_name)", "charger_key", KeyKind.TEXT, False),
    SessionOrderField.USER_NAME: ("LOWER(s.user_name)", "user_key", KeyKind.TEXT, True),
}


async def sessions_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, SessionRow]:
    """The sessions among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('s.id', list(ids), arguments)} AND {access.sessions_condition('s', arguments)}"
    return {row.id: row for row in await _read(access, condition, arguments)}


async def whole_session(installation_id: UUID, session_id: UUID, *, now: datetime) -> SessionRow | None:
    """The session, if it is one of that installation's, for nobody's eyes in particular. Whoever shows it asks `session_seen_by`."""
    owner = anyone_holding(Role.OWNER, installation_id, now=now)
    return (await sessions_by_ids(owner, [session_id])).get(session_id)


def session_seen_by(access: Access, session: SessionRow) -> SessionRow | None:
    """The whole session as this caller sees it; None when it does not exist for them."""
    if not access.sees_session(
        installation_id=session.installation_id,
        charger_id=session.charger_id,
        user_id=session.user_id,
        started_at=session.started_at,
    ):
        return None
    return replace(
        session,
        circuit_name=session.circuit_name if access.sees_circuits(session.installation_id) else None,
        is_viewers=session.user_id is not None and session.user_id == access.user_id,
    )


async def active_sessions_by_charger_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, SessionRow]:
    """The session that is going on at each of these chargers, where there is one and this person may see it."""
    arguments: list[object] = []
    condition = (
        f"{sql.any_of('s.charger_id', list(ids), arguments)} AND s.state = '{SessionState.ACTIVE}'"
        f" AND {access.sessions_condition('s', arguments)} ORDER BY s.started_at, s.id"
    )
    return {row.charger_id: row for row in await _read(access, condition, arguments)}


MOST_ACTIVE = 10_000
"""Charges that are told of at once; more go on at no place that is followed as one."""


async def active_sessions(access: Access, at: SessionPlace) -> Sequence[SessionRow]:
    """The sessions that go on at that place and exist for this person, oldest first."""
    if access.actor is None or (at.is_own and access.user_id is None):
        return ()
    arguments: list[object] = []
    condition = (
        f"{_visible(access, at, arguments)} AND s.state = '{SessionState.ACTIVE}'"
        f" ORDER BY s.started_at, s.id LIMIT {MOST_ACTIVE}"
    )
    return await _read(access, condition, arguments)


async def replaced_sessions(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, SessionRow]:
    """The session that each of these replaces, by the id of the one that replaces it."""
    arguments: list[object] = []
    condition = (
        f"{sql.any_of('s.replaced_by_id', list(ids), arguments)} AND {access.sessions_condition('s', arguments)}"
    )
    found = await _read(access, condition, arguments)
    return {row.replaced_by_id: row for row in found if row.replaced_by_id is not None}


async def _read(access: Access, condition: str, arguments: Sequence[object]) -> list[SessionRow]:
    statement = f"SELECT {SESSION_COLUMNS} FROM charge_sessions s WHERE {condition}"  # noqa: S608  columns of ours, and marks
    return [session_of_row(access, row) for row in await sql.rows(statement, *arguments)]


async def sessions_page(
    access: Access,
    request: PageRequest,
    *,
    where: Condition = ANYTHING,
    order: Sequence[SessionOrder] = NEWEST_FIRST,
    at: SessionPlace = EVERYWHERE,
) -> Page[SessionRow]:
    """One page of the sessions that exist for this person, newest first unless ordered; ties go by id."""
    if access.actor is None or (at.is_own and access.user_id is None):
        return empty_page()
    check_size(where)
    arguments: list[object] = []
    ways = _ways(access, at, where, arguments)
    filtered = sql_of(where, _filterable(access), arguments)
    counted = list(arguments)
    terms = tuple(order) or NEWEST_FIRST
    keys = [*(_key(term) for term in terms), SortKey("s.id", "id", KeyKind.ID, is_descending=terms[0].is_descending)]
    found = keyset(keys, request, arguments)
    rows = await sql.rows(_page_statement(ways, filtered, found), *arguments)

    async def count() -> int:
        statement = f"SELECT COUNT(*) AS number FROM charge_sessions s WHERE ({' OR '.join(ways)}) AND {filtered}"  # noqa: S608
        return int((await sql.rows(statement, *counted))[0]["number"])

    return page_of(rows, found, request, lambda row: session_of_row(access, row), count=count)


MOST_WAYS = 16
"""So many rights are asked for one by one; more go in one question, which the database may answer by reading all that they reach."""


def _page_statement(ways: Sequence[str], filtered: str, found: Keyset) -> str:
    """The page of all sessions that one of the ways leads to: each has a range of an index in the page's order, their union has none."""
    tail = f"ORDER BY {found.order_by} LIMIT {found.limit}"
    condition = f"({' OR '.join(ways)}) AND {filtered} AND {found.where}"
    if 1 < len(ways) <= MOST_WAYS:
        pages = [
            f"SELECT id FROM (SELECT s.id FROM charge_sessions s WHERE {way} AND {filtered} AND {found.where} {tail}) AS way_{number}"  # noqa: S608
            for number, way in enumerate(ways)
        ]
        condition = f"s.id IN ({' UNION '.join(pages)})"
    return f"SELECT {SESSION_COLUMNS} FROM charge_sessions s WHERE {condition} {tail}"  # noqa: S608  columns of ours, and marks


def _ways(access: Access, at: SessionPlace, where: Condition, arguments: list[object]) -> list[str]:
    """Conditions of which any makes a session of that place exist for the person."""
    if at != EVERYWHERE:
        return [_visible(access, at, arguments)]
    named = _installations_named(where)
    if named and all(map(access.reads_sessions_of, named)):
        ways = []
        for installation_id in sorted(named):
            arguments.append(installation_id)
            ways.append(f"s.installation_id = ${len(arguments)}")
        return ways
    return access.sessions_conditions("s", arguments)


def _installations_named(where: Condition) -> set[UUID]:
    """The installations to which the filter confines the list; empty where it does not."""
    match where:
        case Term("installationId", Comparison.EQUALS | Comparison.ONE_OF, value):
            return set(_ids(value))
        case Every(parts):
            return next((named for named in map(_installations_named, parts) if named), set())
    return set()


def _visible(access: Access, at: SessionPlace, arguments: list[object]) -> str:
    """The sessions of that place that the person may see; an owner's whole installation is one range of an index."""
    if at.is_own:
        arguments.append(access.user_id)
        return f"s.user_id = ${len(arguments)}"
    if at.installation_id is not None:
        arguments.append(at.installation_id)
        place = f"s.installation_id = ${len(arguments)}"
        if access.reads_sessions_of(at.installation_id):
            return place
        return f"{place} AND {access.sessions_condition('s', arguments)}"
    if at.charger_id is not None:
        arguments.append(at.charger_id)
        return f"s.charger_id = ${len(arguments)} AND {access.sessions_condition('s', arguments)}"
    return access.sessions_condition("s", arguments)


def _key(order: SessionOrder) -> SortKey:
    expression, column, kind, is_nullable = _KEYS[order.field]
    return SortKey(expression, column, kind, order.is_descending, is_nullable=is_nullable)


def _ids(value: object) -> tuple[UUID, ...]:
    members = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in members if isinstance(one, UUID))


def _filterable(access: Access) -> Columns:
    """What sessions can be filtered by; what the person may not follow matches nothing, as if it were absent."""

    def installation(value: object, arguments: list[object]) -> str:
        return sql.any_of("s.installation_id", [one for one in _ids(value) if access.sees_installation(one)], arguments)

    def charger(value: object, arguments: list[object]) -> str:
        wanted = sql.any_of("c.id", _ids(value), arguments)
        visible = access.chargers_condition("c", arguments)
        return f"s.charger_id IN (SELECT c.id FROM chargers c WHERE {wanted} AND {visible})"  # noqa: S608  marks only

    def circuit(value: object, arguments: list[object]) -> str:
        wanted = sql.any_of("k.id", _ids(value), arguments)
        visible = access.circuits_condition("k", arguments)
        return f"s.circuit_id IN (SELECT k.id FROM circuits k WHERE {wanted} AND {visible})"  # noqa: S608  marks only

    return {
        "id": Expression("s.id"),
        "installationId": installation,
        "chargerId": charger,
        "circuitId": circuit,
        "userId": Expression("s.user_id"),
        "chargeCardId": Expression("s.card_id"),
        "externalId": Expression("s.external_id", is_text=True),
        "state": Expression("s.state"),
        "startedAt": Expression("s.started_at"),
        "endedAt": Expression("s.ended_at"),
        "registeredAt": Expression("s.registered_at"),
        "energyWh": Expression(_ENERGY),
        "flags": _any_flag,
        "dateQuality": Expression(
            f"CASE WHEN (s.flags & {_UNRELIABLE}) <> 0 THEN '{DateQuality.UNRELIABLE}'"
            f" WHEN (s.flags & {_OFFLINE}) <> 0 THEN '{DateQuality.OFFLINE}' ELSE '{DateQuality.EXACT}' END"
        ),
    }


def _any_flag(value: object, _arguments: list[object]) -> str:
    members = value if isinstance(value, tuple) else (value,)
    mask = sum({int(one) for one in members if isinstance(one, SessionFlag)})
    return f"(s.flags & {mask}) <> 0"


def session_of_row(access: Access, row: sql.Record) -> SessionRow:
    """The session of a row with SESSION_COLUMNS, as this person sees it."""
    state = SessionState(row["state"])
    installation_id, started_at = sql.uuid_of(row["installation_id"]), sql.instant_of(row["started_at"])
    user_id = sql.optional_uuid_of(row["user_id"])
    connected_s = row["connected_s"]
    if state is SessionState.ACTIVE:
        connected_s = max(0, int((access.now - started_at).total_seconds()))
    return SessionRow(
        id=sql.uuid_of(row["id"]),
        state=state,
        installation_id=installation_id,
        installation_name=row["installation_name"],
        time_zone=row["time_zone"],
        charger_id=sql.uuid_of(row["charger_id"]),
        charger_name=row["charger_name"],
        circuit_name=row["circuit_name"] if access.sees_circuits(installation_id) else None,
        is_viewers=user_id is not None and user_id == access.user_id,
        user_id=user_id,
        user_name=row["user_name"],
        card_id=sql.optional_uuid_of(row["card_id"]),
        card_name=row["card_name"],
        authorized_at=sql.optional_instant_of(row["authorized_at"]),
        started_at=started_at,
        ended_at=sql.optional_instant_of(row["ended_at"]),
        registered_at=sql.optional_instant_of(row["registered_at"]),
        flag_set=SessionFlag(row["flags"]),
        energy_wh=row["seen_energy_wh"],
        connected_seconds=connected_s,
        charging_seconds=row["charging_s"],
        stop_reason=None if row["stop_reason"] is None else StopReason(row["stop_reason"]),
        external_id=row["external_id"],
        replaced_by_id=sql.optional_uuid_of(row["replaced_by_id"]),
        is_paused=bool(row["is_paused"]),
        priority=row["priority"],
        energy_target_wh=row["energy_target_wh"],
        departure_at=sql.optional_instant_of(row["departure_at"]),
    )


async def energy_details(
    session: SessionRow, *, since: datetime | None = None, until: datetime | None = None
) -> Sequence[Part]:
    """When the energy was taken: the parts inside [since, until), at most 31 days of them from the first on.

    Of a whole session they add up to its energy. Sessions without samples, as those of imported history, lie evenly over their time.
    """
    first = session.started_at if since is None else max(since, session.started_at)
    if session.state is SessionState.VOID or first > datetime.max.replace(tzinfo=first.tzinfo) - LONGEST_DETAILS:
        return []
    last = first + LONGEST_DETAILS if until is None else min(until, first + LONGEST_DETAILS)
    rows = await sql.rows(_PARTS, session.id, first, last)
    if rows:
        return list(clipped((_part(row) for row in rows), first, last))
    if session.energy_wh is None or session.ended_at is None or session.state is not SessionState.ENDED:
        return []
    if await sql.row("SELECT 1 AS found FROM energy_intervals WHERE session_id = $1 LIMIT 1", session.id):
        return []
    return list(clipped(evenly(session.started_at, session.ended_at, session.energy_wh), first, last))


_PARTS = """
SELECT start_at, end_at, energy_wh, quality FROM energy_intervals
WHERE session_id = $1 AND end_at >= $2 AND start_at < $3 ORDER BY start_at
"""


def _part(row: Mapping[str, Any]) -> Part:
    return Part(
        sql.instant_of(row["start_at"]),
        sql.instant_of(row["end_at"]),
        row["energy_wh"],
        IntervalQuality(row["quality"]),
    )
