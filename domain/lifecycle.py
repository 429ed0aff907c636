"""The door for connections: who may connect, who is here, what became of commands. Machines only.

Every function that changes something is one transaction and returns what is to be published after it.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import leases, sql
from domain.alerting import faults
from domain.charging import live
from domain.charging.live import Connector
from domain.equipment.capabilities import Kind
from domain.equipment.stations import SecurityProfile, hash_charger_key
from domain.events import AlertChanged, ChargerStatusChanged, CommandChanged, Event, InstallationChanged
from domain.roles import CommandAction, CommandState


@dataclass(frozen=True, slots=True)
class StationCredentials:
    """What a charger has to know to be let in; `next_hash` is its coming key, valid beside the present one until first used.

    `least` is the security profile that it may not fall below.
    """

    station_id: UUID
    identity: str
    password_hash: str
    next_hash: str | None
    least: SecurityProfile = SecurityProfile.PASSWORD

    def accepts(self, key: bytes, secret: str) -> "Login | None":
        """How the key fits, None where it does not. Raw bytes, their hexadecimal form in either case, and plain text are accepted."""
        for offered in _forms(key):
            hashed = hash_charger_key(offered, secret)
            if hmac.compare_digest(hashed, self.password_hash):
                return Login(self.station_id, is_rotation=False)
            if self.next_hash is not None and hmac.compare_digest(hashed, self.next_hash):
                return Login(self.station_id, is_rotation=True)
        return None


@dataclass(frozen=True, slots=True)
class Login:
    """A proof that fits; `is_rotation`: it is the coming password, which becomes the only one."""

    station_id: UUID
    is_rotation: bool
    profile: SecurityProfile = SecurityProfile.PASSWORD


def _forms(key: bytes) -> list[str]:
    forms = [key.hex()]
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return forms
    return list(dict.fromkeys((text, text.lower(), *forms)))


_CREDENTIALS = (
    "SELECT s.id, s.identity, s.password_hash, s.next_password_hash, s.minimum_security_profile FROM stations s"
    " WHERE EXISTS (SELECT 1 FROM chargers c WHERE c.station_id = s.id) AND "
)


def _credentials(row: sql.Row) -> StationCredentials:
    return StationCredentials(
        sql.uuid_of(row["id"]),
        row["identity"],
        row["password_hash"],
        row["next_password_hash"],
        SecurityProfile(row["minimum_security_profile"]),
    )


async def credentials_of(identities: Sequence[str]) -> dict[str, StationCredentials]:
    """The credentials of the stations with these identities, by identity, of those that are known."""
    arguments: list[object] = []
    wanted = sql.any_of("s.identity", list(dict.fromkeys(identities)), arguments)
    found = await sql.rows(f"{_CREDENTIALS}{wanted}", *arguments)
    return {row["identity"]: _credentials(row) for row in found}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A station whose password fits, in the protocol that it will speak."""

    login: Login
    protocol: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection that owns its station: reports and commands of an older epoch are refused. `chargers`: evse → charger; `kind` is
    what the station last said of itself, `profiles_are_ours` and `configured_as` what it holds. `clock_offset` (received - its clock) is
    what was last found wrong with its clock.
    """

    station_id: UUID
    epoch: int
    kind: Kind
    chargers: dict[int, UUID]
    events: tuple[Event, ...]
    profiles_are_ours: bool
    configured_as: str | None
    clock_offset: timedelta | None = None
    left: str | None = None
    """The other process that it was connected to until now."""


async def connected(arrivals: Sequence[Arrival], *, process: str, now: datetime) -> dict[UUID, Connected]:
    """The chargers of these stations, each named once, are online, owned by this process under new epochs; alerts about their silence are
    resolved. A coming password that was used is the only one, and a security profile that was reached is the least from now on. Stations
    that are gone, or may not come by so low a profile any more, are left out.
    """
    wanted = [one.login.station_id for one in arrivals]
    async with in_transaction():
        connectors = await live.of_stations(wanted)
        left = await _elsewhere(wanted, process=process)
        rows = await _own(arrivals, process=process, now=now)
        connectors = [one for one in connectors if one.place.station_id in rows]
        resolved = await faults.heard_again(connectors, now=now)
        for connector in connectors:
            connector.live.is_online = True
            connector.live.received_at = now
        told: list[AlertChanged | ChargerStatusChanged] = [*resolved, *await live.write(connectors)]
    return {
        station_id: replace(_connected(station_id, row, connectors, told), left=left.get(station_id))
        for station_id, row in rows.items()
    }


async def _elsewhere(station_ids: Sequence[UUID], *, process: str) -> dict[UUID, str]:
    arguments: list[object] = [process]
    condition = sql.any_of("id", live.padded(station_ids), arguments)
    statement = f"SELECT id, process FROM stations WHERE is_connected AND process <> $1 AND {condition}"  # noqa: S608
    return {sql.uuid_of(row["id"]): row["process"] for row in await sql.rows(statement, *arguments)}


def _connected(
    station_id: UUID, row: sql.Row, connectors: Sequence[Connector], told: Sequence[AlertChanged | ChargerStatusChanged]
) -> Connected:
    here = [one for one in connectors if one.place.station_id == station_id]
    chargers = {one.place.evse: one.place.charger_id for one in here}
    kind = Kind(row["vendor"] or "", row["model"] or "", row["firmware_version"] or "")
    events = (*(one for one in told if one.charger_id in chargers.values()), *_installations(here))
    return Connected(
        station_id,
        int(row["epoch"]),
        kind,
        chargers,
        events,
        profiles_are_ours=row["profiles_ours_since"] is not None,
        configured_as=row["configured_as"],
        clock_offset=None if row["clock_offset_s"] is None else timedelta(seconds=row["clock_offset_s"]),
    )


async def is_newest(station_id: UUID, *, epoch: int) -> bool:
    """Whether no newer connection of the station stands."""
    return await sql.row("SELECT 1 AS one FROM stations WHERE id = $1 AND epoch = $2", station_id, epoch) is not None


async def clock_learnt(station_id: UUID, *, epoch: int, offset: timedelta) -> None:
    """The station's next connection begins with this offset of its clock, unless a newer connection is here by now; 0: it is right."""
    await sql.execute(
        "UPDATE stations SET clock_offset_s = $3 WHERE id = $1 AND epoch = $2",
        station_id,
        epoch,
        offset.total_seconds() or None,
    )


