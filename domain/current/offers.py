"""The balancer's door: what a site looks like right now, and what was offered and decided. Machines only.

An offer is a reservation: it is stored before it is sent, under the number of the lease, and a writer with an older
number changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import leases, sql
from domain.current import holds
from domain.current.current_limits import limits_of
from domain.equipment.capabilities import DEFAULT, Capabilities, ChargerModels, Kind
from domain.ids import new_id
from domain.observations import ConnectorStatus
from domain.roles import AvailableCurrentMode, BindingLimit, NetworkType, OperatingMode, PhaseRotation
from domain.units import PhaseAmps

NO_AMPS = PhaseAmps.even(0.0)


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """The last reading of the meter at a circuit. `history` is what the balancer wrote down of it; None where it never did."""

    reading: PhaseAmps
    measured_at: datetime
    history: str | None = None


@dataclass(frozen=True, slots=True)
class CircuitFacts:
    """A fuse of the tree; `meter` None: it has none."""

    id: UUID
    parent_id: UUID | None
    name: str
    breaker: PhaseAmps
    assumed_other_load: PhaseAmps
    safe_current: PhaseAmps = NO_AMPS
    meter: MeterFacts | None = None


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The charge that is going on at a charger."""

    id: UUID
    transaction_id: str | None
    priority: int
    is_paused: bool
    is_permitted: bool
    started_at: datetime
    energy_wh: int = 0
    energy_target_wh: int | None = None
    departs_in_s: float | None = None
    """Negative when that is past; None when no departure is known."""


@dataclass(frozen=True, slots=True)
class SettledOffer:
    """What a charger is known to hold, by the record of whoever decided last: all of it in ampere on each of those grid lines."""

    current_a: float
    phases: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """Since when the car of this session waits or charges, and with how much weight it came to charge, by the same record."""

    waiting_since: datetime | None
    charging_since: datetime | None
    admitted_tier: int


