"""Sites, their lists, and the changes that people make to them."""

from datetime import datetime, time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Optional

import strawberry
from strawberry.types.info import Info

from domain.current import current_schedule
from domain.equipment import installations as domain_installations
from domain.filters import Condition
from domain.reporting.report_schedules import ScheduleRow
from domain.roles import AvailableCurrentMode, InstallationCategory, NetworkType, Role, Weekday
from domain.views.circuit_views import CircuitRow
from domain.views.dashboard_views import dashboards_by_ids
from domain.views.group_views import GroupRow
from domain.views.installation_views import InstallationOrder as DomainOrder
from domain.views.installation_views import InstallationRow, installations_by_ids
from domain.views.service_account_views import ServiceAccountRow
from domain.views.tariff_views import TariffRow
from gql.context import Context
from gql.resolvers import alerts as alert_resolvers
from gql.resolvers import authorization as authorization_resolvers
from gql.resolvers import installations as resolvers
from gql.resolvers.audit import audit_of_installation
from gql.resolvers.balancing import decisions_of
from gql.resolvers.cards import cards_of_installation
from gql.resolvers.groups import groups_of
from gql.resolvers.report_schedules import schedules_of_installation
from gql.resolvers.reports import reports_of_installation
from gql.resolvers.service_accounts import accounts_of
from gql.resolvers.sessions import sessions_of_installation
from gql.resolvers.tariffs import tariffs_of
from gql.schema.chargers import ChargerOrder, ChargerWhere
from gql.schema.connections import Connection, UncountedConnection
from gql.schema.enums import OrderDirection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import READ, connection, related, resolved
from gql.schema.filters import IDFilter, StringFilter, any_of, combined, id_terms, terms
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.permissions import PermissionWhere
from gql.schema.quantities import PhaseAmps, PhaseAmpsInput
from gql.schema.sessions import SESSION_ARGUMENTS, ChargeSession
from gql.schema.usage import usage_of_installation

if TYPE_CHECKING:
    from gql.schema.alerts import Alert, AlertWhere
    from gql.schema.audit import AuditEntry, AuditWhere
    from gql.schema.authorization import AuthenticationSettings, AuthorizationAttempt
    from gql.schema.balancing import BalancingDecision
    from gql.schema.cards import ChargeCard
    from gql.schema.chargers import Charger
    from gql.schema.circuits import Circuit
    from gql.schema.dashboard import Dashboard
    from gql.schema.groups import UserGroup
    from gql.schema.permissions import Permission
    from gql.schema.report_schedules import ReportSchedule
    from gql.schema.reports import LockedReport
    from gql.schema.service_accounts import ServiceAccount
    from gql.schema.tariffs import Tariff


@strawberry.type(description="Where a site is.")
class Address:
    """Read from domain.equipment.installations.Address."""

    street: str | None = strawberry.field(description="Null when not told.")
    postal_code: str | None = strawberry.field(description="Null when not told.")
    city: str | None = strawberry.field(description="Null when not told.")
    country_code: str = strawberry.field(description="ISO 3166-1, two letters.")


@strawberry.type(description="How much current the site may draw on these days, from a time of day until another.")
class ScheduleEntry:
    """Read from domain.current.current_schedule.ScheduleEntry."""

    weekdays: list[Weekday]
    from_: time = strawberry.field(name="from", metadata={READ: lambda entry: entry.since})
    to: time = strawberry.field(
        description="00:00 is the end of the day; before `from` it is on the next day.",
        metadata={READ: lambda entry: entry.until},
    )
    available_current_a: PhaseAmps = strawberry.field(metadata={READ: lambda entry: entry.available})


async def _circuits(root: Any, info: Info[Context, Any]) -> list[CircuitRow]:
    return list(await resolvers.circuits_of(info.context, root))


async def _user_groups(root: Any, info: Info[Context, Any]) -> list[GroupRow]:
    return list(await groups_of(info.context, root))


async def _authentication(root: Any, info: Info[Context, Any]) -> Any:
    return await authorization_resolvers.authentication(info.context, root)


async def _service_accounts(root: Any, info: Info[Context, Any]) -> list[ServiceAccountRow]:
    return list(await accounts_of(info.context, root))


async def _tariffs(root: Any, info: Info[Context, Any]) -> list[TariffRow]:
    return list(await tariffs_of(info.context, root))


