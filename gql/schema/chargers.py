"""Chargers, their lists, and the changes that people make to them."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Optional

import strawberry
from strawberry.types.info import Info

from domain.equipment.live_status import visible_statuses
from domain.equipment.meter_signatures import meter_keys_by_charger_ids
from domain.filters import Condition
from domain.roles import OperatingMode, PhaseRotation, Role
from domain.sessions import active_sessions_by_charger_ids
from domain.views.balancing_views import explanations
from domain.views.charger_views import ChargerOrder as DomainOrder
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.circuit_views import circuits_by_ids
from domain.views.installation_views import installations_by_ids
from gql.context import Context
from gql.resolvers import alerts as alert_resolvers
from gql.resolvers import authorization as authorization_resolvers
from gql.resolvers import chargers as resolvers
from gql.resolvers.commands import commands_of_charger
from gql.resolvers.ocpp_messages import messages_of
from gql.resolvers.sessions import sessions_of_charger
from gql.schema.balancing import AllocationExplanation
from gql.schema.charger_status import ChargerStatus
from gql.schema.commands import Command
from gql.schema.connections import Connection, UncountedConnection
from gql.schema.enums import OrderDirection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import connection, related, resolved
from gql.schema.filters import IDFilter, StringFilter, any_of, combined, exactly, id_terms, terms
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.permissions import PermissionWhere
from gql.schema.removal import RemoveInput, RemoveResult
from gql.schema.sessions import SESSION_ARGUMENTS, ChargeSession

if TYPE_CHECKING:
    from gql.schema.alerts import Alert, AlertWhere
    from gql.schema.authorization import AuthorizationAttempt, ChargeVerdict
    from gql.schema.circuits import Circuit
    from gql.schema.installations import Installation
    from gql.schema.ocpp_messages import OcppMessage
    from gql.schema.people import User
    from gql.schema.permissions import Permission


async def _viewer_verdict(root: Any, info: Info[Context, Any], at: datetime | None = strawberry.UNSET) -> Any:
    return await authorization_resolvers.viewer_verdict(info.context, root, at or None)


@strawberry.type(description="The public key that a charger's meter signs with. For OWNER, SERVICE and ADMINISTRATOR.")
class MeterKey:
    """Read from a MeterKeyRow."""

    public_key: str = strawberry.field(
        description="In hexadecimal: DER (RFC 5480), or an uncompressed point where the charger told no more."
    )
    is_confirmed: bool = strawberry.field(
        description="Whether a person has compared it with the meter. Else it is the first that the charger has shown."
    )
    known_since: datetime


@strawberry.type(
    description="What a car plugs into; a station with two sockets is two chargers of one identity. "
    "What is nullable is null for those who may only charge here."
)
class Charger(Node):
    """Read from ChargerRow."""

    name: str = strawberry.field(description="Usually that of the parking space.")
    identity: str | None = strawberry.field(description="The OCPP charge point identity.")
    evse: int | None = strawberry.field(description="Which socket of the station, from 1.")
    serial_number: str | None = strawberry.field(description="Null until it is told, and for who only charges there.")
    vendor: str | None = strawberry.field(description="Null until it is told, and for who only charges there.")
    model: str | None = strawberry.field(description="Null until it is told, and for who only charges there.")
    firmware_version: str | None = strawberry.field(
        description="Null until it is told, and for who only charges there."
    )
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] = related(
        installations_by_ids, lambda row: row.installation_id
    )
    circuit: Annotated["Circuit", strawberry.lazy("gql.schema.circuits")] | None = related(
        circuits_by_ids,
        lambda row: row.circuit_id,
        description="For OWNER of the installation, SERVICE and ADMINISTRATOR.",
    )
    phase_rotation: PhaseRotation | None = strawberry.field(
        description="Which grid lines hang at its terminals, in terminal order (R, S, T = L1, L2, L3)."
    )
    min_current_a: float = strawberry.field(description="Below this it does not charge.")
    max_current_a: float
    offline_current_a: float | None = strawberry.field(
        description="What it may draw on each phase while it is off the net; null also where the balancer plans it."
    )
    can_switch_phases: bool | None = strawberry.field(description="Between three phases and one.")
    authentication_required: bool | None = strawberry.field(description="Null: as the installation says.")
    is_enabled: bool = strawberry.field(
        description="Whether it may charge: one that is disabled is told to be out of service as soon as a charge there is over. "
        "Disable a charger that is not installed yet: until it was heard for the first "
        "time, nothing is held back for it then."
    )
    created_at: datetime | None = strawberry.field(description="Null for who only charges there.")
    last_seen_at: datetime | None = strawberry.field(description="When its station was last heard.")
    security_profile: int | None = strawberry.field(
        description="By which its station last proved who it is (OCPP): 0 by nothing, 1 by a password, 2 by a password over TLS, 3 by a "
        "client certificate. For SERVICE and ADMINISTRATOR, null for all others and before the first connection."
    )
    minimum_security_profile: int | None = strawberry.field(
        description="The least that its station may come by: that of its last connection, until an installer sets another. For SERVICE and "
        "ADMINISTRATOR, null for all others."
    )
    meter_key: MeterKey | None = related(
        meter_keys_by_charger_ids,
        lambda row: row.id,
        description="With which its meter signs (ChargeSession.signature). Null where none is known, and for who only charges there.",
    )
    status: ChargerStatus = related(visible_statuses, lambda row: row.id)
    allocation: AllocationExplanation | None = related(
        explanations,
        lambda row: row.id,
        description="Null for those who see neither the active session nor the balancer.",
    )
    active_session: ChargeSession | None = related(
        active_sessions_by_charger_ids,
        lambda row: row.id,
        description="Null when there is none, or when it is not the viewer's to see.",
    )
    sessions = connection(
        sessions_of_charger,
        Connection[ChargeSession],
        further=SESSION_ARGUMENTS,
        description="At this charger, newest first unless ordered: those that the viewer may see.",
    )
    commands = connection(
        commands_of_charger,
        UncountedConnection[Command],
        further={"is_final": bool | None},
        description="Newest first: all for who controls the charger, else the viewer's own.",
    )
    permissions = connection(
        resolvers.permissions_of,
        Connection[Annotated["Permission", strawberry.lazy("gql.schema.permissions")]],
        further={"where": PermissionWhere | None},
        description="Grants on just this charger: all for its owners and administrators, else the viewer's own.",
    )
    authorization_attempts = connection(
        authorization_resolvers.attempts_of_charger,
        UncountedConnection[Annotated["AuthorizationAttempt", strawberry.lazy("gql.schema.authorization")]],
        description="Attempts to charge here, newest first: those that the viewer may see.",
    )
    alerts = connection(
        alert_resolvers.alerts_of_charger,
        Connection[Annotated["Alert", strawberry.lazy("gql.schema.alerts")]],
        further={"where": Annotated["AlertWhere", strawberry.lazy("gql.schema.alerts")] | None},
        description="About this charger, newest first. For OWNER of the charger, OWNER and SERVICE of the installation and ADMINISTRATOR; "
        "empty for all others, who see `status.warnings`.",
    )
    who_can_charge = connection(
        authorization_resolvers.people_who_can_charge,
        Connection[Annotated["User", strawberry.lazy("gql.schema.people")]],
        further={"at": datetime | None},
        description="Who may charge here at that instant (null = now), by name. For who decides about it: OWNER of the charger or the "
        "installation, MANAGE_PERMISSIONS and ADMINISTRATOR. Where an external system decides: whom it has pushed.",
    )
    viewer_verdict = resolved(
        _viewer_verdict,
        Annotated["ChargeVerdict", strawberry.lazy("gql.schema.authorization")],
        description="Whether a charge by the viewer would be accepted at that instant (null = now), and why not.",
    )
    ocpp_messages = connection(
        messages_of,
        UncountedConnection[Annotated["OcppMessage", strawberry.lazy("gql.schema.ocpp_messages")]],
        description="What its station and the portal said to each other in the last 30 days, newest first. For SERVICE and ADMINISTRATOR.",
    )
    viewer_roles: list[Role] = strawberry.field(description="What the viewer holds here, through the installation too.")


@strawberry.enum(description="What chargers are ordered by.")
class ChargerOrderField(StrEnum):
    """What chargers are ordered by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