@dataclass(frozen=True, slots=True)
class ChargerFacts:
    """A charger as the balancer sees it. Measured currents are per grid line, None where it does not measure.

    `epoch` names the connection: what was offered on an earlier one is no longer known to be in force.
    """

    id: UUID
    circuit_id: UUID
    name: str
    phase_rotation: PhaseRotation
    min_current_a: float
    max_current_a: float
    offline_current_a: float | None
    can_switch_phases: bool
    is_enabled: bool
    is_online: bool
    epoch: int
    mode: OperatingMode
    connector_status: ConnectorStatus
    status_received_at: datetime | None
    connected_at: datetime | None
    measured: tuple[float | None, float | None, float | None]
    measured_at: datetime | None
    session: SessionFacts | None
    fallback_a: float | None
    """What it falls back to when nobody reaches it, as far as it has acknowledged that."""
    last_offer_at: datetime | None
    capabilities: Capabilities = DEFAULT
    last_offer_phases: str = ""
    """The grid lines of its last offer in this session, e.g. `L2`; empty where there was none, or it was one of nothing."""
    settled: SettledOffer | None = None
    """None where something was under way when it was written down, or the session or the connection is another one by now."""
    turn: StoredTurn | None = None


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Everything that a decision depends on; `available` None is the main breaker."""

    installation_id: UUID
    name: str
    network_type: NetworkType
    available: PhaseAmps | None
    three_to_one_switch_a: float | None
    circuits: tuple[CircuitFacts, ...]
    chargers: tuple[ChargerFacts, ...]
    is_scheduled: bool = False
    """Whether a schedule sets `available`."""


@dataclass(frozen=True, slots=True)
class OfferRecord:
    """How an offer stands, as people may ask: what binds it, the place in the queue, and why, in words."""

    charger_id: UUID
    session_id: UUID | None
    confirmed_a: float | None
    confirmed_phases: str
    target_a: float | None
    target_phases: str
    targeted_at: datetime | None
    acknowledged_at: datetime | None
    fallback_a: float | None
    waiting_since: datetime | None
    charging_since: datetime | None
    limit: BindingLimit
    limiting_circuit_id: UUID | None
    queue_position: int | None
    reason: str
    next_slot_at: datetime | None = None
    """When it may expect its turn; None where it does not wait for one, or nobody can tell."""
    settled_epoch: int | None = None
    """The connection over which what is confirmed was, where nothing newer is under way."""
    admitted_tier: int = 0
    is_held: bool = False
    """Whether its car wants current, or was paused by a person, and is offered none."""


async def balanced_installations() -> list[UUID]:
    """Installations that are active and have a charger that could be commanded."""
    found = await sql.rows(
        "SELECT DISTINCT i.id FROM installations i JOIN chargers c ON c.installation_id = i.id "
        "WHERE i.is_active AND c.removed_at IS NULL AND c.station_id IS NOT NULL"
    )
    return [sql.uuid_of(row["id"]) for row in found]


async def site(installation_id: UUID, *, now: datetime, models: ChargerModels) -> SiteFacts | None:
    """The site as it stands; None when it is gone or inactive. `models` say how often each kind of charger may be written to."""
    row = await sql.row("SELECT * FROM installations WHERE id = $1 AND is_active", installation_id)
    if row is None:
        return None
    limits = limits_of(row)
    circuits = await sql.rows(
        "SELECT * FROM circuits WHERE installation_id = $1 AND removed_at IS NULL ORDER BY id", installation_id
    )
    chargers = await sql.rows(_CHARGERS, installation_id)
    return SiteFacts(
        installation_id=installation_id,
        name=row["name"],
        network_type=NetworkType(row["network_type"]),
        available=limits.at(now),
        three_to_one_switch_a=row["three_to_one_switch_a"],
        circuits=tuple(_circuit(circuit) for circuit in circuits),
        chargers=tuple(_charger(charger, models, now) for charger in chargers),
        is_scheduled=limits.mode_at(now) is AvailableCurrentMode.SCHEDULE,
    )


_CHARGERS = """
SELECT c.id, c.circuit_id, c.name, c.phase_rotation, c.min_current_a, c.max_current_a, c.offline_current_a,
  c.can_switch_phases, c.is_enabled, st.epoch, st.connected_at, st.vendor, st.model, st.firmware_version,
  s.status_received_at, s.is_online, s.mode, s.connector_status, s.current_l1, s.current_l2,
  s.current_l3, s.measured_at, o.fallback_a, o.targeted_at AS last_offer_at,
  CASE WHEN o.session_id = cs.id THEN o.target_phases ELSE '' END AS last_offer_phases,
  CASE WHEN o.settled_epoch = st.epoch AND (o.session_id = cs.id OR o.session_id IS NULL AND cs.id IS NULL)
    THEN o.confirmed_a END AS settled_a, o.confirmed_phases, o.session_id = cs.id AS has_turn, o.waiting_since,
  o.charging_since, o.admitted_tier,
  cs.id AS session_id, cs.transaction_id, cs.priority, cs.is_paused, cs.authorized_at, cs.started_at,
  cs.energy_target_wh, cs.departure_at, s.session_energy_wh
