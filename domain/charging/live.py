"""The live state of chargers while a machine door works on it: read under a lock, changed in memory, written once, told once.

Call everything here inside a transaction. What is returned is published after its commit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from domain import sql
from domain.charging.modes import Lines, ModeFacts, operating_mode
from domain.events import ChargerStatusChanged, StatusWarning
from domain.observations import ConnectorStatus
from domain.roles import AlertKind, AlertState, ExternalMode, OperatingMode, PhaseRotation, Severity

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 5.0
"""Within which an external system answers (domain.md §4)."""
NO_CURRENT: Lines = (0.0, 0.0, 0.0)
VOLTS_TO_NEUTRAL = 230.0
PHASES = 3
IDLE_BELOW_A = 0.5
"""A car that does not charge draws less, for its electronics."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a charger is and where it hangs, with the names that a session takes along."""

    charger_id: UUID
    installation_id: UUID
    station_id: UUID | None
    circuit_id: UUID
    evse: int
    charger_name: str
    circuit_name: str
    installation_name: str
    time_zone: str
    phase_rotation: PhaseRotation
    max_current_a: float
    is_usable: bool
    """The charger is enabled and its installation active."""
    authentication_required: bool
    allows_concurrent: bool
    external_mode: ExternalMode
    """What the site's external system is for."""
    external_timeout_s: float

    @property
    def rating_w(self) -> float:
        """The most it could deliver, generously: three phases to neutral whatever the wiring."""
        return self.max_current_a * VOLTS_TO_NEUTRAL * PHASES


class Live(msgspec.Struct):
    """A charger's newest known state."""

    mode: OperatingMode
    is_online: bool
    session_id: UUID | None
    session_user_id: UUID | None
    session_energy_wh: int | None
    power_w: float | None
    currents: Lines | None
    allocated_a: float | None
    allocated_phases: str
    connector_status: ConnectorStatus
    error_code: str | None
    vendor_error_code: str | None
    status_at: datetime | None
    status_received_at: datetime | None
    register_wh: int | None
    measured_at: datetime | None
    observed_at: datetime | None
    received_at: datetime | None
    idle_since: datetime | None
    """Since when it says that it charges, under an offer, while its meter says that nothing flows."""


_ALL = attrgetter(*Live.__struct_fields__)
_SEEN = attrgetter(
    "mode",
    "is_online",
    "session_id",
    "session_user_id",
    "session_energy_wh",
    "power_w",
    "currents",
    "allocated_a",
    "allocated_phases",
)
"""What people can see of a state: a change of it is a new version."""


class Connector:
    """One charger at work: what it is, its live state, how its session stands, and what was read at first."""

    __slots__ = ("_before", "_seen_before", "is_paused", "is_unclaimed", "live", "place", "version", "warnings_changed")

    def __init__(
        self, place: Place, live: Live, *, version: int, is_paused: bool = False, is_unclaimed: bool = False
    ) -> None:
        self.place = place
        self.live = live
        self.version = version
        self.is_paused = is_paused
        self.is_unclaimed = is_unclaimed
        self.warnings_changed = False
        self._before = _ALL(live)
        self._seen_before = _SEEN(live)

    def settle_mode(self) -> None:
        """The mode is what the present facts say."""
        live = self.live
        live.mode = operating_mode(
            ModeFacts(
                status=live.connector_status,
                has_session=live.session_id is not None,
                is_paused=self.is_paused,
                is_unclaimed=self.is_unclaimed,
                allocated_a=live.allocated_a,
            )
        )

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return self.warnings_changed or _ALL(self.live) != self._before

    @property
    def is_seen_changed(self) -> bool:
        """Whether people see a change."""
        return self.warnings_changed or _SEEN(self.live) != self._seen_before


_SELECT = """
SELECT c.id AS charger_id, c.installation_id, c.station_id, c.circuit_id, c.evse, c.name AS charger_name,
  k.name AS circuit_name, i.name AS installation_name, i.time_zone, c.phase_rotation, c.max_current_a, c.is_enabled,
  i.is_active, c.authentication_required, i.authentication_required AS site_requires, i.allows_concurrent,
  x.mode AS external_mode, x.timeout_s AS external_timeout_s,
  t.version, t.mode, t.is_online, t.connector_status, t.error_code, t.vendor_error_code, t.status_at, t.status_received_at, t.session_id,
  t.session_user_id, t.session_energy_wh, t.register_wh, t.power_w, t.current_l1, t.current_l2, t.current_l3,
  t.measured_at, t.allocated_a, t.allocated_phases, t.observed_at, t.received_at, t.idle_since,
  s.is_paused, s.id_token, s.authorized_at
FROM charger_statuses t
JOIN chargers c ON c.id = t.charger_id
JOIN circuits k ON k.id = c.circuit_id
JOIN installations i ON i.id = c.installation_id
LEFT JOIN external_authentications x ON x.installation_id = i.id
LEFT JOIN charge_sessions s ON s.id = t.session_id
WHERE c.removed_at IS NULL AND """