@strawberry.input(description="One term of an order; ties go by id.")
class ChargerOrder:
    """Becomes the domain's."""

    field: ChargerOrderField
    direction: OrderDirection = OrderDirection.ASC

    def to_domain(self) -> DomainOrder:
        """The same as the domain knows it."""
        return DomainOrder(self.field.value, self.direction is OrderDirection.DESC)


@strawberry.input(description="Several fields are AND, a list is any of; at most 4 levels and 50 terms.")
class ChargerWhere:
    """Becomes a condition."""

    id: IDFilter | None = strawberry.UNSET
    name: StringFilter | None = strawberry.UNSET
    identity: StringFilter | None = strawberry.UNSET
    serial_number: StringFilter | None = strawberry.UNSET
    installation_id: IDFilter | None = strawberry.UNSET
    circuit_id: IDFilter | None = strawberry.UNSET
    mode: list[OperatingMode] | None = strawberry.UNSET
    is_online: bool | None = strawberry.UNSET
    viewer_may_charge: bool | None = strawberry.field(
        description="Where the viewer would be accepted now.", default=strawberry.UNSET
    )
    and_: list["ChargerWhere"] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list["ChargerWhere"] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: Optional["ChargerWhere"] = strawberry.field(name="NOT", default=strawberry.UNSET)

    def to_domain(self) -> Condition:
        """The condition."""
        return combined(
            self,
            id_terms("id", self.id, "Charger"),
            terms("name", self.name),
            terms("identity", self.identity),
            terms("serialNumber", self.serial_number),
            id_terms("installationId", self.installation_id, "Installation"),
            id_terms("circuitId", self.circuit_id, "Circuit"),
            any_of("mode", self.mode),
            exactly("isOnline", self.is_online),
            exactly("viewerMayCharge", self.viewer_may_charge),
        )


