"""Who wants to be mailed about which alerts, when and where to: a person's own wishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from typing import Any
from uuid import UUID

from tortoise.transactions import in_transaction

from domain import audit, outbox, sql
from domain.access import ALERT_HANDLERS, Access
from domain.alerting.alert_mailing import CONFIRMATION
from domain.alerting.alert_planning import language_of
from domain.checks import Problems
from domain.errors import ErrorCode, NotAllowedError, NotFoundError, Path
from domain.ids import new_id
from domain.models import AlertSubscription, User
from domain.roles import UNSET, AlertDelivery, AlertKind, Language, Role, Severity, Unset

MOST_AT_A_PLACE = 20
"""Subscriptions of one person at one installation."""
MOST_UNCONFIRMED = 5
UNCONFIRMED_WITHIN = timedelta(days=1)
"""So many addresses that have not said yes one person may ask in a day: so that the portal mails no lists of strangers."""
MOST_CHARGERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSubscriptionRow:
    """A person's own subscription. `email` is where mails go; no `charger_ids` and no `kinds`: all."""

    id: UUID
    installation_id: UUID
    charger_ids: tuple[UUID, ...]
    kinds: tuple[AlertKind, ...]
    minimum_severity: Severity
    delivery: AlertDelivery
    digest_hour: int
    quiet_from: time | None
    quiet_to: time | None
    sends_resolved: bool
    email: str
    is_verified: bool
    language: Language


_ROW = """
SELECT s.*, u.email AS user_email FROM alert_subscriptions s JOIN users u ON u.id = s.user_id
WHERE s.user_id = $1 AND s.ended_at IS NULL AND {wanted} ORDER BY s.created_at, s.id LIMIT 1000
"""


async def subscriptions_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, AlertSubscriptionRow]:
    """Those among `ids` that are the caller's own and have not ended, by id."""
    if access.user_id is None:
        return {}
    arguments: list[object] = [access.user_id]
    wanted = sql.any_of("s.id", list(ids), arguments)
    return {row.id: row for row in map(_row, await sql.rows(_ROW.format(wanted=wanted), *arguments))}


async def own_subscriptions(access: Access) -> Sequence[AlertSubscriptionRow]:
    """The caller's own that have not ended, oldest first."""
    if access.user_id is None:
        return ()
    return [_row(row) for row in await sql.rows(_ROW.format(wanted="1 = 1"), access.user_id)]


