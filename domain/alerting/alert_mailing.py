"""Which notices of alerts go into which mail, and what it says. Machines only.

The notices of a subscription that are due (`alert_planning`) become one mail, in one transaction, so that nothing is told twice and
nothing is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from tortoise.transactions import in_transaction

from domain import outbox, sql
from domain.access import Access, access_of
from domain.alerting import alert_links, alert_texts
from domain.alerting.alert_letters import (
    GATHERED_FOR,
    MOST_LINES,
    AlertLetter,
    ConfirmationLetter,
    Line,
    Written,
)
from domain.alerting.alert_news import Occasion
from domain.ports import Mail, Tokens
from domain.roles import AlertDelivery, AlertKind, AlertState, Language, Severity

LETTERS_AT_ONCE = 50
CLAIM_S = 60.0
NOTICES_KEPT = timedelta(days=30)
_SEVERITIES = list(Severity)


class Press(Protocol):
    """Puts letters into words."""

    def alerts(self, letter: AlertLetter) -> Written:
        """A mail about alerts."""
        ...

    def confirmation(self, letter: ConfirmationLetter) -> Written:
        """A mail that asks whether an address wants mails."""
        ...


@dataclass(frozen=True, slots=True)
class MailRoom:
    """What is needed to write mails."""

    press: Press
    tokens: Tokens
    public_url: str


_DUE = """
SELECT n.subscription_id, MIN(n.due_at) AS due_at FROM alert_notices n
WHERE n.mailed_at IS NULL AND n.due_at <= $1 GROUP BY n.subscription_id ORDER BY due_at, n.subscription_id LIMIT $2
"""
_SUBSCRIPTION = """
SELECT s.*, i.name AS installation_name, i.time_zone, u.name AS user_name, u.email AS user_email, u.is_active FROM alert_subscriptions s
JOIN installations i ON i.id = s.installation_id JOIN users u ON u.id = s.user_id WHERE s.id = $1
"""
_COLUMNS = """
SELECT n.id AS notice_id, n.occasion, a.id, a.installation_id, a.charger_id, a.kind, a.severity, a.state, a.info, a.vendor_code,
  a.opened_at, a.began_at, a.resolved_at, a.folded_into_id, a.occurrences, c.name AS charger_name, k.name AS circuit_name