async def _unknown_charger(info: Info[Context, Any], identity: str) -> Any:
    return await resolvers.unknown_charger(info.context, identity)


@strawberry.type(
    description="A charger that knocked and that nobody has added. All of it was told by whoever knocked and proves nothing. The "
    "thousand that knocked last are remembered, for 30 days."
)
class UnknownCharger:
    """Read from UnknownChargerRow."""

    identity: str = strawberry.field(description="The last part of the address that it called.")
    first_seen_at: datetime
    last_seen_at: datetime
    attempts: int = strawberry.field(description="How often it knocked.")
    address: str | None = strawberry.field(description="Where it knocked from; for ADMINISTRATOR, null for all others.")
    protocol: str | None = strawberry.field(description="Null where it offered none that is spoken here.")
    vendor: str | None = strawberry.field(description="Null until it is told, which takes that chargers are held.")
    model: str | None = strawberry.field(description="Null until it is told, which takes that chargers are held.")
    serial_number: str | None = strawberry.field(
        description="Null until it is told, which takes that chargers are held."
    )
    firmware_version: str | None = strawberry.field(
        description="Null until it is told, which takes that chargers are held."
    )
    has_password: bool = strawberry.field(
        description="Whether it offered a password that it can keep when it is adopted: one of 16 to 40 bytes, always the same, while it "
        "was held."
    )


@strawberry.type
class ChargerQueries:
    """Root fields about chargers."""

    chargers = connection(
        resolvers.chargers_list,
        Connection[Charger],
        further={"where": ChargerWhere | None, "order_by": list[ChargerOrder] | None},
        description="Those at which the viewer holds something, in all installations; by name unless ordered.",
    )
    unknown_chargers = connection(
        resolvers.unknown_chargers,
        Connection[UnknownCharger],
        description="Chargers that knocked and that nobody has added, those first that knocked last. For ADMINISTRATOR, empty for all "
        "others: they are at no installation yet.",
    )
    unknown_charger = resolved(
        _unknown_charger,
        UnknownCharger | None,
        description="The charger that knocks by exactly that identity, for SERVICE of any installation and ADMINISTRATOR. Null when none "
        "does, and for all others. After 20 identities in 10 minutes by which nobody knocks: RATE_LIMITED.",
    )


