"""The book of alerts: opened once, opened again where it was over for a moment only, and resolved. Machines only.

Call everything here inside a transaction. An alert, and that people are to be told of it, are one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from domain import sql
from domain.alerting import alert_news, alert_texts
from domain.alerting.alert_news import Occasion
from domain.events import AlertChanged
from domain.ids import new_id
from domain.roles import AlertKind, AlertState, Severity

REOPENS_WITHIN = timedelta(minutes=5)
"""What comes back sooner after it was over is the same alert."""
RESTARTED = "RepeatedRestarts"
"""The code of an alert that no status opens or resolves: a charger that restarts says each time that nothing is wrong."""
BEYOND_OFFER = "DrawsMoreThanOffered"
"""Likewise: the charger finds nothing wrong with a car that draws more than the balancer lets it."""
CRASHES = "RepeatedCrashes"
"""The code of an alert about a balancer that begins anew again and again; beside it stands one that nobody balances at all."""
ALONE = frozenset({RESTARTED, BEYOND_OFFER, CRASHES})
"""Codes that are never those of another alert of the same kind."""
DAMPED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Thing:
    """What is not well: a charger, a circuit, or (both None) the installation."""

    installation_id: UUID
    charger_id: UUID | None = None
    circuit_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """Of the charger, the circuit or the installation."""
        return self.charger_id or self.circuit_id or self.installation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a thing. `stands_alone`: beside another of its kind that has another code.

    `folded_into`: the alert of the whole installation of which this one is a part.
    """

    thing: Thing
    kind: AlertKind
    code: str | None = None
    info: str | None = None
    stands_alone: bool = False
    folded_into: UUID | None = None

    @property
    def open_key(self) -> str:
        """One alert of that key is open at a time."""
        return f"{self.kind.value}:{self.thing.id}{f':{self.code}' if self.stands_alone else ''}"


_REOPEN = """
UPDATE alerts SET state = CASE WHEN acknowledged_at IS NULL THEN '{opened}' ELSE '{acknowledged}' END, resolved_at = NULL, open_key = $4,
  reopened_at = $5, reopenings = COALESCE(reopenings, 0) + 1, occurrences = occurrences + 1, message = $6, vendor_code = $7, info = $8,
  folded_into_id = $9
WHERE open_key IS NULL AND NOT EXISTS (SELECT 1 FROM alerts o WHERE o.open_key = $4) AND id = (
  SELECT a.id FROM alerts a WHERE {same} AND a.resolved_at > $10 ORDER BY a.resolved_at DESC LIMIT 1)
RETURNING id, occurrences
"""
_OPEN = """
INSERT INTO alerts (id, installation_id, charger_id, circuit_id, kind, severity, state, open_key, message, vendor_code, info, opened_at,
  occurrences, folded_into_id, began_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (open_key) DO NOTHING RETURNING id
"""


async def opened(finding: Finding, *, now: datetime, since: datetime | None = None) -> AlertChanged | None:
    """There is an open alert of it; None where there was one already. `since`: when it began, if before now.

    Where it was over for less than five minutes it is the same alert again, acknowledged if it was, and nobody is mailed anew.
    """
    again = await _again(finding, now)
    if again is not None:
        await alert_news.put(again, Occasion.AGAIN, now=now)
        return _changed(again, finding.thing)
    severity = alert_texts.severity_of(finding.kind)
    occurrences = 1 + await _openings(finding, now)
    made = await sql.row(
        _OPEN,
        new_id(),
        finding.thing.installation_id,
        finding.thing.charger_id,
        finding.thing.circuit_id,
        finding.kind,
        severity,
        AlertState.OPEN,
        finding.open_key,
        *_said(finding),
        now,
        occurrences,
        finding.folded_into,
        since,
    )
    if made is None:
        return None
    alert_id = sql.uuid_of(made["id"])
    await alert_news.put(alert_id, Occasion.OPENED if occurrences < alert_news.DAMPED_FROM else Occasion.AGAIN, now=now)
    return _changed(alert_id, finding.thing)


