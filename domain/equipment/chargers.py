"""Chargers of a site: added, changed, moved, removed, and given new passwords by those who installed them."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import INSTALLERS, MANAGERS, SITE_RULERS, Access
from domain.checks import Problems
from domain.current import holds
from domain.equipment.circuits import managed_circuit
from domain.equipment.phase_rotation import choices, fits, is_three_phase
from domain.equipment.stations import IDENTITY_LENGTH, SecurityProfile, hash_charger_key, is_identity, new_charger_key
from domain.errors import ConflictError, ErrorCode, NotAllowedError, NotFoundError, Path
from domain.events import AvailabilityOutdated, Event, InstallationChanged, LocalListOutdated, PermissionChanged
from domain.ids import new_id
from domain.models import Charger, ChargerStatus, Circuit, Installation, Offer, Station
from domain.ports import EventBus
from domain.roles import UNSET, NetworkType, PhaseRotation, Right, SessionState, Unset

MAX_EVSE = 99
MIN_CURRENT_A = 6.0
"""IEC 61851-1: below 6 A a car does not charge."""
MAX_CURRENT_A = 80.0
"""IEC 61851-1 table A.7: the most that a pilot signal's duty cycle says in mode 3."""


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A charger and the password to enter in it; None where its station has one already."""

    charger_id: UUID
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Electrical:
    """How a charger is wired and what it may draw, in ampere per conductor."""

    phase_rotation: PhaseRotation = PhaseRotation.RST
    min_current_a: float = MIN_CURRENT_A
    max_current_a: float = 32.0
    offline_current_a: float | None = None
    can_switch_phases: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCharger:
    """A charger to be, as somebody describes it."""

    name: str
    identity: str
    evse: int = 1
    electrical: Electrical = Electrical()


async def add_charger(
    access: Access,
    circuit_id: UUID,
    *,
    name: str,
    identity: str,
    evse: int = 1,
    electrical: Electrical = Electrical(),
    secret: str,
    bus: EventBus,
) -> NewPassword:
    """A new charger on that circuit, with its live status and its offer.

    Its station is made on demand with a random password, handed out here and never again; `secret` is the portal's.
    ConflictError (ALREADY_EXISTS) when another charger has that identity and EVSE, or the station is another's.
    """
    new = NewCharger(name=name, identity=identity, evse=evse, electrical=electrical)
    async with unique_identity(), in_transaction():
        circuit = await managed_circuit(access, circuit_id)
        placed = await place_charger(access, circuit, new, StationKey.random(secret), action="charger.add")
    await bus.publish(*placed.events)
    return placed.handed_out


@contextlib.asynccontextmanager
async def unique_identity() -> AsyncIterator[None]:
    """Inside: who is second with an identity and EVSE gets the ConflictError of one that is taken."""
    try:
        yield
    except IntegrityError as error:
        raise _taken() from error


@dataclass(frozen=True, slots=True)
class StationKey:
    """What a new station signs in with. `password` is handed out; None: who set up the charger has it."""

    password_hash: str
    password: str | None

    @classmethod
    def random(cls, secret: str) -> "StationKey":
        """A new password."""
        password = new_charger_key()
        return cls(hash_charger_key(password, secret), password)


@dataclass(frozen=True, slots=True)
class Placed:
    """A charger that is there once the transaction is through, and what is to be published then."""

    handed_out: NewPassword
    events: tuple[Event, ...]


async def place_charger(access: Access, circuit: Circuit, new: NewCharger, key: StationKey, *, action: str) -> Placed:
    """In the running transaction: the charger is there, on a circuit that the caller was found to manage.

    A station of that identity with another socket keeps its password, and `key` is forgotten. Nobody waits to be adopted by that identity
    any more. Errors as `add_charger`.
    """
    site = await Installation.get(id=circuit.installation_id)
    row = Charger(
        id=new_id(),
        installation_id=site.id,
        circuit_id=circuit.id,
        evse=new.evse,
        created_at=access.now,
        name="",
    )
    _check_new(row, new, site.network_type)
    station, password = await _station(access, new, key)
    row.station_id = station.id
    await row.save(force_create=True)
    await ChargerStatus.create(charger_id=row.id, installation_id=site.id)
    await Offer.create(charger_id=row.id, installation_id=site.id)
    await sql.execute("DELETE FROM unknown_chargers WHERE identity = $1", new.identity)
    await _audit(access, action, row, None, {**_state(row), "identity": new.identity, "evse": new.evse})
    events = (InstallationChanged(installation_id=site.id), *_list_of(site.id, row.station_id))
    return Placed(NewPassword(row.id, password), events)


def _check_new(row: Charger, new: NewCharger, network: NetworkType) -> None:
    """The row has these values; ValidationError names every wrong field."""
    problems = Problems()
    row.name = problems.text("name", new.name)
    if not is_identity(new.identity):
        message = f"An identity has 1 to {IDENTITY_LENGTH} letters, digits and signs of * - _ = : + | @ ."
        problems.add("identity", message)
    if not 1 <= row.evse <= MAX_EVSE:
        problems.add("evse", f"This must be from 1 to {MAX_EVSE}.")
    _set_electrical(row, new.electrical, network, problems)
    problems.raise_any()


def _taken() -> ConflictError:
    message = "There is a charger with this identity and EVSE already."
    return ConflictError(message, code=ErrorCode.ALREADY_EXISTS, path=("identity",))


_OF_NOBODY = (
    "password_hash",
    "next_password_hash",
    "profiles_ours_since",
    "configured_as",
    "clock_offset_s",
    "security_profile",
    "minimum_security_profile",
)
"""What a station begins with anew that was another's."""


