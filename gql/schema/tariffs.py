"""What charging costs: tariffs, for whom and when they hold, and imported prices."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.identity.people import people_by_ids
from domain.pricing.money import decimal_of
from domain.roles import CostUnit, Weekday
from domain.tariffs import PartWish, PriceWish
from domain.views.group_views import groups_by_ids
from domain.views.installation_views import installations_by_ids
from domain.views.tariff_views import TariffRow, tariffs_by_ids
from gql.ids import global_id
from gql.resolvers import tariffs as resolvers
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import READ, derived, related
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.removal import RemoveInput, RemoveResult

if TYPE_CHECKING:
    from gql.schema.groups import UserGroup
    from gql.schema.installations import Installation
    from gql.schema.people import User


@strawberry.type(
    description="What one unit costs, at some times of the local week or always. Price and surcharge are without VAT."
)
class TariffPart:
    """Read from domain.pricing.parts.TariffPart."""

    unit: CostUnit
    price: Decimal | None = derived(
        lambda part: None if part.price_micro is None else decimal_of(part.price_micro),
        description="Null = the imported price of the time.",
    )
    surcharge: Decimal = derived(lambda part: decimal_of(part.surcharge_micro), description="Added to the price.")
    weekdays: list[Weekday] = strawberry.field(description="Empty = every day.")
    from_: time | None = strawberry.field(
        name="from", metadata={READ: lambda part: part.since}, description="Null = from 00:00."
    )
    to: time | None = derived(
        lambda part: part.until,
        description="Null and 00:00 are the end of the day; before `from` it is on the next day.",
    )


@strawberry.type(
    description="For whom a tariff holds on the local dates [validFrom, validTo). No group and no user: the whole installation. The "
    "narrowest wins: user, group, installation."
)
class TariffAssignment:
    """Read from AssignmentRow."""

    id: strawberry.ID = derived(lambda row: global_id("TariffAssignment", row.id))
    group: Annotated["UserGroup", strawberry.lazy("gql.schema.groups")] | None = related(
        groups_by_ids, lambda row: row.group_id, description="Null when it is not for a group, or the group is hidden."
    )
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids,
        lambda row: row.user_id,
        description="Null when it is not for one person, or the person is hidden.",
    )
    valid_from: date
    valid_to: date | None = strawberry.field(
        description="The first day that is no longer inside; null = until another takes its place."
    )


@strawberry.type(
    description="What charging costs at an installation. Seen by its OWNER and by programs with MANAGE_TARIFFS; a driver sees the lines "
    "of their own charges."
)
class Tariff(Node):
    """Read from TariffRow."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids, lambda row: row.installation_id, description="Null when it is hidden."
    )
    name: str
    currency: str = strawberry.field(description="The installation's, ISO 4217.")
    vat_percent: Decimal
    parts: list[TariffPart]
    assignments: list[TariffAssignment] = strawberry.field(description="By their first day.")


@strawberry.input(
    description="price is without VAT; null = the imported price of the time (KWH only). The surcharge, which may be negative, is added "
    "to either. Without weekdays: every day; without times: from 00:00, until the end of the day; `to` before `from` is on the next day."
)
class TariffPartInput:
    """Becomes a PartWish."""

    unit: CostUnit
    price: Decimal | None = strawberry.UNSET
    surcharge: Decimal = Decimal(0)
    weekdays: list[Weekday] | None = strawberry.UNSET
    from_: time | None = strawberry.field(name="from", default=strawberry.UNSET)
    to: time | None = strawberry.UNSET

    def to_domain(self) -> PartWish:
        """The same as the domain knows it."""
        return PartWish(
            unit=self.unit,
            price=self.price if isinstance(self.price, Decimal) else None,
            surcharge=self.surcharge,
            weekdays=tuple(self.weekdays or ()),
            since=self.from_ if isinstance(self.from_, time) else None,
            until=self.to if isinstance(self.to, time) else None,
        )


@strawberry.input(
    description="Without tariffId a new one. The parts of a unit may neither overlap nor leave a gap in the local week; a unit without "
    "parts costs nothing. What the tariff prices and is not locked costs so from now on, the past too. What is locked keeps its cost."
)
class SetTariffInput:
    """All of a tariff: what it was before is gone."""

    installation_id: strawberry.ID
    tariff_id: strawberry.ID | None = strawberry.UNSET
    name: str
    vat_percent: Decimal = Decimal(0)
    parts: list[TariffPartInput]
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="For a group, a person, or with neither the whole installation, on the local dates [validFrom, validTo). These days are "
    "taken from whatever was assigned to the same ones; the same tariff and validFrom again sets another validTo."
)
class AssignTariffInput:
    """From a day on, perhaps until another."""

    tariff_id: strawberry.ID
    group_id: strawberry.ID | None = strawberry.UNSET
    user_id: strawberry.ID | None = strawberry.UNSET
    valid_from: date
    valid_to: date | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(
    description="The price of a kWh in [startAt, endAt), at most 31 days, without VAT; it may be negative."
)
class PriceInput:
    """Becomes a PriceWish."""

    start_at: datetime
    end_at: datetime
    price_per_kwh: Decimal

    def to_domain(self) -> PriceWish:
        """The same as the domain knows it."""
        return PriceWish(self.start_at, self.end_at, self.price_per_kwh)


@strawberry.input(
    description="At most 1,000; the same start again replaces the price. One that overlaps another of a different start is refused, and "
    "with it all."
)
class ImportPricesInput:
    """Prices of hours, quarter hours, or whatever the seller's are."""

    tariff_id: strawberry.ID
    prices: list[PriceInput]
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The tariff as it is now.")
class TariffSuccess:
    """Read anew."""

    tariff: Tariff


TariffResult = Annotated[
    TariffSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError, strawberry.union("TariffResult")
]
_TARIFF = Thing(TariffSuccess, "tariff", "Tariff")
_WHO = "For OWNER of the installation, and programs with MANAGE_TARIFFS."


@strawberry.type
class TariffMutations:
    """Tariffs set, assigned and fed with prices."""

    set_tariff = mutation(
        resolvers.set_tariff,
        SetTariffInput,
        TariffResult,
        _TARIFF,
        description=f"Makes a tariff, or says anew what one costs. An installation has at most 100. {_WHO}",
    )
    assign_tariff = mutation(
        resolvers.assign_tariff,
        AssignTariffInput,
        TariffResult,
        _TARIFF,
        description=f"Says for whom a tariff holds, and when. {_WHO}",
    )
    remove_tariff_assignment = mutation(
        resolvers.remove_tariff_assignment,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description=f"Takes an assignment away, as if it had never been: what is wider holds in its place. {_WHO}",
    )
    import_prices = mutation(
        resolvers.import_prices,
        ImportPricesInput,
        TariffResult,
        _TARIFF,
        description=f"Stores the prices of a kWh over time, for parts of the tariff without a price of their own. {_WHO}",
    )


NODES = (NodeKind(Tariff, TariffRow, tariffs_by_ids),)