async def _again(finding: Finding, now: datetime) -> UUID | None:
    """The alert that was over for a moment, open again."""
    arguments: list[object] = [
        finding.thing.installation_id,
        finding.kind,
        finding.thing.id,
        finding.open_key,
        now,
        *_said(finding),
        finding.folded_into,
        now - REOPENS_WITHIN,
    ]
    same = _same(finding, "a", arguments)
    statement = _REOPEN.format(opened=AlertState.OPEN.value, acknowledged=AlertState.ACKNOWLEDGED.value, same=same)
    row = await sql.row(statement, *arguments)
    return None if row is None else sql.uuid_of(row["id"])


def _said(finding: Finding) -> tuple[str, str | None, str | None]:
    code, info = finding.code, finding.info
    return alert_texts.message_of(finding.kind, info), code[:50] if code else None, info[:300] if info else None


def _same(finding: Finding, alias: str, arguments: list[object]) -> str:
    """A condition on alerts of the same kind and thing; `$1` to `$3` are these."""
    thing = f"COALESCE({alias}.charger_id, {alias}.circuit_id, {alias}.installation_id)"
    same = f"{alias}.installation_id = $1 AND {alias}.kind = $2 AND {thing} = $3"
    if not finding.stands_alone:
        others = ", ".join(f"'{code}'" for code in sorted(ALONE))
        return f"{same} AND ({alias}.vendor_code IS NULL OR {alias}.vendor_code NOT IN ({others}))"
    arguments.append(finding.code)
    return f"{same} AND {alias}.vendor_code = ${len(arguments)}"


async def _openings(finding: Finding, now: datetime) -> int:
    """How often it opened within the last hour."""
    arguments: list[object] = [finding.thing.installation_id, finding.kind, finding.thing.id, now - DAMPED_WITHIN]
    same = _same(finding, "a", arguments)
    row = await sql.row(
        "SELECT COALESCE(SUM(CASE WHEN a.opened_at > $4 THEN 1 + COALESCE(a.reopenings, 0) ELSE 1 END), 0) AS n"  # noqa: S608
        f" FROM alerts a WHERE {same} AND (a.opened_at > $4 OR a.reopened_at > $4)",
        *arguments,
    )
    return int(row["n"]) if row else 0


async def resolved(alert_ids: Sequence[UUID], *, now: datetime) -> list[AlertChanged]:
    """These alerts are over; those that were over already are left out."""
    events: list[AlertChanged] = []
    for some in sql.in_chunks(alert_ids):
        arguments: list[object] = [AlertState.RESOLVED, now]
        wanted = sql.any_of("id", some, arguments)
        rows = await sql.rows(
            f"UPDATE alerts SET state = $1, resolved_at = $2, open_key = NULL WHERE resolved_at IS NULL AND {wanted}"  # noqa: S608
            " RETURNING id, installation_id, charger_id, circuit_id",
            *arguments,
        )
        events += [
            AlertChanged(
                sql.uuid_of(row["id"]), sql.uuid_of(row["installation_id"]), sql.optional_uuid_of(row["charger_id"])
            )
            for row in rows
        ]
    for event in events:
        await alert_news.put(event.alert_id, Occasion.RESOLVED, now=now)
    return events


async def open_counts() -> Mapping[Severity, int]:
    """How many alerts are not resolved in the whole portal, by severity."""
    rows = await sql.rows("SELECT severity, COUNT(*) AS n FROM alerts WHERE open_key IS NOT NULL GROUP BY severity")
    return {**dict.fromkeys(Severity, 0), **{Severity(row["severity"]): int(row["n"]) for row in rows}}


def _changed(alert_id: UUID, thing: Thing) -> AlertChanged:
    return AlertChanged(alert_id=alert_id, installation_id=thing.installation_id, charger_id=thing.charger_id)
