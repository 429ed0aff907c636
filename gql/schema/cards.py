"""Charge cards of people."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from domain.people import people_by_ids
from domain.views.card_views import CardRow, cards_by_ids
from gql.resolvers import cards as resolvers
from gql.schema.commands import PersonInput
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import related
from gql.schema.mutations import Thing, mutation
from gql.schema.nodes import Node, NodeKind

if TYPE_CHECKING:
    from gql.schema.people import User


@strawberry.type(
    description="A charge card (OCPP: idTag). Seen by its holder, by whoever sees a session that it began, by the OWNER of an "
    "installation where its holder has a permission now, and by ADMINISTRATOR."
)
class ChargeCard(Node):
    """Read from CardRow."""

    name: str
    number: str = strawberry.field(description="Shown with its middle masked.")
    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids, lambda row: row.user_id, description="The holder."
    )
    is_blocked: bool = strawberry.field(description="Everywhere.")
    created_at: datetime
    external_id: str | None = strawberry.field(description="Null for all but the holder and ADMINISTRATOR.")


@strawberry.input(
    description="Null person = the viewer; another: ADMINISTRATOR. The number as a reader shows it, with or without separators."
)
class RegisterChargeCardInput:
    """A card for somebody."""

    number: str
    name: str | None = strawberry.UNSET
    person: PersonInput | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The card as it is now.")
class ChargeCardSuccess:
    """Read anew."""

    charge_card: ChargeCard


ChargeCardResult = Annotated[
    ChargeCardSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("ChargeCardResult"),
]


@strawberry.type
class CardMutations:
    """Cards of people."""

    register_charge_card = mutation(
        resolvers.register_charge_card,
        RegisterChargeCardInput,
        ChargeCardResult,
        Thing(ChargeCardSuccess, "charge_card", "ChargeCard"),
        description="Registers a card: a person has at most 100, and a number is that of one card in the whole portal.",
    )


NODES = (NodeKind(ChargeCard, CardRow, cards_by_ids),)
