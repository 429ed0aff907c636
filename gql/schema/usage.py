"""Usage summaries: who used how much, where and when."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.identity.people import people_by_ids
from domain.roles import ReportBasis, SessionFlag, UsageDimension
from domain.units import kwh
from domain.usage.question import EmptyReason, UsageFilter, UsageOrder, UsageQuestion
from domain.views.card_views import cards_by_ids
from domain.views.charger_views import chargers_by_ids
from domain.views.circuit_views import circuits_by_ids
from domain.views.installation_views import installations_by_ids
from gql import ids
from gql.context import Context
from gql.resolvers import usage as resolvers
from gql.schema.connections import Connection
from gql.schema.enums import OrderDirection
from gql.schema.fields import READ, connection, derived, related, resolved
from gql.schema.quantities import Money
from gql.schema.sessions import whole_wh

if TYPE_CHECKING:
    from gql.schema.cards import ChargeCard
    from gql.schema.chargers import Charger
    from gql.schema.circuits import Circuit
    from gql.schema.installations import Installation
    from gql.schema.people import User

strawberry.enum(EmptyReason, description="Why a summary has no rows.")
strawberry.enum(UsageOrder, name="UsageRowOrderField", description="What rows of a summary are ordered by.")

BY_CHARGER = [UsageDimension.CHARGER]


@strawberry.input(
    description="Half-open local dates [from, to) in timeZone; null = the installations' own, an error when theirs differ "
    "(the viewer's own summary: UTC when there are none)."
)
class PeriodInput:
    """Becomes Dates."""

    from_: date = strawberry.field(name="from")
    to: date = strawberry.field(description="The first day that is no longer inside.")
    time_zone: str | None = strawberry.field(description="IANA name, e.g. Europe/Oslo.", default=strawberry.UNSET)

    def to_domain(self) -> resolvers.Dates:
        """The same as the resolvers take it."""
        return resolvers.Dates(self.from_, self.to, self.time_zone or None)


@strawberry.input(
    description="Which sessions count: several fields are AND, a list is any of. A hidden or absent id: NOT_FOUND."
)
class UsageWhere:
    """Becomes a UsageFilter."""

    charger_ids: list[strawberry.ID] | None = strawberry.UNSET
    user_ids: list[strawberry.ID] | None = strawberry.UNSET
    charge_card_ids: list[strawberry.ID] | None = strawberry.UNSET
    circuit_ids: list[strawberry.ID] | None = strawberry.UNSET
    flags: list[SessionFlag] | None = strawberry.UNSET
    is_identified: bool | None = strawberry.UNSET
    min_energy_kwh: Decimal | None = strawberry.UNSET

    def to_domain(self) -> UsageFilter:
        """The same as the domain knows it."""

        def identities(given: list[strawberry.ID] | None, kind: str, field: str) -> Any:
            if given is None or given is strawberry.UNSET:
                return None
            return tuple(ids.uuid_of(one, kind, at=("where", field)) for one in given)

        return UsageFilter(
            charger_ids=identities(self.charger_ids, "Charger", "chargerIds"),
            user_ids=identities(self.user_ids, "User", "userIds"),
            charge_card_ids=identities(self.charge_card_ids, "ChargeCard", "chargeCardIds"),
            circuit_ids=identities(self.circuit_ids, "Circuit", "circuitIds"),
            flags=tuple(self.flags) if self.flags else None,
            is_identified=self.is_identified if isinstance(self.is_identified, bool) else None,
            min_energy_wh=whole_wh(self.min_energy_kwh) if isinstance(self.min_energy_kwh, Decimal) else None,
        )


@strawberry.input(description="For installations that the viewer owns.")
class UsageSummaryInput:
    """Becomes a UsageQuestion."""

    installation_ids: list[strawberry.ID]
    period: PeriodInput
    basis: ReportBasis = ReportBasis.REGISTERED
    group_by: list[UsageDimension] = strawberry.field(
        description="One or two dimensions.", default_factory=lambda: list(BY_CHARGER)
    )
    where: UsageWhere | None = strawberry.UNSET
    include_idle: bool = strawberry.field(description="Also groups without a session in the period.", default=False)

    def to_domain(self) -> UsageQuestion:
        """The same as the domain knows it."""
        identities = [ids.uuid_of(one, "Installation", at="installationIds") for one in self.installation_ids]
        return resolvers.question(
            self.period.to_domain(),
            self.group_by,
            self.basis,
            _filter(self.where),
            installation_ids=tuple(identities),
            include_idle=self.include_idle,
        )


def _filter(where: UsageWhere | None) -> UsageFilter | None:
    return where.to_domain() if isinstance(where, UsageWhere) else None


@strawberry.type(description="Half-open local dates and their instants; a day may have 23 or 25 hours.")
class Period:
    """Read from domain.periods.Period."""

    from_: date = strawberry.field(name="from", metadata={READ: lambda period: period.from_date})
    to: date = derived(lambda period: period.to_date, description="The first day that is no longer inside.")
    start_at: datetime
    end_at: datetime


@strawberry.type(description="Figures that add up. Seconds are whole and may exceed an Int.")
class Usage:
    """Read from domain.usage.question.Usage."""

    session_count: int
    energy_kwh: Decimal = derived(
        lambda usage: kwh(usage.energy_wh),
        description="What the vehicles took; chargers' own standby use is not in it.",
    )
    connected_seconds: float = derived(lambda usage: float(usage.connected_s))
    charging_seconds: float = derived(lambda usage: float(usage.charging_s))
    offline_session_count: int = derived(
        lambda usage: usage.offline_count, description="Sessions that happened while the charger was off the net."
    )
    unreliable_date_count: int = derived(
        lambda usage: usage.unreliable_count, description="Sessions of a charger that had lost its clock."
    )
    first_session_at: datetime | None = derived(lambda usage: usage.first_at, description="Start of the first.")
    last_session_at: datetime | None = derived(lambda usage: usage.last_at, description="Start of the last.")
    costs: list[Money] = derived(
        lambda usage: usage.costs.amounts,
        description="VAT included, one per currency; empty where no tariff applies. The sum of the cost lines that count, and of monthly "
        "fees; without the charges of unknownCostCount.",
    )
    unknown_cost_count: int = derived(
        lambda usage: usage.costs.unknown_count,
        description="Charges whose cost is not known although a tariff applies, such as for want of an imported price: costs is too low by "
        "them. Under INTERVAL each counts wherever it touches, as sessionCount does.",
    )


@strawberry.type(description="One group of a summary.")
class UsageRow:
    """Read from domain.usage.question.UsageRow."""

    # Not the ids that it is made from: a driver's own charges are grouped by chargers, too, that they see no more.
    key: str = derived(
        lambda row: row.id.hex, description="Stable for the same summary: the same group has the same key."
    )
    labels: list[str] = strawberry.field(
        description="The group's label, one per dimension: a charger's, person's or card's name as it was last in the period, a date."
    )
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids,
        lambda row: row.id_of(UsageDimension.INSTALLATION),
        description="Links: those of the dimensions grouped by; null where not grouped, not identified, or gone.",
    )
    circuit: Annotated["Circuit", strawberry.lazy("gql.schema.circuits")] | None = related(
        circuits_by_ids,
        lambda row: row.id_of(UsageDimension.CIRCUIT),
        description="Null where not grouped by circuits, not identified, or gone.",
    )
    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.id_of(UsageDimension.CHARGER),
        description="Null where not grouped by chargers, or gone.",
    )
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids,
        lambda row: row.id_of(UsageDimension.USER),
        description="Null where not grouped by people, not identified, or gone.",
    )
    charge_card: Annotated["ChargeCard", strawberry.lazy("gql.schema.cards")] | None = related(
        cards_by_ids,
        lambda row: row.id_of(UsageDimension.CHARGE_CARD),
        description="Null where not grouped by cards, without a card, or gone.",
    )
    start_at: datetime | None = strawberry.field(
        description="A time bucket's instants: tell apart the two hours 02 of an autumn night."
    )
    end_at: datetime | None = strawberry.field(description="As startAt; null where not grouped by time.")
    usage: Usage


@strawberry.type(
    description="A charger that has delivered nothing since then, so that sessions of the period may be missing."
)
class SilentCharger:
    """Read from domain.usage.question.SilentCharger."""

    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] = related(
        chargers_by_ids, lambda silent: silent.charger_id
    )
    since: datetime


@strawberry.type(description="Whether all chargers have delivered, as of now.")
class Coverage:
    """Read from domain.usage.question.Coverage."""

    is_complete: bool
    silent_chargers: list[SilentCharger] = derived(
        lambda coverage: coverage.silent,
        description="Whose last delivered record is older than the end of the period; at most 1,000, longest first.",
    )


@strawberry.type(description="Why there are no rows.")
class EmptyUsage:
    """Read from domain.usage.question.EmptyUsage."""

    reason: EmptyReason
    text: str = strawberry.field(description="In words.")
    nearest_session_at: datetime | None = strawberry.field(
        description="When the session nearest to the period counts; null when there is none at all."
    )


@strawberry.input(description="How rows are ordered; equal ones by label.")
class UsageRowOrder:
    """Becomes a RowOrder."""

    field: UsageOrder
    direction: OrderDirection = OrderDirection.DESC

    def to_domain(self) -> resolvers.RowOrder:
        """The same as the resolver takes it."""
        return resolvers.RowOrder(self.field, self.direction is OrderDirection.DESC)


@strawberry.type(description="Who used how much, as of now. All rows add up to total.")
class UsageSummary:
    """Read from domain.usage.question.UsageSummary."""

    period: Period
    basis: ReportBasis = derived(lambda summary: summary.question.basis)
    time_zone: str = derived(lambda summary: summary.zone.key)
    group_by: list[UsageDimension] = derived(lambda summary: summary.question.group_by)
    rows = connection(
        resolvers.rows_of,
        Connection[UsageRow],
        further={"order_by": UsageRowOrder | None},
        description="By label, then time, unless ordered; what is not identified last.",
    )
    total: Usage
    coverage: Coverage
    empty_because: EmptyUsage | None = strawberry.field(description="Null when there are rows.")


_COST_FIELDS = frozenset({"costs", "unknownCostCount"})


def _wants_costs(fields: Iterable[Any]) -> bool:
    """Whether costs are selected below, or rows ordered by them: only then is every charge priced."""
    return any(
        getattr(one, "name", None) in _COST_FIELDS or _is_ordered_by_cost(one) or _wants_costs(one.selections)
        for one in fields
    )


def _wants_coverage(fields: Iterable[Any]) -> bool:
    """Whether coverage is selected below."""
    return any(getattr(one, "name", None) == "coverage" or _wants_coverage(one.selections) for one in fields)


def _wanted(fields: Iterable[Any]) -> resolvers.Wanted:
    chosen = list(fields)
    return resolvers.Wanted(costs=_wants_costs(chosen), coverage=_wants_coverage(chosen))


def _is_ordered_by_cost(one: Any) -> bool:
    order = getattr(one, "arguments", {}).get("orderBy")
    field = order.get("field") if isinstance(order, Mapping) else getattr(order, "field", None)
    return field is not None and str(getattr(field, "value", field)) == UsageOrder.COST.value


async def _of_installation(
    root: Any,
    info: Info[Context, Any],
    period: PeriodInput,
    group_by: list[UsageDimension] = BY_CHARGER,
    basis: ReportBasis = ReportBasis.REGISTERED,
    where: UsageWhere | None = strawberry.UNSET,
    include_idle: bool = False,
) -> Any:
    asked = resolvers.question(
        period.to_domain(),
        group_by,
        basis,
        _filter(where),
        installation_ids=(root.id,),
        include_idle=include_idle,
    )
    return await resolvers.summary_of_installation(info.context, root, asked, _wanted(info.selected_fields))


async def _of_viewer(
    root: Any,
    info: Info[Context, Any],
    period: PeriodInput,
    group_by: list[UsageDimension] = BY_CHARGER,
    basis: ReportBasis = ReportBasis.REGISTERED,
    where: UsageWhere | None = strawberry.UNSET,
) -> Any:
    del root
    asked = resolvers.question(period.to_domain(), group_by, basis, _filter(where), installation_ids=None)
    return await resolvers.summary_of_viewer(info.context, asked, _wanted(info.selected_fields))


async def _usage_summary(info: Info[Context, Any], input: UsageSummaryInput) -> Any:
    return await resolvers.summary(info.context, input.to_domain(), _wanted(info.selected_fields))


def usage_of_installation() -> Any:
    """The field of an installation."""
    return resolved(
        _of_installation,
        UsageSummary | None,
        description="Who used how much here. For OWNER of the installation; null for others.",
    )


def usage_of_viewer() -> Any:
    """The field of the viewer."""
    return resolved(
        _of_viewer,
        UsageSummary | None,
        description="The viewer's own sessions, on every charger. Null for service accounts.",
    )


@strawberry.type
class UsageQueries:
    """Root fields about usage."""

    usage_summary = resolved(
        _usage_summary,
        UsageSummary | None,
        description="For OWNER of all these installations. Null with an error: NOT_FOUND when an installation, or an id of the filter, "
        "is not the viewer's to report on, BAD_USER_INPUT when the period is wrong.",
    )