async def _report_schedules(root: Any, info: Info[Context, Any]) -> list[ScheduleRow]:
    return list(await schedules_of_installation(info.context, root))


@strawberry.type(
    description="A site. Who holds only a charger here sees id, name, timeZone, viewerRoles and, through the connections, "
    "what is theirs; the rest is null or empty."
)
class Installation(Node):
    """Read from InstallationRow."""

    name: str
    time_zone: str = strawberry.field(description="IANA name; local dates and times of the site are in it.")
    is_active: bool | None = strawberry.field(
        description="Where false, nobody charges, and its chargers are told to be out of service."
    )
    created_at: datetime | None = strawberry.field(description="Null for who holds nothing but a charger there.")
    address: Address | None = strawberry.field(description="Null for who holds nothing but a charger there.")
    currency: str | None = strawberry.field(description="ISO 4217.")
    category: InstallationCategory | None = strawberry.field(
        description="Null for who holds nothing but a charger there."
    )
    network_type: NetworkType | None = strawberry.field(description="Null for who holds nothing but a charger there.")
    main_breaker_a: float | None = strawberry.field(
        description="Rating of the main breaker, in ampere; of its weakest line where they differ."
    )
    available_current_a: PhaseAmps | None = strawberry.field(
        description="The limit in force on each line, for the cars and all else behind the main breaker: set, scheduled or metered."
    )
    available_current_mode: AvailableCurrentMode | None = strawberry.field(
        description="Null for who holds nothing but a charger there."
    )
    available_current_expires_at: datetime | None = strawberry.field(
        description="Then fallbackCurrentA is in force; null = never."
    )
    fallback_current_a: PhaseAmps | None = strawberry.field(description="Null = the main breaker.")
    current_schedule: list[ScheduleEntry] = strawberry.field(
        description="What a schedule makes available, in the site's time; the main breaker in its gaps. It is in force while "
        "availableCurrentMode is SCHEDULE. Empty without one, and for who holds nothing but a charger there."
    )
    three_to_one_phase_switch_current_a: float | None = strawberry.field(
        description="In ampere; null where chargers keep their phases, or for who holds nothing but a charger there."
    )
    circuits = resolved(
        _circuits,
        list[Annotated["Circuit", strawberry.lazy("gql.schema.circuits")]],
        description="The whole tree, parents first; at most 1,000. Empty for those who only charge here.",
    )
    chargers = connection(
        resolvers.chargers_of,
        Connection[Annotated["Charger", strawberry.lazy("gql.schema.chargers")]],
        further={"where": ChargerWhere | None, "order_by": list[ChargerOrder] | None},
    )
    sessions = connection(
        sessions_of_installation,
        Connection[ChargeSession],
        further=SESSION_ARGUMENTS,
        description="Here, newest first unless ordered: those that the viewer may see.",
    )
    usage_summary = usage_of_installation()
    permissions = connection(
        resolvers.permissions_of,
        Connection[Annotated["Permission", strawberry.lazy("gql.schema.permissions")]],
        further={"where": PermissionWhere | None},
        description="Grants here and on the chargers here: all for owners and administrators, else the viewer's own.",
    )
    user_groups = resolved(
        _user_groups,
        list[Annotated["UserGroup", strawberry.lazy("gql.schema.groups")]],
        description="By name, at most 100: all for who decides about permissions here, else those that the viewer is in.",
    )
    service_accounts = resolved(
        _service_accounts,
        list[Annotated["ServiceAccount", strawberry.lazy("gql.schema.service_accounts")]],
        description="Programs with scopes here, at most 100, by name. For OWNER and ADMINISTRATOR; empty for all others.",
    )
    tariffs = resolved(
        _tariffs,
        list[Annotated["Tariff", strawberry.lazy("gql.schema.tariffs")]],
        description="What charging costs here, by name, at most 100. For OWNER and MANAGE_TARIFFS; empty for all others.",
    )
    locked_reports = connection(
        reports_of_installation,
        Connection[Annotated["LockedReport", strawberry.lazy("gql.schema.reports")]],
        description="Reports that are locked, newest first. For OWNER; empty for all others.",
    )
    report_schedules = resolved(
        _report_schedules,
        list[Annotated["ReportSchedule", strawberry.lazy("gql.schema.report_schedules")]],
        description="Reports that are sent every month, at most 20. For OWNER; empty for all others.",
    )
    audit_log = connection(
        audit_of_installation,
        UncountedConnection[Annotated["AuditEntry", strawberry.lazy("gql.schema.audit")]],
        further={"where": Annotated["AuditWhere", strawberry.lazy("gql.schema.audit")] | None},
        description="Every change and command here, newest first. For OWNER and ADMINISTRATOR; empty for all others.",
    )
    charge_cards = connection(
        cards_of_installation,
        Connection[Annotated["ChargeCard", strawberry.lazy("gql.schema.cards")]],
        description="Of people who hold something here now, by name. For OWNER, MANAGE_CARDS and ADMINISTRATOR; empty for all others.",
    )
    authentication = resolved(
        _authentication,
        Annotated["AuthenticationSettings", strawberry.lazy("gql.schema.authorization")] | None,
        description="How people identify themselves here. For OWNER and ADMINISTRATOR.",
    )
    authorization_attempts = connection(
        authorization_resolvers.attempts_of_installation,
        UncountedConnection[Annotated["AuthorizationAttempt", strawberry.lazy("gql.schema.authorization")]],
        description="Attempts to charge here, newest first: those that the viewer may see.",
    )
    alerts = connection(
        alert_resolvers.alerts_of_installation,
        Connection[Annotated["Alert", strawberry.lazy("gql.schema.alerts")]],
        further={"where": Annotated["AlertWhere", strawberry.lazy("gql.schema.alerts")] | None},
        description="Here, newest first. For OWNER, SERVICE and ADMINISTRATOR all but what is a part of an alert about the whole, "
        "for OWNER of a charger those of that charger; empty for all others.",
    )
    dashboard: Annotated["Dashboard", strawberry.lazy("gql.schema.dashboard")] | None = related(
        dashboards_by_ids,
        lambda row: row.id,
        description="At a glance, as of now. For OWNER, SERVICE and ADMINISTRATOR; null for all others.",
    )
    decisions = connection(
        decisions_of,
        UncountedConnection[Annotated["BalancingDecision", strawberry.lazy("gql.schema.balancing")]],
        description="Of the balancer, newest first, kept 30 days. For OWNER, SERVICE and ADMINISTRATOR.",
    )
    viewer_roles: list[Role] = strawberry.field(description="What the viewer holds on the whole of it.")


