"""Alerts: their lists, and what people do about them."""

from collections.abc import Sequence
from datetime import time
from typing import TypedDict, Unpack
from uuid import UUID

from domain.alerting import alert_subscriptions as subscriptions
from domain.alerting import alerts
from domain.alerting.alert_subscriptions import AlertSubscriptionRow, Wishes
from domain.filters import ANYTHING, Condition
from domain.pages import Page, PageRequest
from domain.roles import UNSET, AlertDelivery, AlertKind, Language, Severity, Unset
from domain.views.alert_views import AlertPlace, AlertRow, alerts_page
from domain.views.charger_views import ChargerRow, chargers_by_ids
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context


async def alerts_of_installation(
    context: Context, row: InstallationRow, request: PageRequest, *, where: Condition | None = None
) -> Page[AlertRow]:
    """Those at the site that exist for the viewer."""
    place = AlertPlace(installation_id=row.id)
    return await alerts_page(context.access, request, place, where=where or ANYTHING)


async def alerts_of_charger(
    context: Context, row: ChargerRow, request: PageRequest, *, where: Condition | None = None
) -> Page[AlertRow]:
    """Those of the charger that exist for the viewer."""
    return await alerts_page(context.access, request, AlertPlace(charger_id=row.id), where=where or ANYTHING)


async def subscriptions_of_viewer(context: Context) -> Sequence[AlertSubscriptionRow]:
    """The viewer's own."""
    return await subscriptions.own_subscriptions(context.access)


async def chargers_of(context: Context, row: AlertSubscriptionRow) -> list[ChargerRow]:
    """Those that the viewer still sees."""
    found = [await context.load(chargers_by_ids, one) for one in row.charger_ids]
    return [one for one in found if one is not None]


class GivenWishes(TypedDict):
    """What people may wish, as they give it."""

    charger_ids: list[str] | Unset | None
    kinds: list[AlertKind] | Unset | None
    minimum_severity: Severity | Unset | None
    delivery: AlertDelivery | Unset | None
    digest_hour: int | Unset | None
    quiet_from: time | Unset | None
    quiet_to: time | Unset | None
    sends_resolved: bool | Unset | None
    language: Language | Unset | None


def _wishes(given: GivenWishes) -> Wishes:
    chargers: list[UUID] | Unset = UNSET
    if not isinstance(given["charger_ids"], Unset):
        chargers = [ids.uuid_of(one, "Charger", at="chargerIds") for one in given["charger_ids"] or ()]
    return Wishes(
        charger_ids=chargers,
        kinds=given["kinds"],
        minimum_severity=given["minimum_severity"],
        delivery=given["delivery"],
        digest_hour=given["digest_hour"],
        quiet_from=given["quiet_from"],
        quiet_to=given["quiet_to"],
        sends_resolved=given["sends_resolved"],
        language=given["language"],
    )


async def subscribe(
    context: Context, *, installation_id: str, email: str | Unset | None, **given: Unpack[GivenWishes]
) -> UUID:
    """The subscription."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    if given["language"] is None:
        given["language"] = UNSET
    return await subscriptions.subscribe(
        context.access, identity, _wishes(given), email=email if isinstance(email, str) else None
    )


async def update_subscription(context: Context, *, alert_subscription_id: str, **given: Unpack[GivenWishes]) -> UUID:
    """The subscription, changed."""
    identity = ids.uuid_of(alert_subscription_id, "AlertSubscription", at="alertSubscriptionId")
    return await subscriptions.update(context.access, identity, _wishes(given))


async def unsubscribe(context: Context, *, id: str) -> None:
    """It has ended."""
    await subscriptions.unsubscribe(context.access, ids.uuid_of(id, "AlertSubscription", at="id"))


async def acknowledge(context: Context, *, alert_id: str, note: str | Unset | None) -> UUID:
    """The alert."""
    return await alerts.acknowledge_alert(
        context.access,
        ids.uuid_of(alert_id, "Alert", at="alertId"),
        note=note if isinstance(note, str) else None,
        bus=context.ports.bus,
    )
