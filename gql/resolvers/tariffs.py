"""What charging costs: shown to those who manage it, and set by them."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from domain import tariffs
from domain.roles import Unset
from domain.tariffs import PartWish, PriceWish
from domain.views.installation_views import InstallationRow
from domain.views.tariff_views import TariffRow, tariffs_of_installations
from gql import ids
from gql.context import Context


async def tariffs_of(context: Context, row: InstallationRow) -> Sequence[TariffRow]:
    """The tariffs of a site that exist for the viewer."""
    return await context.load(tariffs_of_installations, row.id) or ()


def _given(text: str | Unset | None) -> str | None:
    return None if isinstance(text, Unset) else text


async def set_tariff(
    context: Context,
    *,
    installation_id: str,
    tariff_id: str | Unset | None,
    name: str,
    vat_percent: Decimal,
    parts: Sequence[PartWish],
) -> UUID:
    """The tariff."""
    return await tariffs.set_tariff(
        context.access,
        ids.uuid_of(installation_id, "Installation", at="installationId"),
        tariff_id=ids.optional_uuid_of(_given(tariff_id), "Tariff", at="tariffId"),
        name=name,
        vat_percent=vat_percent,
        parts=parts,
    )


async def assign_tariff(
    context: Context,
    *,
    tariff_id: str,
    group_id: str | Unset | None,
    user_id: str | Unset | None,
    valid_from: date,
    valid_to: date | Unset | None,
) -> UUID:
    """The tariff."""
    return await tariffs.assign_tariff(
        context.access,
        ids.uuid_of(tariff_id, "Tariff", at="tariffId"),
        group_id=ids.optional_uuid_of(_given(group_id), "UserGroup", at="groupId"),
        user_id=ids.optional_uuid_of(_given(user_id), "User", at="userId"),
        valid_from=valid_from,
        valid_to=None if isinstance(valid_to, Unset) else valid_to,
    )


async def remove_tariff_assignment(context: Context, *, id: str) -> None:
    """The assignment is gone."""
    await tariffs.remove_tariff_assignment(context.access, ids.uuid_of(id, "TariffAssignment", at="id"))


async def import_prices(context: Context, *, tariff_id: str, prices: Sequence[PriceWish]) -> UUID:
    """The tariff."""
    return await tariffs.import_prices(context.access, ids.uuid_of(tariff_id, "Tariff", at="tariffId"), prices)