_HELD = "id, epoch, vendor, model, firmware_version, profiles_ours_since, configured_as, clock_offset_s"
_OWN = """
UPDATE stations SET epoch = epoch + 1, process = $1, protocol = $2, is_connected = $3, connected_at = $4, last_seen_at = $4,
  security_profile = $5, minimum_security_profile = $5
WHERE minimum_security_profile <= $5 AND """


async def _own(arrivals: Sequence[Arrival], *, process: str, now: datetime) -> dict[UUID, sql.Row]:
    await _lock([one.login.station_id for one in arrivals])
    rows: dict[UUID, sql.Row] = {}
    for protocol, profile in sorted({_manner(one) for one in arrivals}):
        arguments: list[object] = [process, protocol, True, now, profile]
        alike = [one.login.station_id for one in arrivals if _manner(one) == (protocol, profile)]
        condition = sql.any_of("id", live.padded(alike), arguments)
        for row in await sql.rows(
            f"{_OWN}{condition} RETURNING {_HELD}",
            *arguments,
        ):
            rows[sql.uuid_of(row["id"])] = row
    await sql.execute_many(
        "UPDATE stations SET password_hash = next_password_hash, next_password_hash = NULL"
        " WHERE id = $1 AND next_password_hash IS NOT NULL",
        [(one.login.station_id,) for one in arrivals if one.login.is_rotation and one.login.station_id in rows],
    )
    return rows


def _manner(arrival: Arrival) -> tuple[str, SecurityProfile]:
    return arrival.protocol, arrival.login.profile


async def profiles_cleared(station_id: UUID, *, epoch: int, now: datetime) -> None:
    """Whatever other portals had told the station about currents is gone; unless a newer connection owns it by now."""
    await sql.execute(
        "UPDATE stations SET profiles_ours_since = $3 WHERE id = $1 AND epoch = $2", station_id, epoch, now
    )


async def configured(station_id: UUID, configured_as: str | None, *, epoch: int) -> None:
    """The station has answered those settings, None: nobody knows what is in force; unless a newer connection owns it by now."""
    await sql.execute(
        "UPDATE stations SET configured_as = $3 WHERE id = $1 AND epoch = $2", station_id, epoch, configured_as
    )