@strawberry.enum(description="What installations are ordered by.")
class InstallationOrderField(StrEnum):
    """What installations are ordered by."""

    NAME = "NAME"
    CREATED_AT = "CREATED_AT"


@strawberry.input(description="One term of an order; ties go by id.")
class InstallationOrder:
    """Becomes the domain's."""

    field: InstallationOrderField
    direction: OrderDirection = OrderDirection.ASC

    def to_domain(self) -> DomainOrder:
        """The same as the domain knows it."""
        return DomainOrder(self.field.value, self.direction is OrderDirection.DESC)


@strawberry.input(description="Several fields are AND, a list is any of; at most 4 levels and 50 terms.")
class InstallationWhere:
    """Becomes a condition."""

    id: IDFilter | None = strawberry.UNSET
    name: StringFilter | None = strawberry.UNSET
    category: list[InstallationCategory] | None = strawberry.UNSET
    viewer_role: list[Role] | None = strawberry.field(
        description="Any of these roles, held there or at a charger there.", default=strawberry.UNSET
    )
    and_: list["InstallationWhere"] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list["InstallationWhere"] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: Optional["InstallationWhere"] = strawberry.field(name="NOT", default=strawberry.UNSET)

    def to_domain(self) -> Condition:
        """The condition."""
        return combined(
            self,
            id_terms("id", self.id, "Installation"),
            terms("name", self.name),
            any_of("category", self.category),
            any_of("viewerRole", self.viewer_role),
        )


@strawberry.type
class InstallationQueries:
    """Root fields about sites."""

    installations = connection(
        resolvers.installations_list,
        Connection[Installation],
        further={"where": InstallationWhere | None, "order_by": list[InstallationOrder] | None},
        description="Those at which the viewer holds something, be it one charger; by name unless ordered.",
    )


@strawberry.input(description="Where a site is.")
class AddressInput:
    """Becomes the domain's."""

    street: str | None = strawberry.UNSET
    postal_code: str | None = strawberry.UNSET
    city: str | None = strawberry.UNSET
    country_code: str

    def to_domain(self) -> domain_installations.Address:
        """The same as the domain knows it."""
        return domain_installations.Address(
            self.street or None, self.postal_code or None, self.city or None, self.country_code
        )