def _row(row: Mapping[str, Any]) -> AlertSubscriptionRow:
    return AlertSubscriptionRow(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        charger_ids=tuple(UUID(one) for one in row["charger_ids"].split(",") if one),
        kinds=tuple(AlertKind(one) for one in row["kinds"].split(",") if one),
        minimum_severity=Severity(row["minimum_severity"]),
        delivery=AlertDelivery(row["delivery"]),
        digest_hour=int(row["digest_hour"]),
        quiet_from=None if row["quiet_from"] is None else time.fromisoformat(row["quiet_from"]),
        quiet_to=None if row["quiet_to"] is None else time.fromisoformat(row["quiet_to"]),
        sends_resolved=bool(row["sends_resolved"]),
        email=row["email"] or row["user_email"] or "",
        is_verified=row["verified_at"] is not None,
        language=Language(row["language"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a subscription says; what is UNSET stays as it is."""

    charger_ids: Sequence[UUID] | Unset | None = UNSET
    kinds: Sequence[AlertKind] | Unset | None = UNSET
    minimum_severity: Severity | Unset | None = UNSET
    delivery: AlertDelivery | Unset | None = UNSET
    digest_hour: int | Unset | None = UNSET
    quiet_from: time | Unset | None = UNSET
    quiet_to: time | Unset | None = UNSET
    sends_resolved: bool | Unset | None = UNSET
    language: Language | Unset | None = UNSET


async def subscribe(access: Access, installation_id: UUID, wishes: Wishes, *, email: str | None) -> UUID:
    """The person is mailed from now on; another address than their own (`email`) is asked first.

    For whoever handles alerts there, be it those of one charger. NotFoundError when the installation, or any of the chargers, is hidden.
    """
    user_id = access.person()
    if not access.sees_installation(installation_id):
        raise NotFoundError(path=("installationId",))
    if not _may_subscribe(access, installation_id):
        raise NotAllowedError("This is for OWNER and SERVICE there: ask an owner.", path=("installationId",))
    problems = Problems()
    async with in_transaction():
        person = await User.get(id=user_id)
        address = None if email is None or not email.strip() else problems.email("email", email)
        if address is None and person.email is None:
            problems.add("email", "Your account has no address: name one.")
        row = AlertSubscription(
            id=new_id(),
            user_id=user_id,
            installation_id=installation_id,
            email=None if address == person.email else address,
            language=await language_of(user_id),
            created_at=access.now,
        )
        row.verified_at = access.now if row.email is None else None
        await _set(access, row, wishes, problems)
        if row.email is None:
            # What they are mailed without having asked gives way to what they ask for.
            await AlertSubscription.filter(
                user_id=user_id,
                installation_id=installation_id,
                email=None,
                default_key__not_isnull=True,
                ended_at=None,
            ).update(ended_at=access.now)
        await _require_room(row, problems)
        problems.raise_any()
        await row.save(force_create=True)
        if row.email is not None:
            await outbox.put(CONFIRMATION, row.id.hex, now=access.now)
        await _audit(access, "alertSubscription.create", row, None, _state(row))
    return row.id


async def update(access: Access, subscription_id: UUID, wishes: Wishes) -> UUID:
    """The subscription says this. NotFoundError when it is not the person's own, or any of the chargers is hidden."""
    async with in_transaction():
        row = await _own(access, subscription_id, path=("alertSubscriptionId",))
        before, problems = _state(row), Problems()
        await _set(access, row, wishes, problems)
        problems.raise_any()
        await row.save(update_fields=list(_COLUMNS))
        await _audit(access, "alertSubscription.update", row, before, _state(row))
    return row.id


async def unsubscribe(access: Access, subscription_id: UUID) -> None:
    """No more mails go out; what waits is not sent. NotFoundError when it is not the person's own."""
    async with in_transaction():
        row = await _own(access, subscription_id, path=("id",))
        row.ended_at = access.now
        await row.save(update_fields=["ended_at"])
        await _audit(access, "alertSubscription.remove", row, _state(row), None)


def _may_subscribe(access: Access, installation_id: UUID) -> bool:
    held = access.roles_at(installation_id)
    owned = (one for one in access.chargers.values() if one.installation_id == installation_id and one.is_here)
    return access.require(held, ALERT_HANDLERS) or any(Role.OWNER in one.roles for one in owned)


async def _own(access: Access, subscription_id: UUID, *, path: Path) -> AlertSubscription:
    user_id = access.person()
    row = await AlertSubscription.get_or_none(id=subscription_id, user_id=user_id, ended_at=None)
    if row is None:
        raise NotFoundError(path=path)
    return row


_COLUMNS = (
    "charger_ids",
    "kinds",
    "minimum_severity",
    "delivery",
    "digest_hour",
    "quiet_from",
    "quiet_to",
    "sends_resolved",
    "language",
)


async def _set(access: Access, row: AlertSubscription, wishes: Wishes, problems: Problems) -> None:
    if not isinstance(wishes.charger_ids, Unset):
        row.charger_ids = ",".join(map(str, await _chargers(access, row, wishes.charger_ids or (), problems)))
    if not isinstance(wishes.kinds, Unset):
        row.kinds = ",".join(dict.fromkeys(kind.value for kind in wishes.kinds or ()))
    for name in ("minimum_severity", "delivery", "digest_hour", "sends_resolved", "language"):
        value = getattr(wishes, name)
        if value is None:
            problems.add(_IN_INPUT[name], "This cannot be empty.")
        elif not isinstance(value, Unset):
            setattr(row, name, value)
    if not 0 <= row.digest_hour <= 23:
        problems.add("digestHour", "This must be an hour from 0 to 23.")
    for name in ("quiet_from", "quiet_to"):
        value = getattr(wishes, name)
        if not isinstance(value, Unset):
            setattr(row, name, None if value is None else f"{value:%H:%M}")
    if (row.quiet_from is None) != (row.quiet_to is None):
        problems.add("quietTo" if row.quiet_to is None else "quietFrom", "Quiet hours have a beginning and an end.")
    elif row.quiet_from is not None and row.quiet_from == row.quiet_to:
        problems.add("quietTo", "Quiet hours end at another time than they begin.")


_IN_INPUT = {
    "minimum_severity": "minimumSeverity",
    "delivery": "delivery",
    "digest_hour": "digestHour",
    "sends_resolved": "sendsResolved",
    "language": "language",
}


async def _chargers(
    access: Access, row: AlertSubscription, charger_ids: Sequence[UUID], problems: Problems
) -> Sequence[UUID]:
    """The chargers, each of that installation and with alerts that the person sees."""
    wanted = list(dict.fromkeys(charger_ids))
    if len(wanted) > MOST_CHARGERS:
        problems.add(
            "chargerIds", f"At most {MOST_CHARGERS} chargers; leave them out for all.", ErrorCode.LIMIT_EXCEEDED
        )
        return ()
    for some in sql.in_chunks(wanted):
        arguments: list[object] = [row.installation_id]
        condition = sql.any_of("c.id", some, arguments)
        visible = access.chargers_condition("c", arguments)
        found = await sql.rows(
            f"SELECT c.id FROM chargers c WHERE c.installation_id = $1 AND c.removed_at IS NULL AND {condition} AND {visible}",  # noqa: S608
            *arguments,
        )
        if len(found) < len(some):
            raise NotFoundError(path=("chargerIds",))
    if not all(access.sees_alert(installation_id=row.installation_id, charger_id=one) for one in wanted):
        raise NotAllowedError(
            "Alerts of a charger are for its OWNER, and OWNER and SERVICE there.", path=("chargerIds",)
        )
    return wanted


async def _require_room(row: AlertSubscription, problems: Problems) -> None:
    theirs = AlertSubscription.filter(user_id=row.user_id, ended_at=None)
    if await theirs.filter(installation_id=row.installation_id).count() >= MOST_AT_A_PLACE:
        message = f"You have {MOST_AT_A_PLACE} subscriptions here: change or remove one."
        problems.add("installationId", message, ErrorCode.LIMIT_EXCEEDED)
    if row.email is None:
        return
    asked = AlertSubscription.filter(user_id=row.user_id, email__not_isnull=True, verified_at=None)
    if await asked.filter(created_at__gt=row.created_at - UNCONFIRMED_WITHIN).count() >= MOST_UNCONFIRMED:
        message = "You have asked other addresses today that have not said yes: wait for them, or for tomorrow."
        problems.add("email", message, ErrorCode.LIMIT_EXCEEDED)


def _state(row: AlertSubscription) -> audit.State:
    """Without the address, which is perhaps another's."""
    return {name: getattr(row, name) for name in _COLUMNS}


async def _audit(
    access: Access, action: str, row: AlertSubscription, before: audit.State | None, after: audit.State | None
) -> None:
    await audit.record(
        access, action, "AlertSubscription", row.id, installation_id=row.installation_id, before=before, after=after
    )
