"""What people may ask of chargers: charges started, paused, resumed and stopped, stations restarted, connectors unlocked.

A command is stored with its deadline and sent after the commit by whoever implements `Dispatch`; its progress is a row.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, sql
from domain.access import CHARGERS, CONTROLLERS, INSTALLERS, STARTERS, Access
from domain.charging import live
from domain.checks import Problems
from domain.errors import (
    ChargerOfflineError,
    ChargerStateError,
    ConflictError,
    ErrorCode,
    NotAllowedError,
    NotFoundError,
    invalid,
)
from domain.events import CommandChanged, InstallationChanged
from domain.identity.people import PersonKey, found_person
from domain.ids import new_id
from domain.models import ChargeSession, Command
from domain.ports import EventBus
from domain.roles import CommandAction, CommandState, OperatingMode, Right, Role, Scope, SessionState

SHORTEST_DEADLINE_S, LONGEST_DEADLINE_S = 5, 600
_TOKEN_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # noqa: S105  signs, not a secret
TOKEN_LENGTH = 20
"""The most that OCPP 1.6 takes (CiString20Type)."""


class Dispatch(Protocol):
    """Takes stored commands to their chargers."""

    def send_soon(self, command_id: UUID) -> None:
        """The command will be sent, by a task of the dispatcher's own; returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    """A charger as commands need it."""

    charger_id: UUID
    installation_id: UUID
    is_enabled: bool
    is_online: bool
    mode: OperatingMode
    last_seen_at: datetime | None
    session: ChargeSession | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a driver wants of the charge that is started."""

    energy_wh: int | None = None
    departure_at: datetime | None = None


async def start_charging(
    access: Access,
    charger_id: UUID,
    *,
    person: PersonKey | None = None,
    target: Target = Target(),
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The id of a command that asks the charger to begin a charge for the person (None: the asker), under a token made for it.

    NotAllowedError without a right to charge there, or to start for another; ChargerStateError when a charge goes on or the charger is
    faulted or disabled; ChargerOfflineError when it is known to be off: nothing is queued.
    """
    access.signed_in()
    deadline = _deadline(access, deadline_s)
    place = await _visible_place(access, charger_id)
    access.manage_charger(charger_id, place.installation_id, STARTERS, path=("chargerId",))
    for_user_id = access.person() if person is None else await _other_person(access, place, person)
    _check_target(access, target)
    _require_free(access, place)
    command = _command(access, place, CommandAction.START, deadline)
    command.for_user_id, command.session_id = for_user_id, None
    command.id_token = "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(TOKEN_LENGTH))
    command.energy_target_wh, command.departure_at = target.energy_wh, target.departure_at
    return await _store(access, command, bus=bus, dispatch=dispatch)


OPENERS: frozenset[Right] = frozenset({Role.OWNER, Scope.AUTHORIZE_CHARGING})
"""Who may open a charger for a customer."""
SHORTEST_OPENING_S, LONGEST_OPENING_S = 10, 3600