FROM chargers c
JOIN stations st ON st.id = c.station_id
JOIN charger_statuses s ON s.charger_id = c.id
LEFT JOIN offers o ON o.charger_id = c.id
LEFT JOIN charge_sessions cs ON cs.id = s.session_id AND cs.state = 'ACTIVE'
WHERE c.installation_id = $1 AND c.removed_at IS NULL AND (c.is_enabled OR st.epoch > 0)
ORDER BY c.id
"""
"""A disabled charger that was never heard is not installed yet: nothing is held back for it. Every other one that is out
of reach may be drawing, whatever somebody set in the portal."""


def _phase_amps(row: sql.Row, kind: str) -> PhaseAmps | None:
    values = [row[f"{kind}_l{line}"] for line in (1, 2, 3)]
    return None if any(value is None for value in values) else PhaseAmps(*(float(value) for value in values))


def _circuit(row: sql.Row) -> CircuitFacts:
    return CircuitFacts(
        id=sql.uuid_of(row["id"]),
        parent_id=sql.optional_uuid_of(row["parent_id"]),
        name=row["name"],
        breaker=PhaseAmps(row["breaker_l1"], row["breaker_l2"], row["breaker_l3"]),
        assumed_other_load=PhaseAmps(row["assumed_l1"], row["assumed_l2"], row["assumed_l3"]),
        safe_current=PhaseAmps(row["safe_l1"], row["safe_l2"], row["safe_l3"]),
        meter=_meter(row),
    )


def _meter(row: sql.Row) -> MeterFacts | None:
    reading, measured_at = _phase_amps(row, "meter"), sql.optional_instant_of(row["metered_at"])
    return None if reading is None or measured_at is None else MeterFacts(reading, measured_at, row["meter_history"])


def _charger(row: sql.Row, models: ChargerModels, now: datetime) -> ChargerFacts:
    session_id = sql.optional_uuid_of(row["session_id"])
    return ChargerFacts(
        id=sql.uuid_of(row["id"]),
        circuit_id=sql.uuid_of(row["circuit_id"]),
        name=row["name"],
        phase_rotation=PhaseRotation(row["phase_rotation"]),
        min_current_a=float(row["min_current_a"]),
        max_current_a=float(row["max_current_a"]),
        offline_current_a=row["offline_current_a"],
        can_switch_phases=bool(row["can_switch_phases"]),
        is_enabled=bool(row["is_enabled"]),
        is_online=bool(row["is_online"]),
        epoch=int(row["epoch"]),
        mode=OperatingMode(row["mode"]),
        connector_status=ConnectorStatus(row["connector_status"]),
        status_received_at=sql.optional_instant_of(row["status_received_at"]),
        connected_at=sql.optional_instant_of(row["connected_at"]),
        measured=(row["current_l1"], row["current_l2"], row["current_l3"]),
        measured_at=sql.optional_instant_of(row["measured_at"]),
        session=None if session_id is None else _session(session_id, row, now),
        fallback_a=row["fallback_a"],
        last_offer_at=sql.optional_instant_of(row["last_offer_at"]),
        last_offer_phases=row["last_offer_phases"] or "",
        settled=_settled(row),
        turn=_turn(row) if row["has_turn"] else None,
        capabilities=models.of(Kind(row["vendor"] or "", row["model"] or "", row["firmware_version"] or "")),
    )


def _settled(row: sql.Row) -> SettledOffer | None:
    sent_at = sql.optional_instant_of(row["last_offer_at"])
    if row["settled_a"] is None or sent_at is None:
        return None
    return SettledOffer(float(row["settled_a"]), row["confirmed_phases"] or "", sent_at)


def _turn(row: sql.Row) -> StoredTurn:
    return StoredTurn(
        waiting_since=sql.optional_instant_of(row["waiting_since"]),
        charging_since=sql.optional_instant_of(row["charging_since"]),
        admitted_tier=int(row["admitted_tier"] or 0),
    )


def _session(session_id: UUID, row: sql.Row, now: datetime) -> SessionFacts:
    departure_at = sql.optional_instant_of(row["departure_at"])
    return SessionFacts(
        id=session_id,
        transaction_id=row["transaction_id"],
        priority=int(row["priority"]),
        is_paused=bool(row["is_paused"]),
        is_permitted=row["authorized_at"] is not None,
        started_at=sql.instant_of(row["started_at"]),
        energy_wh=int(row["session_energy_wh"] or 0),
        energy_target_wh=row["energy_target_wh"],
        departs_in_s=None if departure_at is None else (departure_at - now).total_seconds(),
    )


_KEEP_OFFER = """
INSERT INTO offers (charger_id, installation_id, fence, session_id, confirmed_a, confirmed_phases, target_a,
  target_phases, targeted_at, acknowledged_at, fallback_a, waiting_since, charging_since, binding_limit, limiting_circuit_id,
  queue_position, reason, decided_at, next_slot_at, settled_epoch, admitted_tier, held_since)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
