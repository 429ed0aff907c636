"""Who is told about which alert, and when. Machines only.

What happened to an alert becomes a notice for each subscription that it concerns, in one transaction, so that nothing is told twice and
nothing is lost. `alert_mailing` makes mails of the notices that are due.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from tortoise.transactions import in_transaction

from domain import outbox, sql
from domain.access import Access, access_of
from domain.alerting.alert_letters import DAMPED_FOR, ENDS_AFTER, GATHERED_FOR, Times, due_at
from domain.alerting.alert_news import DAMPED_FROM, NEWS, News, Occasion
from domain.ids import new_id
from domain.roles import AlertDelivery, AlertKind, AlertState, Language, Role, Severity

NEWS_AT_ONCE = 200
CLAIM_S = 60.0
_SEVERITIES = list(Severity)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A subscription, and what its person may see."""

    id: UUID
    access: Access
    times: Times
    least: Severity
    kinds: frozenset[str]
    charger_ids: frozenset[str]
    sends_resolved: bool


@dataclass(frozen=True, slots=True)
class _Alert:
    """An alert as it stands."""

    id: UUID
    installation_id: UUID
    charger_id: UUID | None
    kind: AlertKind
    severity: Severity
    state: AlertState
    is_part: bool
    occurrences: int


_ALERT = "SELECT id, installation_id, charger_id, kind, severity, state, folded_into_id, occurrences FROM alerts WHERE id = $1"
_WISHES = """
SELECT s.*, i.time_zone FROM alert_subscriptions s JOIN users u ON u.id = s.user_id JOIN installations i ON i.id = s.installation_id
WHERE s.installation_id = $1 AND s.ended_at IS NULL AND s.verified_at IS NOT NULL AND u.is_active ORDER BY s.id
"""
_WITHOUT_WISH = """
SELECT DISTINCT u.id FROM permissions p LEFT JOIN group_members m ON m.group_id = p.group_id
JOIN users u ON u.id = COALESCE(p.user_id, m.user_id)
WHERE p.role = $1 AND p.installation_id = $2 AND p.revoked_at IS NULL AND p.valid_from <= $3 AND (p.valid_to IS NULL OR p.valid_to > $3)
  AND u.is_active AND u.email IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM alert_subscriptions s WHERE s.user_id = u.id AND s.installation_id = $2 AND s.email IS NULL)
"""
_MAKE_WISH = """
INSERT INTO alert_subscriptions (id, user_id, installation_id, charger_ids, kinds, minimum_severity, delivery, digest_hour, sends_resolved,
  language, default_key, created_at, verified_at)
VALUES ($1, $2, $3, '', '', $4, $5, 7, $6, $7, $8, $9, $9) ON CONFLICT (default_key) DO NOTHING
"""
_NOTE = """
INSERT INTO alert_notices (id, subscription_id, alert_id, occasion, key, created_at, due_at, has_told_end)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (key) DO NOTHING
"""


@dataclass
class _Planning:
    """What is read once for all that is planned together."""

    now: datetime
    wishes: dict[UUID, Sequence[_Wish]] = field(default_factory=dict)

    async def at(self, installation_id: UUID) -> Sequence[_Wish]:
        """The wishes there. Whoever owns something there and never said otherwise is mailed at their own address about each WARNING and
        worse.
        """
        if installation_id not in self.wishes:
            for row in await sql.rows(_WITHOUT_WISH, Role.OWNER, installation_id, self.now):
                await _make_default(sql.uuid_of(row["id"]), installation_id, self.now)
            rows = await sql.rows(_WISHES, installation_id)
            self.wishes[installation_id] = [await _wish(row, self.now) for row in rows]
        return self.wishes[installation_id]


async def _make_default(user_id: UUID, installation_id: UUID, now: datetime) -> None:
    await sql.execute(
        _MAKE_WISH,
        new_id(),
        user_id,
        installation_id,
        Severity.WARNING,
        AlertDelivery.IMMEDIATE,
        False,
        await language_of(user_id),
        f"{user_id.hex}:{installation_id.hex}",
        now,
    )


async def language_of(user_id: UUID) -> Language:
    """That of what the person last asked for; English where they never did."""
    row = await sql.row(
        "SELECT language FROM alert_subscriptions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1", user_id
    )
    return Language.EN if row is None else Language(row["language"])


async def _wish(row: sql.Row, now: datetime) -> _Wish:
    return _Wish(
        id=sql.uuid_of(row["id"]),
        access=await access_of(sql.uuid_of(row["user_id"]), now=now),
        times=times_of(row),
        least=Severity(row["minimum_severity"]),
        kinds=_names(row["kinds"]),
        charger_ids=_names(row["charger_ids"]),
        sends_resolved=bool(row["sends_resolved"]),
    )


def times_of(row: sql.Row) -> Times:
    """When the subscription of that row is to be mailed."""
    quiet = row["quiet_from"], row["quiet_to"]
    return Times(
        delivery=AlertDelivery(row["delivery"]),
        digest_hour=int(row["digest_hour"]),
        quiet=(time.fromisoformat(quiet[0]), time.fromisoformat(quiet[1])) if quiet[0] and quiet[1] else None,
        zone=ZoneInfo(row["time_zone"]),
    )


def _names(stored: str) -> frozenset[str]:
    return frozenset(name for name in stored.split(",") if name)


def _sees(wish: _Wish, alert: _Alert) -> bool:
    """A part of what concerns the whole place is told to those only who are not told of that."""
    access = wish.access
    if alert.is_part and access.handles_alerts_of(alert.installation_id):
        return False
    return access.sees_alert(installation_id=alert.installation_id, charger_id=alert.charger_id)