async def of_stations(station_ids: Sequence[UUID]) -> list[Connector]:
    """The chargers of these stations, by station and evse; their states are locked."""
    arguments: list[object] = []
    return await _loaded(sql.any_of("c.station_id", padded(station_ids), arguments), arguments)


async def of_chargers(charger_ids: Sequence[UUID]) -> list[Connector]:
    """These chargers; their states are locked."""
    arguments: list[object] = []
    return await _loaded(sql.any_of("c.id", padded(charger_ids), arguments), arguments)


async def place_of(charger_id: UUID) -> Place | None:
    """What that charger is, without holding it; None when there is no such charger."""
    arguments: list[object] = []
    found = await _loaded(sql.any_of("c.id", [charger_id], arguments), arguments, is_locked=False)
    return found[0].place if found else None


async def _loaded(condition: str, arguments: list[object], *, is_locked: bool = True) -> list[Connector]:
    lock = "" if sql.is_sqlite() or not is_locked else " FOR UPDATE OF t"
    # Everybody locks in the order of ids, so that two batches cannot wait for each other.
    found = await sql.records(f"{_SELECT}{condition} ORDER BY t.charger_id{lock}", *arguments)
    return [_connector(row) for row in found]


def padded(ids: Sequence[T]) -> list[T]:
    """The ids, the last one repeated up to a power of two: statements of few lengths stay prepared."""
    distinct = list(dict.fromkeys(ids))
    if not distinct:
        return distinct
    size = 1 << (len(distinct) - 1).bit_length()
    return distinct + [distinct[-1]] * (size - len(distinct))


def _connector(row: sql.Record) -> Connector:
    is_unclaimed = row["session_id"] is not None and row["id_token"] is None and row["authorized_at"] is None
    return Connector(
        _place(*_PLACE(row)),
        _live(row),
        version=int(row["version"]),
        is_paused=bool(row["is_paused"]),
        is_unclaimed=is_unclaimed,
    )


_PLACE = itemgetter(
    "charger_id",
    "installation_id",
    "station_id",
    "circuit_id",
    "evse",
    "charger_name",
    "circuit_name",
    "installation_name",
    "time_zone",
    "phase_rotation",
    "max_current_a",
    "is_enabled",
    "is_active",
    "authentication_required",
    "site_requires",
    "allows_concurrent",
    "external_mode",
    "external_timeout_s",
)


# A charger's place is read with each of its messages and changes a few times in its life.
@lru_cache(maxsize=16_384)
def _place(
    charger_id: Any,
    installation_id: Any,
    station_id: Any,
    circuit_id: Any,
    evse: int,
    charger_name: str,
    circuit_name: str,
    installation_name: str,
    time_zone: str,
    phase_rotation: str,
    max_current_a: float,
    is_enabled: bool,
    is_active: bool,
    authentication_required: bool | None,
    site_requires: bool,
    allows_concurrent: bool,
    external_mode: str | None,
    external_timeout_s: float | None,
) -> Place:
    return Place(
        charger_id=sql.uuid_of(charger_id),
        installation_id=sql.uuid_of(installation_id),
        station_id=sql.optional_uuid_of(station_id),
        circuit_id=sql.uuid_of(circuit_id),
        evse=int(evse),
        charger_name=charger_name,
        circuit_name=circuit_name,
        installation_name=installation_name,
        time_zone=time_zone,
        phase_rotation=PhaseRotation(phase_rotation),
        max_current_a=float(max_current_a),
        is_usable=bool(is_enabled) and bool(is_active),
        authentication_required=bool(site_requires if authentication_required is None else authentication_required),
        allows_concurrent=bool(allows_concurrent),
        external_mode=ExternalMode(external_mode or ExternalMode.OFF),
        external_timeout_s=float(external_timeout_s or DEFAULT_TIMEOUT_S),
    )


_MODES = {one.value: one for one in OperatingMode}
_STATUSES = {one.value: one for one in ConnectorStatus}


def _live(row: sql.Record) -> Live:
    lines = (row["current_l1"], row["current_l2"], row["current_l3"])
    return Live(
        mode=_MODES[row["mode"]],
        is_online=bool(row["is_online"]),
        session_id=sql.optional_uuid_of(row["session_id"]),
        session_user_id=sql.optional_uuid_of(row["session_user_id"]),
        session_energy_wh=row["session_energy_wh"],
        power_w=row["power_w"],
        currents=None if lines == (None, None, None) else (lines[0] or 0.0, lines[1] or 0.0, lines[2] or 0.0),
        allocated_a=row["allocated_a"],
        allocated_phases=row["allocated_phases"],
        connector_status=_STATUSES[row["connector_status"]],
        error_code=row["error_code"],
        vendor_error_code=row["vendor_error_code"],
        status_at=sql.optional_instant_of(row["status_at"]),
        status_received_at=sql.optional_instant_of(row["status_received_at"]),
        register_wh=row["register_wh"],
        measured_at=sql.optional_instant_of(row["measured_at"]),
        observed_at=sql.optional_instant_of(row["observed_at"]),
        received_at=sql.optional_instant_of(row["received_at"]),
        idle_since=sql.optional_instant_of(row["idle_since"]),
    )