async def _lock(station_ids: Sequence[UUID]) -> dict[UUID, int]:
    """These stations with their epochs, held in the order of their ids, so that two who hold many never wait for each other."""
    arguments: list[object] = []
    condition = sql.any_of("id", live.padded(station_ids), arguments)
    statement = f"SELECT id, epoch FROM stations WHERE {condition} ORDER BY id{sql.for_update()}"  # noqa: S608
    return {sql.uuid_of(row["id"]): int(row["epoch"]) for row in await sql.rows(statement, *arguments)}


async def disconnected(epochs: Mapping[UUID, int], *, now: datetime) -> list[Event]:
    """The chargers of these stations are offline, but for those that a newer connection than that of the epoch owns by now."""
    async with in_transaction():
        return await _set_offline(list(epochs), now=now, epochs=epochs)


async def _set_offline(
    station_ids: Sequence[UUID], *, now: datetime, epochs: Mapping[UUID, int] | None = None
) -> list[Event]:
    connectors = await live.of_stations(station_ids)
    held = await _lock(station_ids)
    concerned = [one for one, epoch in held.items() if epochs is None or epochs[one] == epoch]
    if not concerned:
        return []
    arguments: list[object] = [False, now]
    condition = sql.any_of("id", live.padded(concerned), arguments)
    gone = {
        sql.uuid_of(row["id"])
        for row in await sql.rows(
            "UPDATE stations SET is_connected = $1, disconnected_at = $2"  # noqa: S608  numbers of ours only
            f" WHERE is_connected AND {condition} RETURNING id",
            *arguments,
        )
    }
    offline = [one for one in connectors if one.place.station_id in gone]
    for connector in offline:
        connector.live.is_online = False
        # What flows there now is not known; the last values would look like the present.
        connector.live.power_w, connector.live.currents = None, None
    return [*await live.write(offline), *_installations(offline)]


def _installations(connectors: Sequence[Connector]) -> list[Event]:
    return [
        InstallationChanged(one, chargers_stay=True)
        for one in sorted({one.place.installation_id for one in connectors})
    ]


async def seen(heard: Sequence[tuple[UUID, datetime]]) -> None:
    """When each of these stations was last heard of."""
    await sql.execute_many("UPDATE stations SET last_seen_at = $2 WHERE id = $1", sorted(heard))


PROCESS_LEASE = "devices:"
MOMENT = timedelta(seconds=30)
"""Longer than an upgrade takes."""


async def process_lives(process: str, *, now: datetime, for_s: float) -> None:
    """Others take this process for alive until then."""
    await leases.take(f"{PROCESS_LEASE}{process}", process, now=now, for_s=for_s)


_ORPHANED = """
SELECT s.id FROM stations s LEFT JOIN leases l ON l.name = $2 || s.process
WHERE s.is_connected AND (l.until IS NULL OR l.until <= $1) ORDER BY s.id LIMIT 1000
"""


async def release_dead(*, now: datetime) -> list[Event]:
    """Stations whose process is dead are offline; their chargers reconnect on their own."""
    found = await sql.rows(_ORPHANED, now, PROCESS_LEASE)
    if not found:
        return []
    async with in_transaction():
        return await _set_offline([sql.uuid_of(row["id"]) for row in found], now=now)


async def release_missing(process: str, *, here: Collection[UUID], now: datetime) -> list[Event]:
    """Stations that are stored as connected to this process but have no link here are offline.

    A station that connects right now may be among them: it is stored before its link exists, so only those older than a moment count.
    """
    found = await sql.rows(
        "SELECT id FROM stations WHERE is_connected AND process = $1 AND connected_at <= $2 ORDER BY id",
        process,
        now - MOMENT,
    )
    missing = [one for one in (sql.uuid_of(row["id"]) for row in found) if one not in here]
    if not missing:
        return []
    async with in_transaction():
        return await _set_offline(missing, now=now)


async def taken_away(process: str) -> list[UUID]:
    """Stations that were last connected to this process and are stored as gone, e.g. because it was taken for dead for a while."""
    found = await sql.rows("SELECT id FROM stations WHERE NOT is_connected AND process = $1 ORDER BY id", process)
    return [sql.uuid_of(row["id"]) for row in found]


