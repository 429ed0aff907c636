"""Charge cards: listed and registered."""

from collections.abc import Sequence
from uuid import UUID

from domain import cards
from domain.people import PersonKey
from domain.roles import Unset
from domain.views.card_views import CardRow, own_cards
from gql.context import Context


async def cards_of_viewer(context: Context) -> Sequence[CardRow]:
    """The viewer's own."""
    return await own_cards(context.access)


async def register_charge_card(
    context: Context, *, number: str, name: str | Unset | None, person: PersonKey | Unset | None
) -> UUID:
    """The card."""
    return await cards.register_charge_card(
        context.access,
        number=number,
        name=name if isinstance(name, str) else None,
        person=person if isinstance(person, PersonKey) else None,
    )
