"""Facts that are published after their commit, and how they travel over the bus.

A live event carries the whole new state, so that a subscriber needs no query for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from domain.roles import AlertKind, CommandState, ExportState, OperatingMode, Severity


class StatusWarning(msgspec.Struct, frozen=True):
    """An open alert as the charger's status shows it."""

    kind: AlertKind
    severity: Severity
    message: str
    since: datetime
    vendor_code: str | None = None


class ChargerStatusChanged(msgspec.Struct, frozen=True, tag=True):
    """A charger's live status; `version` counts its changes and only rises, across restarts and processes.

    `session_user_id` is who may see `power_w`, `currents`, `allocated_a` and `session_energy_wh` beside the charger's owners.
    """

    installation_id: UUID
    charger_id: UUID
    version: int
    mode: OperatingMode
    is_online: bool
    power_w: float | None = None
    currents: tuple[float, float, float] | None = None
    allocated_a: float | None = None
    allocated_phases: tuple[str, ...] = ()
    session_id: UUID | None = None
    session_user_id: UUID | None = None
    session_energy_wh: int | None = None
    warnings: tuple[StatusWarning, ...] = ()
    observed_at: datetime | None = None
    received_at: datetime | None = None


class SessionChanged(msgspec.Struct, frozen=True, tag=True):
    """A charge session began, went on, ended or was replaced; `change` is STARTED, UPDATED, ENDED or REPLACED."""

    installation_id: UUID
    charger_id: UUID
    session_id: UUID
    user_id: UUID | None
    change: str
    replaces_id: UUID | None = None
    """The session that a REPLACED one corrects."""


class CommandChanged(msgspec.Struct, frozen=True, tag=True):
    """A command moved on."""

    command_id: UUID
    charger_id: UUID
    state: CommandState


class ExportChanged(msgspec.Struct, frozen=True, tag=True):
    """A file to be made moved on."""

    export_id: UUID
    state: ExportState
    progress: float


class PermissionChanged(msgspec.Struct, frozen=True, tag=True):
    """What a person may see or do has changed."""

    user_id: UUID
    installation_id: UUID


class ProgramChanged(msgspec.Struct, frozen=True, tag=True):
    """What a service account may do has changed, or one of its tokens has ended."""

    service_account_id: UUID


class AuthorizationAsked(msgspec.Struct, frozen=True, tag=True):
    """An external system is asked about an attempt to charge."""

    installation_id: UUID
    request_id: UUID


class AuthorizationDecided(msgspec.Struct, frozen=True, tag=True):
    """A question to an external system has its decision."""

    installation_id: UUID
    request_id: UUID


class CardEnrollmentChanged(msgspec.Struct, frozen=True, tag=True):
    """Waiting for a card at a charger has come to an end."""

    enrollment_id: UUID


class LocalListOutdated(msgspec.Struct, frozen=True, tag=True):
    """Who may charge at an installation, or by which card, has changed: its chargers' local lists are to follow; with `station_id` only
    the list of that station, which may have left the installation.
    """

    installation_id: UUID
    station_id: UUID | None = None


class AvailabilityOutdated(msgspec.Struct, frozen=True, tag=True):
    """Whether chargers of an installation are to be in service has changed; with `station_id` only those of that station, which may
    have come from elsewhere.
    """

    installation_id: UUID
    station_id: UUID | None = None


class SignInEnded(msgspec.Struct, frozen=True, tag=True):
    """A sign-in of that person has ended, and with it its streams."""

    user_id: UUID
    sign_in_id: UUID


class InstallationChanged(msgspec.Struct, frozen=True, tag=True):
    """The tree, a limit or a priority changed: the balancer decides anew. With `chargers_stay` no charger came, went or is called
    otherwise.
    """

    installation_id: UUID
    chargers_stay: bool = False


class CircuitMetered(msgspec.Struct, frozen=True, tag=True):
    """A meter of the building was read: the balancer decides anew."""

    installation_id: UUID
    circuit_id: UUID


class AlertChanged(msgspec.Struct, frozen=True, tag=True):
    """An alert opened, was acknowledged or resolved."""

    alert_id: UUID
    installation_id: UUID
    charger_id: UUID | None