@strawberry.input(description="A new site. `timeZone` is an IANA name, `currency` an ISO 4217 code.")
class CreateInstallationInput:
    """Its main breaker becomes the root circuit."""

    name: str
    address: AddressInput
    time_zone: str
    currency: str
    category: InstallationCategory
    network_type: NetworkType
    main_breaker_a: float
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="Breaker, network and switch current: SERVICE and ADMINISTRATOR; a field that is not the viewer's: "
    "NotAllowedError with its path, nothing changed."
)
class UpdateInstallationInput:
    """An absent field stays."""

    installation_id: strawberry.ID
    name: str | None = strawberry.UNSET
    address: AddressInput | None = strawberry.UNSET
    category: InstallationCategory | None = strawberry.UNSET
    network_type: NetworkType | None = strawberry.UNSET
    main_breaker_a: float | None = strawberry.UNSET
    three_to_one_phase_switch_current_a: float | None = strawberry.UNSET
    is_active: bool | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="At most mainBreakerA on each line; ends METER and SCHEDULE until cleared or expired.")
class SetAvailableCurrentInput:
    """For a time, or until it is changed."""

    installation_id: strawberry.ID
    available_current_a: PhaseAmpsInput
    valid_for_seconds: int | None = strawberry.UNSET
    fallback_current_a: PhaseAmpsInput | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="How much current the site may draw on these days, from a time of day until another.")
class ScheduleEntryInput:
    """Becomes the domain's."""

    weekdays: list[Weekday]
    from_: time = strawberry.field(name="from")
    to: time = strawberry.field(description="00:00 is the end of the day; before `from` it is on the next day.")
    available_current_a: PhaseAmpsInput

    def to_domain(self) -> current_schedule.ScheduleEntry:
        """The same as the domain knows it."""
        return current_schedule.ScheduleEntry(
            tuple(self.weekdays), self.from_, self.to, self.available_current_a.to_domain()
        )


@strawberry.input(
    description="All entries of the schedule: they replace those there were, and none removes it. At each time at most one is in force; "
    "in gaps the main breaker is the limit. A limit that a person set stays in force until it is cleared or expires."
)
class SetCurrentScheduleInput:
    """In the site's own time."""

    installation_id: strawberry.ID
    entries: list[ScheduleEntryInput]
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="The limit that a person set ends; `mode` decides what sets it from now on.")
class ClearAvailableCurrentInput:
    """Back to the main breaker, or to what the mode says."""

    installation_id: strawberry.ID
    mode: AvailableCurrentMode = AvailableCurrentMode.MANUAL
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The site as it is now.")
class InstallationSuccess:
    """Read anew."""

    installation: Installation


InstallationResult = Annotated[
    InstallationSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("InstallationResult"),
]
_INSTALLATION = Thing(InstallationSuccess, "installation", "Installation")


@strawberry.type
class InstallationMutations:
    """Changes of sites."""

    create_installation = mutation(
        resolvers.create_installation,
        CreateInstallationInput,
        InstallationResult,
        _INSTALLATION,
        description="Makes a site with its main breaker. For administrators, or for anyone where the operator allows it: "
        "who makes it holds SERVICE there and names an owner.",
    )
    update_installation = mutation(
        resolvers.update_installation,
        UpdateInstallationInput,
        InstallationResult,
        _INSTALLATION,
        description="Changes a site. For OWNER, SERVICE and ADMINISTRATOR.",
    )
    set_available_current = mutation(
        resolvers.set_available_current,
        SetAvailableCurrentInput,
        InstallationResult,
        _INSTALLATION,
        description="Limits the current of the site on each line. For OWNER, SERVICE and ADMINISTRATOR.",
    )
    set_current_schedule = mutation(
        resolvers.set_current_schedule,
        SetCurrentScheduleInput,
        InstallationResult,
        _INSTALLATION,
        description="Limits the current of the site by the day of the week and the time of day. For OWNER, SERVICE and ADMINISTRATOR.",
    )
    clear_available_current = mutation(
        resolvers.clear_available_current,
        ClearAvailableCurrentInput,
        InstallationResult,
        _INSTALLATION,
        description="Ends the limit that a person set. For OWNER, SERVICE and ADMINISTRATOR.",
    )


NODES = (NodeKind(Installation, InstallationRow, installations_by_ids),)
ROWS = {domain_installations.Address: Address, current_schedule.ScheduleEntry: ScheduleEntry}