@strawberry.input(
    description="A new charger. The identity is what its socket signs in with; two sockets of one differ in evse."
)
class AddChargerInput:
    """Its station is made on demand."""

    circuit_id: strawberry.ID
    name: str
    identity: str
    evse: int = 1
    phase_rotation: PhaseRotation = PhaseRotation.RST
    min_current_a: float = 6
    max_current_a: float = 32
    offline_current_a: float | None = strawberry.UNSET
    can_switch_phases: bool = False
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="A charger that knocked: the identity is the one by which it did. It keeps the password that it offers: `password` says "
    "which that is, and may be left out by ADMINISTRATOR. With keepsPassword false, or where UnknownCharger.hasPassword is false, it is "
    "given a new one."
)
class AdoptChargerInput:
    """As AddChargerInput, but of one that is there already."""

    circuit_id: strawberry.ID
    name: str
    identity: str
    evse: int = 1
    keeps_password: bool = True
    password: str | None = strawberry.UNSET
    phase_rotation: PhaseRotation = PhaseRotation.RST
    min_current_a: float = 6
    max_current_a: float = 32
    offline_current_a: float | None = strawberry.UNSET
    can_switch_phases: bool = False
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="An absent field stays. What is electrical, and minimumSecurityProfile: SERVICE and ADMINISTRATOR. "
    "authenticationRequired: OWNER of the installation and ADMINISTRATOR. "
    "A field that is not the viewer's: NotAllowedError with its path, nothing changed."
)
class UpdateChargerInput:
    """Null clears offlineCurrentA and authenticationRequired only."""

    charger_id: strawberry.ID
    name: str | None = strawberry.UNSET
    phase_rotation: PhaseRotation | None = strawberry.UNSET
    min_current_a: float | None = strawberry.UNSET
    max_current_a: float | None = strawberry.UNSET
    offline_current_a: float | None = strawberry.UNSET
    can_switch_phases: bool | None = strawberry.UNSET
    authentication_required: bool | None = strawberry.UNSET
    is_enabled: bool | None = strawberry.UNSET
    minimum_security_profile: int | None = strawberry.field(
        description="0 to 3, of the whole station, from its next connection on. A station that has come by a higher one is refused below "
        "it: set it lower before you change the charger back. 0 lets anybody in who knows the identity and offers no password, "
        "until a password was used.",
        default=strawberry.UNSET,
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The charger whose station gets a new password.")
class RotateChargerPasswordInput:
    """By any charger of the station."""

    charger_id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The key of a charger's meter, as it was read from the meter or its papers.")
class ConfirmMeterKeyInput:
    """Null forgets what is known."""

    charger_id: strawberry.ID
    public_key: str | None = strawberry.field(
        description="DER or an uncompressed point, in hexadecimal or base64. Null: what is known counts no more for records to come, and "
        "the next key that the charger shows is remembered.",
        default=strawberry.UNSET,
    )
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="To any circuit on which the viewer is SERVICE or ADMINISTRATOR; old sessions stay where they were."
)
class MoveChargerInput:
    """Within a site or to another."""

    charger_id: strawberry.ID
    circuit_id: strawberry.ID
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The charger as it is now.")
class ChargerSuccess:
    """Read anew."""

    charger: Charger
    password: str | None = strawberry.field(
        description="To enter in the charger; shown once, when made or rotated. Null where an adopted charger keeps its own."
    )


ChargerResult = Annotated[
    ChargerSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ChargerResult"),
]
_CHARGER = Thing(ChargerSuccess, "charger", "Charger")


@strawberry.type
class ChargerMutations:
    """Changes of chargers."""

    add_charger = mutation(
        resolvers.add_charger,
        AddChargerInput,
        ChargerResult,
        _CHARGER,
        description="Adds a charger to a circuit. For SERVICE and ADMINISTRATOR.",
    )
    adopt_charger = mutation(
        resolvers.adopt_charger,
        AdoptChargerInput,
        ChargerResult,
        _CHARGER,
        description="Adds a charger that knocks (unknownCharger) to a circuit; it comes back by itself within seconds. For SERVICE and "
        "ADMINISTRATOR. NOT_FOUND for identities by which nobody knocks; they and wrong passwords are counted as in unknownCharger.",
    )
    update_charger = mutation(
        resolvers.update_charger,
        UpdateChargerInput,
        ChargerResult,
        _CHARGER,
        description="Changes a charger. For OWNER, SERVICE and ADMINISTRATOR, field by field.",
    )
    rotate_charger_password = mutation(
        resolvers.rotate_charger_password,
        RotateChargerPasswordInput,
        ChargerResult,
        _CHARGER,
        description="A new OCPP password; the old one works until the first sign-in with the new. For SERVICE and ADMINISTRATOR.",
    )
    confirm_meter_key = mutation(
        resolvers.confirm_meter_key,
        ConfirmMeterKeyInput,
        ChargerResult,
        _CHARGER,
        description="Says with which key a charger's meter signs, so that sessions can be VALID from the first one on. Another key than "
        "before is that of a new meter: older records are still judged by the older key. For SERVICE and ADMINISTRATOR.",
    )
    move_charger = mutation(
        resolvers.move_charger,
        MoveChargerInput,
        ChargerResult,
        _CHARGER,
        description="Hangs a charger elsewhere; refused (IN_USE) while a car charges there. For SERVICE and ADMINISTRATOR on both.",
    )
    remove_charger = mutation(
        resolvers.remove_charger,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="Takes a charger away; its sessions stay. Refused (IN_USE) while a car charges. For SERVICE and ADMINISTRATOR.",
    )


NODES = (NodeKind(Charger, ChargerRow, chargers_by_ids),)