async def authorize_charging(
    access: Access,
    charger_id: UUID,
    *,
    person: PersonKey,
    external_session_id: str | None = None,
    valid_for_s: int = 300,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The id of a command that begins a charge for the person with the car that is there, or the next one in that time, once.

    It takes the place of an earlier one at that charger that has not begun a charge.

    For who owns the charger, and programs with AUTHORIZE_CHARGING. The person needs no permission. Errors as `start_charging`.
    """
    access.signed_in()
    place = await _visible_place(access, charger_id)
    access.manage_charger(charger_id, place.installation_id, OPENERS, path=("chargerId",))
    for_user_id = await found_person(access, person)
    if not SHORTEST_OPENING_S <= valid_for_s <= LONGEST_OPENING_S:
        raise invalid("validForSeconds", f"This is from {SHORTEST_OPENING_S} to {LONGEST_OPENING_S} seconds.")
    problems = Problems()
    known_as = problems.optional_text("externalSessionId", external_session_id)
    problems.raise_any()
    _require_free(access, place)
    command = _command(access, place, CommandAction.AUTHORIZE, access.now + timedelta(seconds=valid_for_s))
    command.for_user_id, command.session_id = for_user_id, None
    command.id_token = "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(TOKEN_LENGTH))
    command.external_session_id = known_as
    return await _store(access, command, bus=bus, dispatch=dispatch, replaces_openings=True)


async def stop_charging(
    access: Access,
    charger_id: UUID,
    *,
    session_id: UUID | None = None,
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The id of a command that asks the charger to end the charge that goes on there; for its driver and who controls the charger.

    ConflictError (OTHER_SESSION) when `session_id` is another than the one that is active: a late retry never stops another's car.
    """
    deadline = _deadline(access, deadline_s)
    place = await _controlled_session(access, charger_id, session_id)
    _require_online(access, place)
    return await _store(access, _command(access, place, CommandAction.STOP, deadline), bus=bus, dispatch=dispatch)


async def pause_charging(
    access: Access,
    charger_id: UUID,
    *,
    session_id: UUID | None = None,
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The charge is paused: the balancer offers it nothing until it is resumed. Rights and errors as `stop_charging`."""
    return await _set_paused(access, charger_id, session_id, deadline_s, is_paused=True, bus=bus, dispatch=dispatch)


async def resume_charging(
    access: Access,
    charger_id: UUID,
    *,
    session_id: UUID | None = None,
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The charge is no longer paused: the balancer offers it its share again. Rights and errors as `stop_charging`."""
    return await _set_paused(access, charger_id, session_id, deadline_s, is_paused=False, bus=bus, dispatch=dispatch)


async def restart_charger(
    access: Access,
    charger_id: UUID,
    *,
    session_id: UUID | None = None,
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The id of a command that restarts the station, which ends its charges in an orderly way; for who controls the charger."""
    place = await _controlled_charger(access, charger_id, session_id)
    command = _command(access, place, CommandAction.RESTART, _deadline(access, deadline_s))
    return await _store(access, command, bus=bus, dispatch=dispatch)


MOST_URL_LENGTH = 512
"""OCPP 2.0.1 FirmwareType.location."""
_SCHEMES = ("https", "http", "ftps", "sftp", "ftp")
LATEST_RETRIEVAL = timedelta(days=30)
FIRMWARE_WITHIN, DIAGNOSTICS_WITHIN = timedelta(hours=2), timedelta(minutes=30)
"""How long fetching and installing, and uploading, may take until nobody waits for it any more."""


async def update_firmware(
    access: Access, charger_id: UUID, *, url: str, retrieve_at: datetime | None, bus: EventBus, dispatch: Dispatch
) -> UUID:
    """The id of a command that lets the charger's station fetch firmware from there, not before `retrieve_at`, and install it.

    For who installs all chargers of the station. CONFIRMED when the station says that it is installed.
    """
    place = await _installed_station(access, charger_id)
    problems = Problems()
    _check_url(problems, url)
    if retrieve_at is not None and not access.now <= retrieve_at <= access.now + LATEST_RETRIEVAL:
        problems.add("retrieveAt", f"This is within the next {LATEST_RETRIEVAL.days} days.")
    problems.raise_any()
    _require_online(access, place)
    retrieve_at = retrieve_at or access.now
    command = _command(access, place, CommandAction.UPDATE_FIRMWARE, retrieve_at + FIRMWARE_WITHIN)
    command.session_id = command.for_user_id = None
    command.url, command.retrieve_at = url, retrieve_at
    return await _store(access, command, bus=bus, dispatch=dispatch)


async def request_diagnostics(access: Access, charger_id: UUID, *, url: str, bus: EventBus, dispatch: Dispatch) -> UUID:
    """The id of a command that lets the charger's station upload its log to there. For who installs all chargers of the station."""
    place = await _installed_station(access, charger_id)
    problems = Problems()
    _check_url(problems, url)
    problems.raise_any()
    _require_online(access, place)
    command = _command(access, place, CommandAction.OTHER, access.now + DIAGNOSTICS_WITHIN)
    command.session_id = command.for_user_id = None
    command.url = url
    return await _store(access, command, bus=bus, dispatch=dispatch)


async def _installed_station(access: Access, charger_id: UUID) -> _Place:
    place = await _visible_place(access, charger_id)
    access.manage_charger(charger_id, place.installation_id, INSTALLERS, path=("chargerId",))
    for row in await sql.rows(_SIBLINGS, charger_id):
        sibling_id, installation_id = sql.uuid_of(row["id"]), sql.uuid_of(row["installation_id"])
        if not access.require(access.roles_at_charger(sibling_id, installation_id), INSTALLERS):
            raise NotAllowedError("Another installation's charger shares this station.", path=("chargerId",))
    return place


_SIBLINGS = """
SELECT o.id, o.installation_id FROM chargers c JOIN chargers o ON o.station_id = c.station_id AND o.removed_at IS NULL WHERE c.id = $1
"""


def _check_url(problems: Problems, url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not is_plain or parts.scheme not in _SCHEMES or not parts.hostname:
        problems.add("url", f"Write a whole address that begins with one of {', '.join(_SCHEMES)}.")
    elif len(url) > MOST_URL_LENGTH:
        problems.add("url", f"An address has at most {MOST_URL_LENGTH} characters.")


async def unlock_connector(
    access: Access,
    charger_id: UUID,
    *,
    session_id: UUID | None = None,
    deadline_s: int = 60,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    """The id of a command that releases a plug that is stuck; for who controls the charger."""
    place = await _controlled_charger(access, charger_id, session_id)
    command = _command(access, place, CommandAction.UNLOCK, _deadline(access, deadline_s))
    return await _store(access, command, bus=bus, dispatch=dispatch)


async def _set_paused(
    access: Access,
    charger_id: UUID,
    session_id: UUID | None,
    deadline_s: int,
    *,
    is_paused: bool,
    bus: EventBus,
    dispatch: Dispatch,
) -> UUID:
    deadline = _deadline(access, deadline_s)
    place = await _controlled_session(access, charger_id, session_id)
    _require_online(access, place)
    action = CommandAction.PAUSE if is_paused else CommandAction.RESUME
    command = _command(access, place, action, deadline)
    made = await _store(access, command, bus=bus, dispatch=dispatch, pauses=is_paused)
    await bus.publish(InstallationChanged(installation_id=place.installation_id, chargers_stay=True))
    return made


_PLACE = """
SELECT c.id, c.installation_id, c.is_enabled, i.is_active, t.is_online, t.mode, s.last_seen_at
FROM chargers c JOIN installations i ON i.id = c.installation_id JOIN charger_statuses t ON t.charger_id = c.id
LEFT JOIN stations s ON s.id = c.station_id
WHERE c.id = $1 AND c.removed_at IS NULL
"""


async def _place(charger_id: UUID) -> _Place:
    row = await sql.row(_PLACE, charger_id)
    if row is None:
        raise NotFoundError(path=("chargerId",))
    session = (
        await ChargeSession.filter(charger_id=charger_id, state=SessionState.ACTIVE).order_by("-started_at").first()
    )
    return _Place(
        charger_id=charger_id,
        installation_id=sql.uuid_of(row["installation_id"]),
        is_enabled=bool(row["is_enabled"]) and bool(row["is_active"]),
        is_online=bool(row["is_online"]),
        mode=OperatingMode(row["mode"]),
        last_seen_at=sql.optional_instant_of(row["last_seen_at"]),
        session=session,
    )


async def _visible_place(access: Access, charger_id: UUID) -> _Place:
    access.signed_in()
    place = await _place(charger_id)
    if not access.sees_charger(charger_id, place.installation_id):
        raise NotFoundError(path=("chargerId",))
    return place


async def _controlled_charger(access: Access, charger_id: UUID, session_id: UUID | None) -> _Place:
    """The charger, for its owner, the installation's, SERVICE and ADMINISTRATOR."""
    place = await _visible_place(access, charger_id)
    access.manage_charger(charger_id, place.installation_id, CONTROLLERS, path=("chargerId",))
    await _require_same_session(access, place, session_id)
    _require_online(access, place)
    return place


async def _controlled_session(access: Access, charger_id: UUID, session_id: UUID | None) -> _Place:
    """The charger with a charge that this person may stop: their own (also where they may no longer begin one), or one they control."""
    access.signed_in()
    place = await _place(charger_id)
    driver_id = None if place.session is None else place.session.user_id
    is_own = driver_id is not None and driver_id == access.user_id
    if not is_own and not access.sees_charger(charger_id, place.installation_id):
        raise NotFoundError(path=("chargerId",))
    await _require_same_session(access, place, session_id)
    is_controller = access.require(access.roles_at_charger(charger_id, place.installation_id), CONTROLLERS)
    if place.session is not None and not is_own and not is_controller:
        raise NotAllowedError(
            "This is not your charge; its driver or an owner of the charger may do this.", path=("chargerId",)
        )
    if place.session is None:
        raise ChargerStateError("No charge is going on at this charger.", mode=place.mode)
    return place


async def _require_same_session(access: Access, place: _Place, session_id: UUID | None) -> None:
    """Returns when no session was named, or the active one; a session that may not be seen looks absent."""
    if session_id is None:
        return
    arguments: list[object] = [session_id]
    visible = access.sessions_condition("s", arguments)
    if await sql.row(f"SELECT 1 AS found FROM charge_sessions s WHERE s.id = $1 AND {visible}", *arguments) is None:  # noqa: S608
        raise NotFoundError(path=("sessionId",))
    if place.session is None or place.session.id != session_id:
        message = "That charge is no longer the one at this charger; nothing was sent."
        raise ConflictError(message, code=ErrorCode.OTHER_SESSION, path=("sessionId",))


def _require_free(access: Access, place: _Place) -> None:
    """Returns when a charge can begin there."""
    _require_online(access, place)
    if not place.is_enabled:
        raise ChargerStateError("This charger is switched off by its operator.", mode=place.mode)
    if place.session is not None:
        raise ChargerStateError("A charge is going on at this charger already.", mode=place.mode)
    if place.mode is OperatingMode.FAULTED:
        raise ChargerStateError("This charger has a fault; use another one.", mode=place.mode)


def _require_online(access: Access, place: _Place) -> None:
    if not place.is_online:
        is_detailed = access.sees_charger_details(place.charger_id, place.installation_id)
        raise ChargerOfflineError(
            "This charger is not connected right now, so nothing was sent; try again when it is back.",
            last_seen_at=place.last_seen_at if is_detailed else None,
        )


async def _other_person(access: Access, place: _Place, person: PersonKey) -> UUID:
    """The person for whom an owner starts: one whom the owner knows and who may charge there."""
    found = await found_person(access, person)
    if found == access.user_id:
        access.manage_charger(place.charger_id, place.installation_id, CHARGERS, path=("chargerId",))
        return found
    access.manage_charger(place.charger_id, place.installation_id, STARTERS - {Role.USER}, path=("person",))
    if await sql.row(_MAY_CHARGE, found, place.installation_id, place.charger_id, access.now) is None:
        raise NotAllowedError("This person may not charge here; grant them USER first.", path=("person",))
    return found


_MAY_CHARGE = f"""
SELECT 1 AS found FROM permissions
WHERE (user_id = $1 OR group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1))
    AND installation_id = $2 AND (charger_id IS NULL OR charger_id = $3)
    AND role IN ('{Role.USER}', '{Role.OWNER}') AND revoked_at IS NULL AND valid_from <= $4
    AND (valid_to IS NULL OR valid_to > $4)
"""  # noqa: S608  enums' values


def _deadline(access: Access, deadline_s: int) -> datetime:
    if not SHORTEST_DEADLINE_S <= deadline_s <= LONGEST_DEADLINE_S:
        raise invalid("deadlineSeconds", f"A deadline is from {SHORTEST_DEADLINE_S} to {LONGEST_DEADLINE_S} seconds.")
    return access.now + timedelta(seconds=deadline_s)


def _check_target(access: Access, target: Target) -> None:
    if target.energy_wh is not None and target.energy_wh <= 0:
        raise invalid("energyTargetKwh", "An energy target is more than 0.")
    if target.departure_at is not None and target.departure_at <= access.now:
        raise invalid("departureAt", "The departure is in the future.")


def _command(access: Access, place: _Place, action: CommandAction, deadline: datetime) -> Command:
    return Command(
        id=new_id(),
        installation_id=place.installation_id,
        charger_id=place.charger_id,
        session_id=None if place.session is None else place.session.id,
        requested_by_id=access.signed_in().id,
        for_user_id=None if place.session is None else place.session.user_id,
        action=action,
        state=CommandState.QUEUED,
        requested_at=access.now,
        deadline=deadline,
    )


async def _store(
    access: Access,
    command: Command,
    *,
    bus: EventBus,
    dispatch: Dispatch,
    pauses: bool | None = None,
    replaces_openings: bool = False,
) -> UUID:
    events = [CommandChanged(command_id=command.id, charger_id=command.charger_id, state=command.state)]
    async with in_transaction():
        if replaces_openings:
            events += await _replace_openings(command)
        await command.save(force_create=True)
        if pauses is not None:
            await ChargeSession.filter(id=command.session_id).update(is_paused=pauses)
        await audit.record(
            access,
            f"charger.{command.action.lower()}",
            "Charger",
            command.charger_id,
            installation_id=command.installation_id,
            after={"command": str(command.id), "for": str(command.for_user_id or ""), "deadline": command.deadline},
        )
    await bus.publish(*events)
    dispatch.send_soon(command.id)
    return command.id


async def _replace_openings(command: Command) -> list[CommandChanged]:
    """No other command holds the charger open: one car is there at a time."""
    await live.of_chargers([command.charger_id])
    rows = await sql.rows(
        "UPDATE commands SET state = $2, finished_at = $3, detail = $4 WHERE charger_id = $1 AND action = $5"
        " AND finished_at IS NULL RETURNING id",
        command.charger_id,
        CommandState.UNCONFIRMED,
        command.requested_at,
        "The charger was opened anew before a car came.",
        CommandAction.AUTHORIZE,
    )
    return [CommandChanged(sql.uuid_of(row["id"]), command.charger_id, CommandState.UNCONFIRMED) for row in rows]