async def process_ended(process: str, *, now: datetime) -> list[Event]:
    """Everything that this process held is offline, and nobody waits for its lease to run out."""
    found = await sql.rows("SELECT id FROM stations WHERE is_connected AND process = $1 ORDER BY id", process)
    async with in_transaction():
        events = await _set_offline([sql.uuid_of(row["id"]) for row in found], now=now) if found else []
        await sql.execute("DELETE FROM leases WHERE name = $1", f"{PROCESS_LEASE}{process}")
    return events


async def stations_at(installation_ids: Collection[UUID]) -> set[UUID]:
    """The stations with a charger at one of these installations."""
    arguments: list[object] = []
    places = sql.any_of("installation_id", sorted(installation_ids), arguments)
    rows = await sql.rows(
        f"SELECT DISTINCT station_id FROM chargers WHERE {places} AND removed_at IS NULL AND station_id IS NOT NULL",  # noqa: S608
        *arguments,
    )
    return {sql.uuid_of(row["station_id"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a charger can be reached: over this connection of this process."""

    station_id: UUID
    evse: int
    process: str
    epoch: int


async def whereabouts(charger_ids: Sequence[UUID]) -> dict[UUID, Whereabouts]:
    """Where these chargers' sockets are; those that have none are left out."""
    arguments: list[object] = []
    wanted = sql.any_of("c.id", live.padded(charger_ids), arguments)
    found = await sql.rows(
        "SELECT c.id, s.id AS station_id, c.evse, s.process, s.epoch FROM chargers c JOIN stations s ON s.id = c.station_id"  # noqa: S608
        f" WHERE {wanted} AND c.removed_at IS NULL AND s.is_connected AND s.process IS NOT NULL",
        *arguments,
    )
    return {
        sql.uuid_of(row["id"]): Whereabouts(
            sql.uuid_of(row["station_id"]), int(row["evse"]), row["process"], int(row["epoch"])
        )
        for row in found
    }


_NEXT = {
    CommandState.SENT: (CommandState.QUEUED,),
    CommandState.ACCEPTED: (CommandState.QUEUED, CommandState.SENT),
}
_OPEN = (CommandState.QUEUED, CommandState.SENT, CommandState.ACCEPTED)


async def command_progressed(
    command_id: UUID, state: CommandState, *, detail: str | None = None, now: datetime
) -> list[Event]:
    """The command is in that state, unless it was further already: its effect may be seen before its answer."""
    arguments: list[object] = [state, detail[:500] if detail else None, now if state.is_final else None, command_id]
    condition = sql.any_of("state", _NEXT.get(state, _OPEN), arguments)
    row = await sql.row(
        "UPDATE commands SET state = $1, detail = COALESCE($2, detail), finished_at = $3"  # noqa: S608
        f" WHERE id = $4 AND {condition} RETURNING charger_id",
        *arguments,
    )
    return [] if row is None else [CommandChanged(command_id, sql.uuid_of(row["charger_id"]), state)]


OVERDUE = {
    CommandState.QUEUED: (CommandState.TIMEOUT, "The charger did not answer in time."),
    CommandState.SENT: (CommandState.TIMEOUT, "The charger did not answer in time."),
    CommandState.ACCEPTED: (CommandState.UNCONFIRMED, "The charger agreed, but nothing happened in time."),
}


async def expire_commands(*, now: datetime) -> list[Event]:
    """No command is open beyond its deadline."""
    events: list[Event] = []
    for state, (final, detail) in OVERDUE.items():
        found = await sql.rows(
            "UPDATE commands SET state = $1, detail = CASE WHEN state = $5 AND action = $6 THEN $7 ELSE $2 END, finished_at = $3"
            " WHERE state = $4 AND deadline <= $3 RETURNING id, charger_id",
            final,
            detail,
            now,
            state,
            CommandState.QUEUED,
            CommandAction.AUTHORIZE,
            "No car came in that time.",
        )
        events += [CommandChanged(sql.uuid_of(row["id"]), sql.uuid_of(row["charger_id"]), final) for row in found]
    return events


async def show_allocation(charger_id: UUID, current_a: float | None, phases: str) -> list[Event]:
    """The offer in force shows in the charger's live status. `phases` are grid lines, e.g. `L1L2L3`."""
    async with in_transaction():
        return list(await live.allocate(charger_id, current_a, phases))
