"""Alerts, open and resolved, as one caller sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.filters import ANYTHING, Columns, Condition, Expression, check_size, sql_of
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import AlertKind, AlertState, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """An alert that this caller may see. `acknowledged_by` is a name, for who handles the site's alerts and for that person only."""

    id: UUID
    kind: AlertKind
    severity: Severity
    state: AlertState
    message: str
    installation_id: UUID
    charger_id: UUID | None
    circuit_id: UUID | None
    is_folded: bool
    """Whether it is a part of an alert about the whole installation."""
    vendor_code: str | None
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    resolved_at: datetime | None
    occurrences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertPlace:
    """What alerts are about: an installation and all that stands there, or one charger."""

    installation_id: UUID | None = None
    charger_id: UUID | None = None


MOST_OPEN = 10_000
"""Alerts that are told of at once; a place that is followed as one has fewer things that can break."""

_ALERT = """
SELECT a.id, a.kind, a.severity, a.state, a.message, a.installation_id, a.charger_id, a.circuit_id, a.folded_into_id, a.vendor_code,
  a.opened_at,
  a.acknowledged_at, a.acknowledged_by_id, u.name AS acknowledger, a.note, a.resolved_at, a.occurrences
FROM alerts a LEFT JOIN users u ON u.id = a.acknowledged_by_id
"""
_NEWEST_FIRST = (
    SortKey("a.opened_at", "opened_at", KeyKind.INSTANT, is_descending=True),
    SortKey("a.id", "id", KeyKind.ID, is_descending=True),
)


async def alerts_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, AlertRow]:
    """The alerts among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    condition = f"{sql.any_of('a.id', list(ids), arguments)} AND {access.alerts_condition('a', arguments)}"
    return {row.id: row for row in await _read(access, condition, arguments)}


async def open_alerts(access: Access, at: AlertPlace) -> Sequence[AlertRow]:
    """The alerts there that are not resolved and exist for this caller, oldest first."""
    if access.actor is None:
        return ()
    arguments: list[object] = []
    condition = (
        f"{_visible(access, at, arguments)} AND a.state <> '{AlertState.RESOLVED}'"
        f" ORDER BY a.opened_at, a.id LIMIT {MOST_OPEN}"
    )
    return await _read(access, condition, arguments)


async def alerts_page(
    access: Access, request: PageRequest, at: AlertPlace, *, where: Condition = ANYTHING
) -> Page[AlertRow]:
    """One page of the alerts there that exist for this caller, newest first."""
    if access.actor is None:
        return empty_page()
    check_size(where)
    arguments: list[object] = []
    condition = f"{_visible(access, at, arguments)} AND {sql_of(where, _filterable(access), arguments)}"
    counted = list(arguments)
    found = keyset(_NEWEST_FIRST, request, arguments)
    rows = await sql.rows(
        f"{_ALERT} WHERE {condition} AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}", *arguments
    )

    async def count() -> int:
        statement = f"SELECT COUNT(*) AS number FROM alerts a WHERE {condition}"  # noqa: S608  columns of ours, and marks
        return int((await sql.rows(statement, *counted))[0]["number"])

    return page_of(rows, found, request, lambda row: _alert(access, row), count=count)


def _filterable(access: Access) -> Columns:
    """What alerts are filtered by; a charger that is hidden by now matches nothing."""

    def charger(value: object, arguments: list[object]) -> str:
        wanted = sql.any_of("c.id", value if isinstance(value, tuple) else (value,), arguments)
        visible = access.chargers_condition("c", arguments)
        return f"a.charger_id IN (SELECT c.id FROM chargers c WHERE {wanted} AND {visible})"  # noqa: S608  marks only

    return {
        "state": Expression("a.state"),
        "kind": Expression("a.kind"),
        "severity": Expression("a.severity"),
        "openedAt": Expression("a.opened_at"),
        "chargerId": charger,
    }


def _visible(access: Access, at: AlertPlace, arguments: list[object]) -> str:
    """Who handles the alerts of an installation finds parts of one about the whole at their chargers only."""
    column = "a.installation_id" if at.charger_id is None else "a.charger_id"
    arguments.append(at.installation_id if at.charger_id is None else at.charger_id)
    place = f"{column} = ${len(arguments)}"
    if at.installation_id is not None and access.handles_alerts_of(at.installation_id):
        return f"{place} AND a.folded_into_id IS NULL"
    return f"{place} AND {access.alerts_condition('a', arguments)}"


async def _read(access: Access, condition: str, arguments: Sequence[object]) -> list[AlertRow]:
    return [_alert(access, row) for row in await sql.rows(f"{_ALERT} WHERE {condition}", *arguments)]


def _alert(access: Access, row: Mapping[str, Any]) -> AlertRow:
    place, by = sql.uuid_of(row["installation_id"]), sql.optional_uuid_of(row["acknowledged_by_id"])
    is_named = by is not None and (by == access.user_id or access.handles_alerts_of(place))
    return AlertRow(
        id=sql.uuid_of(row["id"]),
        kind=AlertKind(row["kind"]),
        severity=Severity(row["severity"]),
        state=AlertState(row["state"]),
        message=row["message"],
        installation_id=place,
        charger_id=sql.optional_uuid_of(row["charger_id"]),
        circuit_id=sql.optional_uuid_of(row["circuit_id"]),
        is_folded=row["folded_into_id"] is not None,
        vendor_code=row["vendor_code"],
        opened_at=sql.instant_of(row["opened_at"]),
        acknowledged_at=sql.optional_instant_of(row["acknowledged_at"]),
        acknowledged_by=row["acknowledger"] if is_named else None,
        note=row["note"],
        resolved_at=sql.optional_instant_of(row["resolved_at"]),
        occurrences=int(row["occurrences"]),
    )