def _wants(wish: _Wish, alert: _Alert) -> bool:
    if _SEVERITIES.index(alert.severity) < _SEVERITIES.index(wish.least):
        return False
    if wish.kinds and alert.kind.value not in wish.kinds:
        return False
    # What concerns a circuit or the whole place concerns each of its chargers.
    return not wish.charger_ids or alert.charger_id is None or str(alert.charger_id) in wish.charger_ids


async def plan_some(*, now: datetime) -> bool:
    """Whether there was any news; each is a notice now wherever it is wanted."""
    claimed = await outbox.claim(NEWS, now=now, for_s=CLAIM_S, limit=NEWS_AT_ONCE)
    if not claimed:
        return False
    async with in_transaction():
        planning = _Planning(now)
        for message in claimed:
            await _plan(msgspec.json.decode(message.payload, type=News), planning)
            await outbox.drop(message)
    return True


async def _plan(news: News, planning: _Planning) -> None:
    row = await sql.row(_ALERT, news.alert_id)
    if row is None:
        return
    alert = _Alert(
        sql.uuid_of(row["id"]),
        sql.uuid_of(row["installation_id"]),
        sql.optional_uuid_of(row["charger_id"]),
        AlertKind(row["kind"]),
        Severity(row["severity"]),
        AlertState(row["state"]),
        row["folded_into_id"] is not None,
        int(row["occurrences"]),
    )
    match news.occasion:
        case Occasion.OPENED:
            for wish in await planning.at(alert.installation_id):
                if _wants(wish, alert) and _sees(wish, alert):
                    await _note(wish, alert, news, wait=GATHERED_FOR)
        case Occasion.AGAIN:
            await _plan_again(alert, news, planning)
        case Occasion.RESOLVED:
            await _plan_end(alert, news, planning)


async def _plan_again(alert: _Alert, news: News, planning: _Planning) -> None:
    """It is not over, and from the third time on that is told once in an hour."""
    await sql.execute(
        "DELETE FROM alert_notices WHERE alert_id = $1 AND occasion = $2 AND mailed_at IS NULL",
        alert.id,
        Occasion.RESOLVED,
    )
    if alert.occurrences < DAMPED_FROM:
        await _take_back(alert, news, planning)
        return
    for wish in await planning.at(alert.installation_id):
        if _wants(wish, alert) and _sees(wish, alert) and not await _is_waiting(wish, alert):
            await _note(wish, alert, news, wait=DAMPED_FOR)


async def _take_back(alert: _Alert, news: News, planning: _Planning) -> None:
    """Whoever was told that it is over is told that it is not: to them it is new."""
    rows = await sql.rows(
        "SELECT DISTINCT subscription_id FROM alert_notices WHERE alert_id = $1 AND has_told_end AND mailed_at IS NOT NULL",
        alert.id,
    )
    told = {sql.uuid_of(row["subscription_id"]) for row in rows}
    for wish in await planning.at(alert.installation_id) if told else ():
        if wish.id in told and _wants(wish, alert) and _sees(wish, alert):
            await sql.execute(
                "DELETE FROM alert_notices WHERE alert_id = $1 AND subscription_id = $2", alert.id, wish.id
            )
            await _note(wish, alert, msgspec.structs.replace(news, occasion=Occasion.OPENED), wait=GATHERED_FOR)


async def _is_waiting(wish: _Wish, alert: _Alert) -> bool:
    """Whether it is to be told already that this comes and goes; then it is told of the newest alert of the same."""
    waiting = await sql.row(
        "SELECT n.id FROM alert_notices n JOIN alerts a ON a.id = n.alert_id JOIN alerts b ON b.id = $3"
        " WHERE n.subscription_id = $1 AND n.occasion = $2 AND n.mailed_at IS NULL AND a.kind = b.kind"
        " AND a.installation_id = b.installation_id"
        " AND COALESCE(a.charger_id, a.circuit_id, a.installation_id) = COALESCE(b.charger_id, b.circuit_id, b.installation_id)",
        wish.id,
        Occasion.AGAIN,
        alert.id,
    )
    if waiting is None:
        return False
    await sql.execute(
        "UPDATE alert_notices SET alert_id = $2, key = $3 WHERE id = $1",
        sql.uuid_of(waiting["id"]),
        alert.id,
        _key(wish, alert, Occasion.AGAIN),
    )
    return True


def _key(wish: _Wish, alert: _Alert, occasion: Occasion) -> str:
    return f"{wish.id.hex}:{alert.id.hex}:{occasion[:2]}"


async def _plan_end(alert: _Alert, news: News, planning: _Planning) -> None:
    """Whoever was told that it began, and not yet that it is over, is told after a while; who is still to be told hears both at once."""
    rows = await sql.rows(
        "SELECT subscription_id FROM alert_notices WHERE alert_id = $1 AND occasion = $2 AND mailed_at IS NOT NULL AND NOT has_told_end",
        alert.id,
        Occasion.OPENED,
    )
    told = {sql.uuid_of(row["subscription_id"]) for row in rows}
    for wish in await planning.at(alert.installation_id) if told else ():
        if wish.id in told and wish.sends_resolved:
            await _note(wish, alert, news, wait=ENDS_AFTER)


async def _note(wish: _Wish, alert: _Alert, news: News, *, wait: timedelta) -> None:
    # Also where nobody worked for a while, what is due is due from when it happened.
    severity = Severity.INFO if news.occasion is Occasion.RESOLVED else alert.severity
    await sql.execute(
        _NOTE,
        new_id(),
        wish.id,
        alert.id,
        news.occasion,
        _key(wish, alert, news.occasion),
        news.at,
        due_at(wish.times, severity, now=news.at, wait=wait),
        False,
    )