async def _station(access: Access, new: NewCharger, key: StationKey) -> tuple[Station, str | None]:
    """The station of that identity, and the password to hand out if the key became its own."""
    station = await Station.select_for_update().get_or_none(identity=new.identity)
    if station is None:
        station = Station(id=new_id(), identity=new.identity, password_hash=key.password_hash, created_at=access.now)
        await station.save(force_create=True)
        return station, key.password
    siblings = await Charger.filter(station_id=station.id, removed_at=None)
    if any(sibling.evse == new.evse or not _installs(access, sibling) for sibling in siblings):
        raise _taken()
    if siblings:
        return station, None
    station.password_hash, station.next_password_hash = key.password_hash, None
    # Whatever it was meanwhile, what it holds is not known.
    station.profiles_ours_since = station.configured_as = station.clock_offset_s = None
    station.security_profile = None
    station.minimum_security_profile = SecurityProfile.PASSWORD
    await station.save(update_fields=_OF_NOBODY)
    return station, key.password


def _installs(access: Access, charger: Charger) -> bool:
    return access.require(access.roles_at_charger(charger.id, charger.installation_id), INSTALLERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerChanges:
    """The fields of an update; what is UNSET stays.

    None: the balancer plans the offline current; whether authentication is required is as the site says.
    """

    name: str | Unset | None = UNSET
    phase_rotation: PhaseRotation | Unset | None = UNSET
    min_current_a: float | Unset | None = UNSET
    max_current_a: float | Unset | None = UNSET
    offline_current_a: float | Unset | None = UNSET
    can_switch_phases: bool | Unset | None = UNSET
    authentication_required: bool | Unset | None = UNSET
    is_enabled: bool | Unset | None = UNSET
    minimum_security_profile: int | Unset | None = UNSET
    """Of the station, so of its other sockets too."""


_INSTALLERS_FIELDS = {
    "phase_rotation": "phaseRotation",
    "min_current_a": "minCurrentA",
    "max_current_a": "maxCurrentA",
    "offline_current_a": "offlineCurrentA",
    "can_switch_phases": "canSwitchPhases",
    "minimum_security_profile": "minimumSecurityProfile",
}
_NEVER_EMPTY = {"name": "name", "is_enabled": "isEnabled", **_INSTALLERS_FIELDS}
del _NEVER_EMPTY["offline_current_a"]
"""Authentication settings are of the site: its owners decide, not its installers (domain.md §2)."""


async def update_charger(access: Access, charger_id: UUID, changes: ChargerChanges, *, bus: EventBus) -> UUID:
    """The charger has these values. What is electrical needs SERVICE or ADMINISTRATOR, the name and whether it is enabled OWNER too.

    Whether authentication is required is for owners of the installation and administrators. A security profile holds from the next
    connection on; NotAllowedError where the station has a socket at a site that is not the caller's to install.
    """
    async with in_transaction():
        row = await managed_charger(access, charger_id, MANAGERS)
        _require_fields(access, row, changes)
        site = await Installation.get(id=row.installation_id)
        before = _state(row)
        problems = Problems()
        security = await _set_security(access, row, changes.minimum_security_profile, problems)
        for field, word in _NEVER_EMPTY.items():
            if getattr(changes, field) is None:
                problems.add(word, "This cannot be empty.")
        if isinstance(changes.name, str):
            row.name = problems.text("name", changes.name)
        if isinstance(changes.is_enabled, bool):
            row.is_enabled = changes.is_enabled
        if not isinstance(changes.authentication_required, Unset):
            row.authentication_required = changes.authentication_required
        _set_electrical(row, _electrical(row, changes), site.network_type, problems)
        problems.raise_any()
        await row.save()
        await _audit(access, "charger.update", row, {**before, **security.before}, {**_state(row), **security.after})
    events: list[Event] = [InstallationChanged(installation_id=row.installation_id)]
    if any(before[one] != _state(row)[one] for one in ("isEnabled", "authenticationRequired")):
        events += _list_of(row.installation_id, row.station_id)
    if row.station_id is not None and before["isEnabled"] != row.is_enabled:
        events.append(AvailabilityOutdated(installation_id=row.installation_id, station_id=row.station_id))
    await bus.publish(*events)
    return charger_id


@dataclass(frozen=True, slots=True)
class _Change:
    """For the audit log."""

    before: audit.State
    after: audit.State


async def _set_security(access: Access, row: Charger, least: int | Unset | None, problems: Problems) -> _Change:
    """The station may not come by a lower security profile than that, and may come by it though it came by a higher one."""
    word = "minimumSecurityProfile"
    if not isinstance(least, int):
        return _Change({}, {})
    if least not in set(SecurityProfile):
        problems.add(word, "A security profile is from 0 to 3.")
        return _Change({}, {})
    station = await _managed_station(access, row, path=(word,))
    before, station.minimum_security_profile = station.minimum_security_profile, least
    await station.save(update_fields=["minimum_security_profile"])
    return _Change({word: before}, {word: least})


async def _managed_station(access: Access, row: Charger, *, path: Path) -> Station:
    """The charger's station, locked until the transaction ends.

    ConflictError where it has none, NotAllowedError where another socket of it is not the caller's to install.
    """
    station = None if row.station_id is None else await Station.select_for_update().get_or_none(id=row.station_id)
    if station is None:
        raise ConflictError("This charger has no connection of its own.", path=path)
    for sibling in await Charger.filter(station_id=station.id, removed_at=None):
        if not _installs(access, sibling):
            raise NotAllowedError("Another installation's charger shares this connection.", path=path)
    return station


def _require_fields(access: Access, row: Charger, changes: ChargerChanges) -> None:
    for field, word in _INSTALLERS_FIELDS.items():
        if getattr(changes, field) is not UNSET:
            access.manage_charger(row.id, row.installation_id, INSTALLERS, path=(word,))
    if changes.authentication_required is not UNSET and not access.require(
        access.roles_at(row.installation_id), SITE_RULERS
    ):
        raise NotAllowedError(
            "Owners of the installation decide who must identify themselves.", path=("authenticationRequired",)
        )


def _electrical(row: Charger, changes: ChargerChanges) -> Electrical:
    offline = changes.offline_current_a
    return Electrical(
        phase_rotation=changes.phase_rotation
        if isinstance(changes.phase_rotation, PhaseRotation)
        else row.phase_rotation,
        min_current_a=changes.min_current_a if isinstance(changes.min_current_a, float | int) else row.min_current_a,
        max_current_a=changes.max_current_a if isinstance(changes.max_current_a, float | int) else row.max_current_a,
        offline_current_a=row.offline_current_a if isinstance(offline, Unset) else offline,
        can_switch_phases=changes.can_switch_phases
        if isinstance(changes.can_switch_phases, bool)
        else row.can_switch_phases,
    )


def _set_electrical(row: Charger, electrical: Electrical, network: NetworkType, problems: Problems) -> None:
    """The row has these values; what is wrong with them is noted."""
    least, most, offline = electrical.min_current_a, electrical.max_current_a, electrical.offline_current_a
    problems.amps("maxCurrentA", most, least=MIN_CURRENT_A, most=MAX_CURRENT_A)
    problems.amps("minCurrentA", least, least=MIN_CURRENT_A, most=max(MIN_CURRENT_A, min(most, MAX_CURRENT_A)))
    if offline is not None and offline != 0:
        problems.amps(
            "offlineCurrentA", offline, least=MIN_CURRENT_A, most=max(MIN_CURRENT_A, min(most, MAX_CURRENT_A))
        )
    if not fits(electrical.phase_rotation, network):
        problems.add("phaseRotation", f"This network has {choices(network)}.")
    if electrical.can_switch_phases and not is_three_phase(electrical.phase_rotation):
        problems.add("canSwitchPhases", "Only a charger on three phases can switch to one.")
    row.min_current_a, row.max_current_a, row.offline_current_a = least, most, offline
    row.phase_rotation, row.can_switch_phases = electrical.phase_rotation, electrical.can_switch_phases


async def rotate_charger_password(access: Access, charger_id: UUID, *, secret: str) -> NewPassword:
    """The charger's station has a new password beside the old one, which ends at the first sign-in with the new."""
    async with in_transaction():
        row = await managed_charger(access, charger_id, INSTALLERS)
        station = await _managed_station(access, row, path=("chargerId",))
        password = new_charger_key()
        station.next_password_hash = hash_charger_key(password, secret)
        await station.save(update_fields=["next_password_hash"])
        await _audit(access, "charger.rotate_password", row, None, None)
    return NewPassword(charger_id, password)


async def move_charger(access: Access, charger_id: UUID, circuit_id: UUID, *, bus: EventBus) -> UUID:
    """The charger hangs on that circuit, perhaps of another site. Its sessions, and grants on it, stay where they were.

    For SERVICE or ADMINISTRATOR on both. ConflictError (IN_USE) while a session is active.
    """
    async with in_transaction():
        row = await managed_charger(access, charger_id, INSTALLERS)
        circuit = await managed_circuit(access, circuit_id)
        await _require_idle(row, ("chargerId",))
        site = await Installation.get(id=circuit.installation_id)
        if not fits(row.phase_rotation, site.network_type):
            message = (
                f"The charger's phase rotation does not exist there; that network has {choices(site.network_type)}."
            )
            raise ConflictError(message, path=("circuitId",))
        left, before = row.installation_id, _state(row)
        row.installation_id, row.circuit_id = site.id, circuit.id
        await row.save(update_fields=["installation_id", "circuit_id"])
        if left != site.id:
            await _follow(row.id, site.id)
        await _audit(access, "charger.move", row, before, _state(row))
        holders = await _holders(row.id) if left != site.id else []
    events: list[Event] = [InstallationChanged(installation_id=key) for key in {left, site.id}]
    if left != site.id:
        events += _list_of(site.id, row.station_id)
        if row.station_id is not None:
            events.append(AvailabilityOutdated(installation_id=site.id, station_id=row.station_id))
    await bus.publish(*events, *(PermissionChanged(user_id=user_id, installation_id=left) for user_id in holders))
    return charger_id


async def _follow(charger_id: UUID, installation_id: UUID) -> None:
    """Live status and offer are the new site's. The offer's fence belongs to the old site's lease and begins anew."""
    await sql.execute(
        "UPDATE charger_statuses SET installation_id = $1, version = version + 1 WHERE charger_id = $2",
        installation_id,
        charger_id,
    )
    await sql.execute(
        "UPDATE offers SET installation_id = $1, fence = 0 WHERE charger_id = $2", installation_id, charger_id
    )


async def _holders(charger_id: UUID) -> list[UUID]:
    """People with a grant on just this charger, by themselves or through a group, some perhaps over."""
    statement = (
        "SELECT DISTINCT u.id AS user_id FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id"
        " JOIN users u ON u.id = COALESCE(p.user_id, m.user_id) WHERE p.charger_id = $1 AND p.revoked_at IS NULL"
    )
    return [sql.uuid_of(found["user_id"]) for found in await sql.rows(statement, charger_id)]


async def remove_charger(access: Access, charger_id: UUID, *, bus: EventBus) -> None:
    """The charger is no longer there; its sessions stay, its identity is free. ConflictError (IN_USE) while a session is active.

    Nobody signs in any more with the password of a station whose last charger went.
    """
    path = ("id",)
    async with in_transaction():
        row = await managed_charger(access, charger_id, INSTALLERS, path=path)
        await _require_idle(row, path)
        before, station_id = _state(row), row.station_id
        row.removed_at, row.station_id = access.now, None
        await row.save(update_fields=["removed_at", "station_id"])
        await holds.end([row.id], now=access.now)
        await sql.execute("DELETE FROM offers WHERE charger_id = $1", row.id)
        if station_id is not None and not await Charger.filter(station_id=station_id).exists():
            await sql.execute(
                "UPDATE stations SET password_hash = '', next_password_hash = NULL WHERE id = $1", station_id
            )
        await _audit(access, "charger.remove", row, before, None)
        holders = await _holders(row.id)
    changed = (PermissionChanged(user_id=user_id, installation_id=row.installation_id) for user_id in holders)
    gone = _list_of(row.installation_id, station_id)
    await bus.publish(InstallationChanged(installation_id=row.installation_id), *gone, *changed)


def _list_of(installation_id: UUID, station_id: UUID | None) -> list[Event]:
    """The station's local list is to follow."""
    return [] if station_id is None else [LocalListOutdated(installation_id=installation_id, station_id=station_id)]


async def managed_charger(
    access: Access, charger_id: UUID, allowed: frozenset[Right], *, path: Path = ("chargerId",)
) -> Charger:
    """The charger's row, its site locked until the transaction ends. Errors as `Access.manage_charger`."""
    access.signed_in()
    seen = await Charger.get_or_none(id=charger_id, removed_at=None)
    if seen is None:
        raise NotFoundError(path=path)
    access.manage_charger(seen.id, seen.installation_id, allowed, path=path)
    await sql.rows(f"SELECT id FROM installations WHERE id = $1{sql.for_change()}", seen.installation_id)  # noqa: S608
    row = await Charger.get_or_none(id=charger_id, installation_id=seen.installation_id, removed_at=None)
    if row is None:
        raise NotFoundError(path=path)
    return row


async def _require_idle(row: Charger, path: Path) -> None:
    found = await sql.row(
        "SELECT 1 AS found FROM charge_sessions WHERE charger_id = $1 AND state = $2", row.id, SessionState.ACTIVE
    )
    if found is not None:
        message = "A charge is going on there: stop it, or wait for its end."
        raise ConflictError(message, code=ErrorCode.IN_USE, path=path)


async def _audit(
    access: Access, action: str, row: Charger, before: audit.State | None, after: audit.State | None
) -> None:
    await audit.record(
        access, action, "Charger", row.id, installation_id=row.installation_id, before=before, after=after
    )


def _state(row: Charger) -> audit.State:
    return {
        "name": row.name,
        "installationId": row.installation_id,
        "circuitId": row.circuit_id,
        "phaseRotation": row.phase_rotation,
        "minCurrentA": row.min_current_a,
        "maxCurrentA": row.max_current_a,
        "offlineCurrentA": row.offline_current_a,
        "canSwitchPhases": row.can_switch_phases,
        "authenticationRequired": row.authentication_required,
        "isEnabled": row.is_enabled,
    }
