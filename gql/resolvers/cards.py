"""Charge cards: listed, registered, changed, enrolled at a charger, pushed and imported."""

from collections.abc import Sequence
from uuid import UUID

from domain.csv_imports import ImportOutcome
from domain.identification import card_enrollments, card_imports, cards
from domain.identity import external_users
from domain.identity.external_users import ExternalCard
from domain.identity.people import PersonKey
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.views.card_views import CardRow, cards_page, own_cards, pushed_cards
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def cards_of_viewer(context: Context) -> Sequence[CardRow]:
    """The viewer's own."""
    return await own_cards(context.access)


async def cards_of_installation(context: Context, row: InstallationRow, request: PageRequest) -> Page[CardRow]:
    """Those of people who hold something there."""
    return await cards_page(context.access, row.id, request)


async def register_charge_card(
    context: Context, *, number: str, name: str | Unset | None, person: PersonKey | Unset | None
) -> UUID:
    """The card."""
    return await cards.register_charge_card(
        context.access,
        number=number,
        name=name if isinstance(name, str) else None,
        person=person if isinstance(person, PersonKey) else None,
        bus=context.ports.bus,
    )


async def upsert_charge_card(
    context: Context,
    *,
    external_id: str,
    number: str,
    name: str | Unset | None,
    person: PersonKey,
    is_blocked: bool,
) -> UUID:
    """The card."""
    return await cards.upsert_charge_card(
        context.access,
        external_id=external_id,
        number=number,
        name=name if isinstance(name, str) else None,
        person=person,
        is_blocked=is_blocked,
        bus=context.ports.bus,
    )


async def rename_charge_card(context: Context, *, charge_card_id: str, name: str) -> UUID:
    """The card."""
    identity = ids.uuid_of(charge_card_id, "ChargeCard", at="chargeCardId")
    await cards.rename_charge_card(context.access, identity, name=name)
    return identity


async def block_charge_card(context: Context, *, charge_card_id: str, installation_id: str | Unset | None) -> UUID:
    """The card."""
    return await _set_blocked(context, charge_card_id, installation_id, is_blocked=True)


async def unblock_charge_card(context: Context, *, charge_card_id: str, installation_id: str | Unset | None) -> UUID:
    """The card."""
    return await _set_blocked(context, charge_card_id, installation_id, is_blocked=False)


async def _set_blocked(
    context: Context, charge_card_id: str, installation_id: str | Unset | None, *, is_blocked: bool
) -> UUID:
    identity = ids.uuid_of(charge_card_id, "ChargeCard", at="chargeCardId")
    place = None if isinstance(installation_id, Unset) else installation_id
    await cards.block_charge_card(
        context.access,
        identity,
        installation_id=ids.optional_uuid_of(place, "Installation", at="installationId"),
        is_blocked=is_blocked,
        bus=context.ports.bus,
    )
    return identity


async def remove_charge_card(context: Context, *, id: str) -> None:
    """It is gone."""
    await cards.remove_charge_card(context.access, ids.uuid_of(id, "ChargeCard", at="id"), bus=context.ports.bus)


async def import_charge_cards(context: Context, *, installation_id: str, csv: str, dry_run: bool) -> ImportOutcome:
    """What became of each line."""
    return await card_imports.import_charge_cards(
        context.access,
        ids.uuid_of(installation_id, "Installation", at="installationId"),
        table=csv,
        is_dry_run=dry_run,
        bus=context.ports.bus,
    )


async def start_card_enrollment(
    context: Context,
    *,
    charger_id: str,
    person: PersonKey | Unset | None,
    name: str | Unset | None,
    window_seconds: int,
) -> UUID:
    """The waiting."""
    return await card_enrollments.start_card_enrollment(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        person=person if isinstance(person, PersonKey) else None,
        name=name if isinstance(name, str) else None,
        window_s=window_seconds,
        bus=context.ports.bus,
    )


async def upsert_external_user(
    context: Context,
    *,
    external_id: str,
    name: str,
    email: str | Unset | None,
    cards: Sequence[ExternalCard] | Unset | None,
) -> UUID:
    """The person."""
    return await external_users.upsert_external_user(
        context.access,
        external_id=external_id,
        name=name,
        email=email if isinstance(email, str) else None,
        cards_wanted=None if isinstance(cards, Unset) else cards,
        bus=context.ports.bus,
    )


async def cards_of_external_user(context: Context, user_id: UUID) -> Sequence[CardRow]:
    """Those of the person's cards that the program pushed."""
    return await pushed_cards(context.access, user_id)


async def remove_external_user(context: Context, *, external_id: str) -> None:
    """The program knows nobody by this id any more."""
    await external_users.remove_external_user(context.access, external_id=external_id, bus=context.ports.bus)
