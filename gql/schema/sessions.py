"""Charge sessions and their energy over time."""

from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Annotated, Any, Optional

import strawberry
from strawberry.types.info import Info

from domain.equipment.meter_signatures import signatures_by_session_ids
from domain.filters import Condition
from domain.identity.people import people_by_ids
from domain.roles import DateQuality, IntervalQuality, SessionFlag, SessionState, SignatureVerdict, StopReason
from domain.sessions import SessionOrder, SessionOrderField, SessionRow, replaced_sessions, sessions_by_ids
from domain.units import kwh
from domain.views.card_views import cards_by_ids
from domain.views.charger_views import chargers_by_ids
from domain.views.installation_views import installations_by_ids
from gql.context import Context
from gql.resolvers import costs as cost_resolvers
from gql.resolvers import sessions as resolvers
from gql.schema.connections import Connection
from gql.schema.costs import CostLine
from gql.schema.enums import OrderDirection
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import connection, derived, related, resolved
from gql.schema.filters import DateTimeFilter, DecimalFilter, IDFilter, StringFilter, any_of, combined, id_terms, terms
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.quantities import Money

if TYPE_CHECKING:
    from gql.schema.cards import ChargeCard
    from gql.schema.chargers import Charger
    from gql.schema.installations import Installation
    from gql.schema.people import User


def _kwh(energy_wh: int | None) -> Decimal | None:
    return None if energy_wh is None else kwh(energy_wh)


@strawberry.type(description="Energy taken in a stretch of time; quarter hours aligned to the clock in UTC.")
class EnergyInterval:
    """Read from a Part."""

    start_at: datetime
    end_at: datetime = strawberry.field(
        description="The same as `startAt` for energy that is known at one instant only."
    )
    energy_kwh: Decimal = derived(lambda part: kwh(part.energy_wh))
    quality: IntervalQuality


strawberry.enum(
    SignatureVerdict,
    description="VALID: every record shown is what the meter signed, by a key that was known before. INVALID: one is not. NO_KEY: that "
    "cannot be told, because no key of the meter was known when the record came, or its format or algorithm is not one that is checked.",
)


@strawberry.type(
    description="What the meter signed of a session, and whether it holds. Of a charger whose key nobody confirmed (confirmMeterKey) "
    "VALID says only that the same key signed as before."
)
class SessionSignature:
    """Read from a Signature."""

    verdict: SignatureVerdict
    format: str = strawberry.field(description="OCMF (SAFE e.V.), or what the charger calls it, or UNKNOWN.")
    payload: str = strawberry.field(
        description="The records of start and end as the meter wrote them, one a line, to be checked with any transparency software. For "
        "others than the driver the card in it is hidden, so that only the portal can check it; empty where it cannot be."
    )
    energy_kwh: Decimal | None = derived(
        lambda signature: _kwh(signature.energy_wh),
        description="Last less first reading by the signed records. Null unless VALID, and where they do not tell both.",
    )


async def _energy_details(
    root: Any,
    info: Info[Context, Any],
    from_: Annotated[datetime | None, strawberry.argument(name="from")] = strawberry.UNSET,
    to: datetime | None = strawberry.UNSET,
) -> Any:
    del info
    return await resolvers.details(root, from_ or None, to or None)


async def _cost(root: Any, info: Info[Context, Any]) -> Any:
    cost = await cost_resolvers.cost_of(info.context, root)
    return None if cost is None else cost.total


async def _cost_lines(root: Any, info: Info[Context, Any]) -> Any:
    cost = await cost_resolvers.cost_of(info.context, root)
    return () if cost is None else cost.lines


async def _cost_unknown(root: Any, info: Info[Context, Any]) -> str | None:
    cost = await cost_resolvers.cost_of(info.context, root)
    return None if cost is None else cost.unknown_because


