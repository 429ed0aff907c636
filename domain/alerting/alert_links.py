"""Links in mails by which people end and confirm subscriptions to alerts without signing in."""

import hmac
from datetime import datetime
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit
from domain.models import AlertSubscription
from domain.ports import Tokens

UNSUBSCRIBE = "unsubscribe"
CONFIRM = "confirm"
PATH = "/alert-mails"


def unsubscribe_url(public_url: str, subscription_id: UUID, *, tokens: Tokens) -> str:
    """Where whoever has the mail ends the subscription, for as long as it lasts."""
    sign = tokens.keyed("alert mails: unsubscribe", subscription_id.bytes)
    return f"{public_url.rstrip('/')}{PATH}/{UNSUBSCRIBE}/{subscription_id.hex}.{sign}"


def confirm_url(public_url: str, subscription_id: UUID, email: str, *, tokens: Tokens) -> str:
    """Where whoever reads that address says that they want the mails."""
    sign = tokens.keyed("alert mails: confirm", subscription_id.bytes + email.encode())
    return f"{public_url.rstrip('/')}{PATH}/{CONFIRM}/{subscription_id.hex}.{sign}"


async def subscription_of(action: str, token: str, *, tokens: Tokens) -> AlertSubscription | None:
    """The subscription that the link with that token is about; None where it is none of ours."""
    identity, _, sign = token.partition(".")
    try:
        subscription_id = UUID(hex=identity)
    except ValueError:
        return None
    row = await AlertSubscription.get_or_none(id=subscription_id).prefetch_related("installation")
    if row is None:
        return None
    made = unsubscribe_url("", row.id, tokens=tokens) if action == UNSUBSCRIBE else None
    if action == CONFIRM and row.email is not None:
        made = confirm_url("", row.id, row.email, tokens=tokens)
    is_ours = made is not None and hmac.compare_digest(made.rpartition(".")[2].encode(), sign.encode())
    return row if is_ours else None


async def follow(action: str, subscription: AlertSubscription, *, now: datetime) -> None:
    """What the link is for is done: the subscription has ended, or its address is confirmed. Done twice it is done once."""
    column = "ended_at" if action == UNSUBSCRIBE else "verified_at"
    async with in_transaction():
        changed = await AlertSubscription.filter(id=subscription.id, **{column: None}).update(**{column: now})
        if changed:
            await audit.record_self(
                subscription.user_id,
                "alertSubscription.unsubscribe" if action == UNSUBSCRIBE else "alertSubscription.confirm",
                now=now,
                after={"subscription": str(subscription.id)},
            )