_COLUMNS = sql.Columns(
    "charger_statuses",
    {
        "charger_id": "uuid",
        "version": "int8",
        "mode": "text",
        "is_online": "bool",
        "session_id": "uuid",
        "session_user_id": "uuid",
        "session_energy_wh": "int8",
        "power_w": "float8",
        "current_l1": "float8",
        "current_l2": "float8",
        "current_l3": "float8",
        "allocated_a": "float8",
        "allocated_phases": "text",
        "connector_status": "text",
        "error_code": "text",
        "vendor_error_code": "text",
        "status_at": "timestamptz",
        "register_wh": "int8",
        "measured_at": "timestamptz",
        "observed_at": "timestamptz",
        "received_at": "timestamptz",
        "status_received_at": "timestamptz",
        "idle_since": "timestamptz",
    },
)


async def write(connectors: Iterable[Connector]) -> list[ChargerStatusChanged]:
    """What changed is stored; what people can see of it has a new version and an event with the whole new state."""
    changed = [one for one in connectors if one.is_changed]
    for one in changed:
        one.live.idle_since = _idle_since(one.live)
    told = [one for one in changed if one.is_seen_changed]
    for one in told:
        one.version += 1
    await _COLUMNS.update(map(_values, changed))
    warnings = await _open_warnings([one.place.charger_id for one in told])
    return [_event(one, warnings.get(one.place.charger_id, ())) for one in told]


def _values(one: Connector) -> tuple[object, ...]:
    live = one.live
    return (
        one.place.charger_id,
        one.version,
        live.mode,
        live.is_online,
        live.session_id,
        live.session_user_id,
        live.session_energy_wh,
        live.power_w,
        *(live.currents or (None, None, None)),
        live.allocated_a,
        live.allocated_phases,
        live.connector_status,
        live.error_code,
        live.vendor_error_code,
        live.status_at,
        live.register_wh,
        live.measured_at,
        live.observed_at,
        live.received_at,
        live.status_received_at,
        live.idle_since,
    )


def _idle_since(live: Live) -> datetime | None:
    charges = live.connector_status is ConnectorStatus.CHARGING and live.session_id is not None
    is_offered = live.allocated_a is None or live.allocated_a > 0
    if not charges or not is_offered or live.currents is None or max(live.currents) > IDLE_BELOW_A:
        return None
    return live.idle_since or live.received_at


def _event(one: Connector, warnings: tuple[StatusWarning, ...]) -> ChargerStatusChanged:
    live = one.live
    phases = live.allocated_phases
    return ChargerStatusChanged(
        installation_id=one.place.installation_id,
        charger_id=one.place.charger_id,
        version=one.version,
        mode=live.mode,
        is_online=live.is_online,
        power_w=live.power_w,
        currents=live.currents,
        allocated_a=live.allocated_a,
        allocated_phases=tuple(phases[start : start + 2] for start in range(0, len(phases), 2)),
        session_id=live.session_id,
        session_user_id=live.session_user_id,
        session_energy_wh=live.session_energy_wh,
        warnings=warnings,
        observed_at=live.observed_at,
        received_at=live.received_at,
    )


async def _open_warnings(charger_ids: Sequence[UUID]) -> Mapping[UUID, tuple[StatusWarning, ...]]:
    if not charger_ids:
        return {}
    arguments: list[object] = [AlertState.RESOLVED]
    wanted = sql.any_of("charger_id", padded(charger_ids), arguments)
    found = await sql.rows(
        "SELECT charger_id, kind, severity, message, opened_at, vendor_code FROM alerts"  # noqa: S608  numbers of ours only
        f" WHERE state <> $1 AND {wanted} ORDER BY opened_at, id",
        *arguments,
    )
    by_charger: dict[UUID, tuple[StatusWarning, ...]] = {}
    for row in found:
        charger_id = sql.uuid_of(row["charger_id"])
        warning = StatusWarning(
            kind=AlertKind(row["kind"]),
            severity=Severity(row["severity"]),
            message=row["message"],
            since=sql.instant_of(row["opened_at"]),
            vendor_code=row["vendor_code"],
        )
        by_charger[charger_id] = (*by_charger.get(charger_id, ()), warning)
    return by_charger


async def refresh(charger_ids: Sequence[UUID]) -> list[ChargerStatusChanged]:
    """The modes of these chargers follow from what is stored now: call it where a session was paused, resumed or changed hands."""
    connectors = await of_chargers(charger_ids)
    for one in connectors:
        one.settle_mode()
    return await write(connectors)


async def allocate(charger_id: UUID, current_a: float | None, phases: str) -> list[ChargerStatusChanged]:
    """What the balancer lets the charger draw shows in its status. `phases` are grid lines, e.g. `L1L2L3`."""
    connectors = await of_chargers([charger_id])
    for one in connectors:
        one.live.allocated_a = current_a
        one.live.allocated_phases = phases
        one.settle_mode()
    return await write(connectors)