@strawberry.type(
    description="One physical charge. Names and zone are those of the time of the session; the links are null once the viewer may "
    "not follow them. Seen by its driver, the OWNER of the installation, and the OWNER of the charger from the grant on."
)
class ChargeSession(Node):
    """Read from SessionRow."""

    state: SessionState
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] | None = related(
        installations_by_ids,
        lambda row: row.installation_id,
        description="Where it took place; null when hidden by now.",
    )
    installation_name: str
    time_zone: str
    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.charger_id,
        description="Null when hidden by now; its name stays.",
    )
    charger_name: str
    circuit_name: str | None = strawberry.field(
        description="For OWNER of the installation, SERVICE and ADMINISTRATOR; null for others."
    )
    is_viewers: bool = strawberry.field(description="Whether the viewer is its driver.")
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids,
        lambda row: row.user_id,
        description="The driver. Null when nobody was identified.",
    )
    user_name: str | None = strawberry.field(description="As it was then; null when nobody was identified.")
    charge_card: Annotated["ChargeCard", strawberry.lazy("gql.schema.cards")] | None = related(
        cards_by_ids, lambda row: row.card_id, description="The card that began it; null once it is removed."
    )
    card_name: str | None = strawberry.field(description="As it was then; null without a card.")
    authorized_at: datetime | None = strawberry.field(
        description="Null when nobody had to identify themselves, or it is not known."
    )
    started_at: datetime = strawberry.field(description="Plugged in and accepted.")
    ended_at: datetime | None = strawberry.field(description="The actual end, by the charger's clock.")
    registered_at: datetime | None = strawberry.field(
        description="When the portal accepted the final record; reports date the session by it."
    )
    date_quality: DateQuality = strawberry.field(
        description="EXACT; OFFLINE: happened while the charger was off the net, the dates are right; UNRELIABLE: the charger had lost "
        "its clock, the dates are probably wrong."
    )
    flags: list[SessionFlag]
    energy_kwh: Decimal | None = derived(
        lambda row: _kwh(row.energy_wh), description="So far while ACTIVE; null when VOID or unknown."
    )
    connected_seconds: int = strawberry.field(description="From start to end, so far while ACTIVE.")
    charging_seconds: int = strawberry.field(description="While energy flowed.")
    stop_reason: StopReason | None = strawberry.field(
        description="Null while it goes on, or when the charger told none."
    )
    external_id: str | None = strawberry.field(description="What an external system calls it; null when none does.")
    replaced_by: Optional["ChargeSession"] = related(
        sessions_by_ids, lambda row: row.replaced_by_id, description="The corrected session, when this one is VOID."
    )
    replaces: Optional["ChargeSession"] = related(
        replaced_sessions, lambda row: row.id, description="The session that this one corrects."
    )
    priority: int = strawberry.field(description="0 is that of all others; higher is served first.")
    energy_target_kwh: Decimal | None = derived(
        lambda row: _kwh(row.energy_target_wh),
        description="With departureAt its share of the current follows what it needs; once reached it has half a share. Null = no target.",
    )
    departure_at: datetime | None = strawberry.field(description="When the car is to leave; null when not told.")
    cost = resolved(
        _cost,
        Money | None,
        description="The sum of costLines, VAT included, as of now: it follows the tariffs. Null while ACTIVE, when VOID, where no tariff "
        "applies, and while it cannot be known (costUnknownBecause).",
    )
    cost_lines = resolved(
        _cost_lines,
        list[CostLine],
        description="What the cost is made of, by day. Without the monthly fee, which belongs to no charge. Empty where cost is null.",
    )
    cost_unknown_because = resolved(
        _cost_unknown,
        str | None,
        description="Why the cost is not known although a tariff applies, such as a price that was not imported. Null when it is known.",
    )
    energy_details = resolved(
        _energy_details,
        list[EnergyInterval],
        description="The whole session or the part inside [from, to), at most 31 days of it, adding up to the energy exactly.",
    )
    signature: SessionSignature | None = related(
        signatures_by_session_ids,
        lambda row: row.id if SessionFlag.SIGNED in row.flag_set else None,
        description="Null when not SIGNED, and once the driver was erased: the record named their card.",
    )


strawberry.enum(SessionOrderField, name="ChargeSessionOrderField", description="What sessions are ordered by.")


@strawberry.input(description="One term of an order; ties go by id.")
class ChargeSessionOrder:
    """Becomes the domain's."""

    field: SessionOrderField
    direction: OrderDirection = OrderDirection.DESC

    def to_domain(self) -> SessionOrder:
        """The same as the domain knows it."""
        return SessionOrder(self.field, self.direction is OrderDirection.DESC)