ON CONFLICT (charger_id) DO UPDATE SET installation_id = $2, fence = $3, session_id = $4, confirmed_a = $5,
  confirmed_phases = $6, target_a = $7, target_phases = $8, targeted_at = $9, acknowledged_at = $10,
  fallback_a = $11, waiting_since = $12, charging_since = $13, binding_limit = $14, limiting_circuit_id = $15,
  queue_position = $16, reason = $17, decided_at = $18, next_slot_at = $19, settled_epoch = $20, admitted_tier = $21,
  held_since = CASE WHEN $22 IS NOT NULL THEN COALESCE(offers.held_since, $22) END
WHERE offers.fence <= $3
"""


def lease_of(installation_id: UUID) -> str:
    """The name of the lease whose holder alone decides about that site's offers."""
    return f"balancer:{installation_id}"


async def keep(installation_id: UUID, records: Sequence[OfferRecord], *, fence: int, now: datetime) -> bool:
    """Whether the offers are stored as given; call it before what they target is sent.

    False: somebody has held the site's lease since. Nothing was changed, and nothing may be sent.
    """
    async with in_transaction():
        if not await leases.is_newest(lease_of(installation_id), fence):
            return False
        await _keep(installation_id, records, fence=fence, now=now)
    return True


async def _keep(installation_id: UUID, records: Sequence[OfferRecord], *, fence: int, now: datetime) -> None:
    for some in sql.in_chunks([record.charger_id for record in records if not record.is_held]):
        await holds.end(some, now=now)
    await sql.execute_many(
        _KEEP_OFFER,
        [
            (
                record.charger_id,
                installation_id,
                fence,
                record.session_id,
                record.confirmed_a,
                record.confirmed_phases,
                record.target_a,
                record.target_phases,
                record.targeted_at,
                record.acknowledged_at,
                record.fallback_a,
                record.waiting_since,
                record.charging_since,
                record.limit,
                record.limiting_circuit_id,
                record.queue_position,
                record.reason[:300],
                now,
                record.next_slot_at,
                record.settled_epoch,
                record.admitted_tier,
                now if record.is_held else None,
            )
            for record in records
        ],
    )


async def keep_meters(installation_id: UUID, histories: Mapping[UUID, str], *, fence: int) -> bool:
    """Whether what is known of each circuit's meter is stored for the next process; False as for `keep`.

    A meter that was taken away meanwhile has no history.
    """
    async with in_transaction():
        if not await leases.is_newest(lease_of(installation_id), fence):
            return False
        await sql.execute_many(
            "UPDATE circuits SET meter_history = $2 WHERE id = $1 AND metered_at IS NOT NULL", list(histories.items())
        )
    return True


async def record_decision(
    installation_id: UUID, *, triggered_by: str, instance: str, allocation: str, now: datetime
) -> None:
    """The decision is kept with its inputs, so that it can be explained and replayed."""
    await sql.execute(
        "INSERT INTO balancing_decisions (id, installation_id, decided_at, triggered_by, instance, allocation) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        new_id(),
        installation_id,
        now,
        triggered_by[:64],
        instance,
        allocation,
    )


async def last_instance(installation_id: UUID) -> str | None:
    """The instance of the newest decision that was kept; None where none was."""
    row = await sql.row(
        "SELECT instance FROM balancing_decisions WHERE installation_id = $1 ORDER BY decided_at DESC, id DESC LIMIT 1",
        installation_id,
    )
    return None if row is None else str(row["instance"])


async def decision(decision_id: UUID) -> tuple[str, str] | None:
    """The instance and the allocation of that decision, as JSON; None when there is none, or it was forgotten."""
    row = await sql.row("SELECT instance, allocation FROM balancing_decisions WHERE id = $1", decision_id)
    return None if row is None else (str(row["instance"]), str(row["allocation"]))


async def forget_decisions(*, before: datetime) -> int:
    """How many older decisions were removed."""
    return await sql.execute("DELETE FROM balancing_decisions WHERE decided_at < $1", before)