Event = (
    ChargerStatusChanged
    | SessionChanged
    | CommandChanged
    | ExportChanged
    | PermissionChanged
    | SignInEnded
    | ProgramChanged
    | AuthorizationAsked
    | AuthorizationDecided
    | CardEnrollmentChanged
    | LocalListOutdated
    | AvailabilityOutdated
    | InstallationChanged
    | CircuitMetered
    | AlertChanged
)

KEPT_S: Final = 600
"""How long messages of channels that are kept are there for those who come back."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one is in a channel: after the message of that number. In another epoch numbers mean nothing."""

    epoch: str
    number: int

    def after(self, count: int) -> "Place":
        """So many messages later."""
        return Place(self.epoch, self.number + count)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message; `place` is where one is after it, None where messages are not kept. Without a message: some may have been missed."""

    message: bytes | None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a channel is, and what was published after the place that was asked for; None when that is not known without a gap."""

    place: Place
    messages: Sequence[bytes] | None


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """The event as it travels."""
    return _encoder.encode(event)


def decode(message: bytes) -> Event:
    """The event that travelled; msgspec.DecodeError when it is none of ours."""
    return _decoder.decode(message)


def installation_channel(installation_id: UUID) -> str:
    """Where everything about an installation is published: statuses, sessions, alerts, changes of the tree."""
    return f"installation:{installation_id}"


def is_kept(channel: str) -> bool:
    """Whether what is published there is kept for those who come back."""
    return channel.startswith(("installation:", "sessions:"))


def user_channel(user_id: UUID) -> str:
    """Where changes of a person's rights and the ends of their sign-ins are published."""
    return f"user:{user_id}"


def own_sessions_channel(user_id: UUID) -> str:
    """Where changes of a person's own charge sessions are published, whatever installation they are at."""
    return f"sessions:{user_id}"


def program_channel(service_account_id: UUID) -> str:
    """Where changes of a service account's rights and the ends of its tokens are published."""
    return f"program:{service_account_id}"


def is_of_rights(channel: str) -> bool:
    """Whether changes of somebody's rights are published there."""
    return channel.startswith(("user:", "program:"))


AUTHORIZATIONS_CHANNEL = "authorizations"
"""Where questions to external systems and their decisions are published, of all installations: a program may serve many."""


def enrollment_channel(enrollment_id: UUID) -> str:
    """Where it is published what came of waiting for a card."""
    return f"enrollment:{enrollment_id}"


LOCAL_LISTS_CHANNEL = "local-lists"
"""Where it is published that chargers' local lists are to follow a change."""


AVAILABILITY_CHANNEL = "availability"
"""Where it is published that chargers are to be in service, or out of it, otherwise than before."""


def command_channel(command_id: UUID) -> str:
    """Where a command's progress is published."""
    return f"command:{command_id}"


def export_channel(export_id: UUID) -> str:
    """Where a file's progress is published."""
    return f"export:{export_id}"


def channels(event: Event) -> tuple[str, ...]:
    """The channels that an event goes to."""
    match event:
        case CommandChanged():
            return (command_channel(event.command_id),)
        case ExportChanged():
            return (export_channel(event.export_id),)
        case SignInEnded():
            return (user_channel(event.user_id),)
        case SessionChanged():
            place = installation_channel(event.installation_id)
            return (place,) if event.user_id is None else (place, own_sessions_channel(event.user_id))
        case ProgramChanged():
            return (program_channel(event.service_account_id),)
        case AuthorizationAsked() | AuthorizationDecided():
            return (AUTHORIZATIONS_CHANNEL,)
        case CardEnrollmentChanged():
            return (enrollment_channel(event.enrollment_id),)
        case LocalListOutdated():
            return (LOCAL_LISTS_CHANNEL,)
        case AvailabilityOutdated():
            return (AVAILABILITY_CHANNEL,)
        case PermissionChanged():
            return (user_channel(event.user_id), installation_channel(event.installation_id))
        case _:
            return (installation_channel(event.installation_id),)