def whole_wh(energy_kwh: Decimal) -> int:
    """The least whole Wh that is not below: energies are whole Wh, so `gte` and `lt` mean the same with it."""
    return int((energy_kwh * 1000).to_integral_value(ROUND_CEILING))


@strawberry.input(description="Several fields are AND, a list is any of; at most 4 levels and 50 terms.")
class ChargeSessionWhere:
    """Becomes a condition."""

    id: IDFilter | None = strawberry.UNSET
    installation_id: IDFilter | None = strawberry.UNSET
    circuit_id: IDFilter | None = strawberry.UNSET
    charger_id: IDFilter | None = strawberry.UNSET
    user_id: IDFilter | None = strawberry.UNSET
    charge_card_id: IDFilter | None = strawberry.UNSET
    external_id: StringFilter | None = strawberry.UNSET
    state: list[SessionState] | None = strawberry.UNSET
    started_at: DateTimeFilter | None = strawberry.UNSET
    ended_at: DateTimeFilter | None = strawberry.UNSET
    registered_at: DateTimeFilter | None = strawberry.UNSET
    energy_kwh: DecimalFilter | None = strawberry.UNSET
    flags: list[SessionFlag] | None = strawberry.UNSET
    date_quality: list[DateQuality] | None = strawberry.UNSET
    and_: list["ChargeSessionWhere"] | None = strawberry.field(name="AND", default=strawberry.UNSET)
    or_: list["ChargeSessionWhere"] | None = strawberry.field(name="OR", default=strawberry.UNSET)
    not_: Optional["ChargeSessionWhere"] = strawberry.field(name="NOT", default=strawberry.UNSET)

    def to_domain(self) -> Condition:
        """The condition."""
        return combined(
            self,
            id_terms("id", self.id, "ChargeSession"),
            id_terms("installationId", self.installation_id, "Installation"),
            id_terms("circuitId", self.circuit_id, "Circuit"),
            id_terms("chargerId", self.charger_id, "Charger"),
            id_terms("userId", self.user_id, "User"),
            id_terms("chargeCardId", self.charge_card_id, "ChargeCard"),
            terms("externalId", self.external_id),
            any_of("state", self.state),
            terms("startedAt", self.started_at),
            terms("endedAt", self.ended_at),
            terms("registeredAt", self.registered_at),
            terms("energyWh", self.energy_kwh, convert=whole_wh),
            any_of("flags", self.flags),
            any_of("dateQuality", self.date_quality),
        )


SESSION_ARGUMENTS: dict[str, Any] = {"where": ChargeSessionWhere | None, "order_by": list[ChargeSessionOrder] | None}
"""What every list of sessions takes beside the page."""


@strawberry.type
class SessionQueries:
    """Root fields about sessions."""

    sessions = connection(
        resolvers.sessions_list,
        Connection[ChargeSession],
        further=SESSION_ARGUMENTS,
        description="All that the viewer may see, newest first unless ordered: their own on every charger, those of installations they "
        "own, and those of chargers they own since the grant.",
    )


@strawberry.input(
    description="priority: the installation's OWNER, SERVICE and ADMINISTRATOR; targets: the driver too. Null clears."
)
class SetSessionPriorityInput:
    """What is absent stays."""

    session_id: strawberry.ID
    priority: int | None = strawberry.UNSET
    energy_target_kwh: Decimal | None = strawberry.UNSET
    departure_at: datetime | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The session as it is now.")
class ChargeSessionSuccess:
    """Read anew."""

    session: ChargeSession


ChargeSessionResult = Annotated[
    ChargeSessionSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ChargeSessionResult"),
]


@strawberry.type
class SessionMutations:
    """Changes of charges that go on."""

    set_session_priority = mutation(
        resolvers.set_session_priority,
        SetSessionPriorityInput,
        ChargeSessionResult,
        Thing(ChargeSessionSuccess, "session", "ChargeSession"),
        description="Says how important an active charge is, how much energy its driver wants, and when the car leaves.",
    )


NODES = (NodeKind(ChargeSession, SessionRow, sessions_by_ids),)