FROM alert_notices n JOIN alerts a ON a.id = n.alert_id LEFT JOIN chargers c ON c.id = a.charger_id
LEFT JOIN circuits k ON k.id = a.circuit_id WHERE n.subscription_id = $1
"""
_NOTICES = f"{_COLUMNS} AND n.mailed_at IS NULL AND n.due_at <= $2 ORDER BY a.opened_at, n.id"


async def write_some(room: MailRoom, *, now: datetime) -> int:
    """How many mails were written of what is due: one a subscription."""
    found = await sql.rows(_DUE, now, LETTERS_AT_ONCE)
    written = 0
    for row in found:
        written += await _write(sql.uuid_of(row["subscription_id"]), room, now)
    return written


async def _write(subscription_id: UUID, room: MailRoom, now: datetime) -> bool:
    async with in_transaction():
        # Another process may be at the same subscription: it waits here, and finds nothing afterwards.
        await sql.rows(f"SELECT id FROM alert_subscriptions WHERE id = $1{sql.for_update()}", subscription_id)  # noqa: S608
        wish = await sql.row(_SUBSCRIPTION, subscription_id)
        rows = await sql.rows(_NOTICES, subscription_id, now + GATHERED_FOR)
        if wish is None or not rows:
            return False
        access = await access_of(sql.uuid_of(wish["user_id"]), now=now)
        told = [row for row in rows if _is_wanted(wish) and _is_to_be_told(row, access)]
        if told:
            mail = _mail(told, wish, room)
            await outbox.put(outbox.MAIL, msgspec.json.encode(mail).decode(), now=now)
        await _mark(told, now)
        kept = {row["notice_id"] for row in told}
        # Not as if it were told: what is hidden, or a part, or back again may be news another time.
        await sql.execute_many(
            "DELETE FROM alert_notices WHERE id = $1",
            [(sql.uuid_of(row["notice_id"]),) for row in rows if row["notice_id"] not in kept],
        )
    return bool(told)


async def as_of_now(mail: Mail, room: MailRoom, *, now: datetime) -> Mail | None:
    """The mail as it may go out now, perhaps long after it was written: without what its person may see no more; None where nothing is
    left, or they want none any more.
    """
    if mail.subscription_id is None:
        return mail
    wish = await sql.row(_SUBSCRIPTION, mail.subscription_id)
    if wish is None or not _is_wanted(wish):
        return None
    arguments: list[object] = [mail.subscription_id]
    wanted = sql.any_of("n.id", list(mail.notice_ids), arguments)
    rows = await sql.rows(f"{_COLUMNS} AND {wanted} ORDER BY a.opened_at, n.id", *arguments)
    access = await access_of(sql.uuid_of(wish["user_id"]), now=now)
    seen = [row for row in rows if _sees(row, access)]
    if len(seen) == len(mail.notice_ids):
        return mail
    return _mail(seen, wish, room) if seen else None


def _is_wanted(wish: sql.Row) -> bool:
    has_address = bool(wish["email"] or wish["user_email"])
    return bool(wish["is_active"]) and has_address and wish["verified_at"] is not None and wish["ended_at"] is None


def _sees(row: sql.Row, access: Access) -> bool:
    return access.sees_alert(
        installation_id=sql.uuid_of(row["installation_id"]), charger_id=sql.optional_uuid_of(row["charger_id"])
    )


def _is_to_be_told(row: sql.Row, access: Access) -> bool:
    """What is hidden by now is not told, nor that something is over which came back."""
    if not _sees(row, access):
        return False
    is_over = AlertState(row["state"]) is AlertState.RESOLVED
    is_part = row["folded_into_id"] is not None and access.handles_alerts_of(sql.uuid_of(row["installation_id"]))
    return not is_part and (is_over or row["occasion"] != Occasion.RESOLVED)


async def _mark(rows: Sequence[sql.Row], now: datetime) -> None:
    """They are told; that something comes and goes may be told again."""
    await sql.execute_many(
        "UPDATE alert_notices SET mailed_at = $2, has_told_end = $3, key = CASE WHEN occasion = $4 THEN NULL ELSE key END WHERE id = $1",
        [
            (sql.uuid_of(row["notice_id"]), now, AlertState(row["state"]) is AlertState.RESOLVED, Occasion.AGAIN)
            for row in rows
        ],
    )


def _mail(rows: Sequence[sql.Row], wish: sql.Row, room: MailRoom) -> Mail:
    language, zone = Language(wish["language"]), ZoneInfo(wish["time_zone"])
    newest: Mapping[UUID, sql.Row] = {sql.uuid_of(row["id"]): row for row in rows}
    lines = [_line(row, language, zone) for row in newest.values()]
    lines.sort(key=lambda line: (line.over_at is not None, -_SEVERITIES.index(line.severity)))
    url = alert_links.unsubscribe_url(room.public_url, sql.uuid_of(wish["id"]), tokens=room.tokens)
    letter = AlertLetter(
        language=language,
        name=wish["user_name"],
        installation=wish["installation_name"],
        lines=tuple(lines[:MOST_LINES]),
        left_out=max(0, len(lines) - MOST_LINES),
        delivery=AlertDelivery(wish["delivery"]),
        unsubscribe_url=url,
        portal_url=room.public_url,
    )
    written = room.press.alerts(letter)
    return Mail(
        to=wish["email"] or wish["user_email"],
        subject=written.subject,
        text=written.text,
        html=written.html,
        # Of the first notice, which is one of (alert, subscription, occasion): the same however often the mail is tried.
        message_id=f"<{sql.uuid_of(rows[0]['notice_id']).hex}@lade>",
        # RFC 8058: a mail program shows a button, and posts to the address without asking anybody to sign in.
        headers=(("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")),
        subscription_id=sql.uuid_of(wish["id"]),
        notice_ids=tuple(sql.uuid_of(row["notice_id"]) for row in rows),
    )


def _line(row: sql.Row, language: Language, zone: ZoneInfo) -> Line:
    over_at = sql.optional_instant_of(row["resolved_at"])
    began_at = sql.instant_of(row["opened_at"] if row["began_at"] is None else row["began_at"])
    return Line(
        kind=AlertKind(row["kind"]),
        severity=Severity(row["severity"]),
        thing=row["charger_name"] or row["circuit_name"],
        details=alert_texts.details_of(row["info"], row["vendor_code"], language),
        began_at=began_at.astimezone(zone),
        over_at=None if over_at is None else over_at.astimezone(zone),
        occurrences=int(row["occurrences"]),
        is_again=row["occasion"] == Occasion.AGAIN,
    )


# ── addresses that are to say yes first


CONFIRMATION = "alert-confirmation"
"""The outbox's kind: what it holds is the subscription's id."""
_TO_CONFIRM = """
SELECT s.email, s.language, u.name AS user_name, i.name AS installation_name FROM alert_subscriptions s JOIN users u ON u.id = s.user_id
JOIN installations i ON i.id = s.installation_id
WHERE s.id = $1 AND s.email IS NOT NULL AND s.verified_at IS NULL AND s.ended_at IS NULL AND u.is_active
"""


async def ask_some(room: MailRoom, *, now: datetime) -> int:
    """How many addresses have a mail that asks whether they want any."""
    claimed = await outbox.claim(CONFIRMATION, now=now, for_s=CLAIM_S)
    for message in claimed:
        async with in_transaction():
            subscription_id = UUID(hex=message.payload)
            row = await sql.row(_TO_CONFIRM, subscription_id)
            if row is not None:
                mail = _question(row, subscription_id, room)
                await outbox.put(outbox.MAIL, msgspec.json.encode(mail).decode(), now=now)
            await outbox.done(message, now=now)
    return len(claimed)


def _question(row: sql.Row, subscription_id: UUID, room: MailRoom) -> Mail:
    url = alert_links.confirm_url(room.public_url, subscription_id, row["email"], tokens=room.tokens)
    letter = ConfirmationLetter(
        language=Language(row["language"]),
        asked_by=row["user_name"],
        installation=row["installation_name"],
        confirm_url=url,
    )
    written = room.press.confirmation(letter)
    return Mail(
        to=row["email"],
        subject=written.subject,
        text=written.text,
        html=written.html,
        message_id=f"<{subscription_id.hex}.confirm@lade>",
    )


async def forget(*, before: datetime) -> int:
    """How many notices that were told before then are gone."""
    return await sql.execute("DELETE FROM alert_notices WHERE mailed_at < $1", before)
