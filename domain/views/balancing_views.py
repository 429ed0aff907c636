"""What the balancer decided, as people may see it: decisions with their inputs, and each charger's own explanation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from domain import sql
from domain.access import OBSERVERS, Access, StatusView
from domain.current.allocation_texts import reason
from domain.pages import KeyKind, Page, PageRequest, SortKey, empty_page, keyset, page_of
from domain.roles import BindingLimit, Phase


@dataclass(frozen=True, slots=True)
class AllocationRow:
    """What one charger was given in a decision."""

    charger_id: UUID
    current_a: float
    phases: Sequence[Phase]
    limit: BindingLimit
    reason: str


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision. `instance` is ev-balance/1 JSON; chargers that are gone by now are left out of `allocations`."""

    id: UUID
    decided_at: datetime
    trigger: str
    allocations: Sequence[AllocationRow]
    overloaded_ids: Sequence[UUID]
    instance: str


@dataclass(frozen=True, slots=True)
class ExplanationRow:
    """Why a charger gets what it gets. Drivers see the text only."""

    text: str
    binding_limit: BindingLimit | None = None
    binding_circuit_id: UUID | None = None
    queue_position: int | None = None
    next_slot_at: datetime | None = None
    decided_at: datetime | None = None


async def decisions_page(access: Access, installation_id: UUID, request: PageRequest) -> Page[DecisionRow]:
    """Decisions of the site, newest first; none for those who do not see its balancer."""
    if not access.sees_circuits(installation_id):
        return empty_page()
    arguments: list[object] = [installation_id]
    found = keyset(
        (
            SortKey("d.decided_at", "decided_at", KeyKind.INSTANT, is_descending=True),
            SortKey("d.id", "id", KeyKind.ID, is_descending=True),
        ),
        request,
        arguments,
    )
    rows = await sql.rows(
        f"SELECT d.id, d.decided_at, d.triggered_by, d.instance, d.allocation FROM balancing_decisions d "  # noqa: S608  marks only
        f"WHERE d.installation_id = $1 AND {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )
    names = await _names(installation_id)
    return page_of(rows, found, request, lambda row: _decision(row, names))


async def decisions_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, DecisionRow]:
    """The decisions among `ids` that this person may see."""
    arguments: list[object] = []
    wanted = sql.any_of("id", list(ids), arguments)
    rows = await sql.rows(f"SELECT * FROM balancing_decisions WHERE {wanted}", *arguments)  # noqa: S608  marks only
    found = {}
    for row in rows:
        installation_id = sql.uuid_of(row["installation_id"])
        if access.sees_circuits(installation_id):
            decision = _decision(row, await _names(installation_id))
            found[decision.id] = decision
    return found


async def explanations(access: Access, charger_ids: Sequence[UUID]) -> Mapping[UUID, ExplanationRow]:
    """Charger → why it gets what it gets, for those who see its session or its balancer."""
    arguments: list[object] = []
    wanted = sql.any_of("c.id", list(charger_ids), arguments)
    seen = access.chargers_condition("c", arguments)
    statement = f"""
        SELECT c.id, c.installation_id, o.binding_limit, o.limiting_circuit_id, o.queue_position, o.next_slot_at, o.reason, o.decided_at,
          s.session_user_id
        FROM chargers c JOIN offers o ON o.charger_id = c.id JOIN charger_statuses s ON s.charger_id = c.id
        WHERE {wanted} AND {seen} AND o.decided_at IS NOT NULL AND c.removed_at IS NULL"""  # noqa: S608  marks only
    found = {}
    for row in await sql.rows(statement, *arguments):
        explanation = _explanation(access, row)
        if explanation is not None:
            found[sql.uuid_of(row["id"])] = explanation
    return found


def _explanation(access: Access, row: sql.Row) -> ExplanationRow | None:
    charger_id, installation_id = sql.uuid_of(row["id"]), sql.uuid_of(row["installation_id"])
    if access.require(access.roles_at_charger(charger_id, installation_id), OBSERVERS):
        return ExplanationRow(
            text=row["reason"] or "",
            binding_limit=BindingLimit(row["binding_limit"]) if row["binding_limit"] else None,
            binding_circuit_id=sql.optional_uuid_of(row["limiting_circuit_id"]),
            queue_position=row["queue_position"],
            next_slot_at=sql.optional_instant_of(row["next_slot_at"]),
            decided_at=sql.instant_of(row["decided_at"]),
        )
    session_user_id = sql.optional_uuid_of(row["session_user_id"])
    if access.status_view(charger_id, installation_id, session_user_id) is StatusView.FULL:
        return ExplanationRow(text=row["reason"] or "")
    return None


@dataclass(frozen=True, slots=True)
class _Names:
    chargers: frozenset[UUID]
    circuits: Mapping[UUID, str]


async def _names(installation_id: UUID) -> _Names:
    chargers = await sql.rows(
        "SELECT id FROM chargers WHERE installation_id = $1 AND removed_at IS NULL", installation_id
    )
    circuits = await sql.rows(
        "SELECT id, name FROM circuits WHERE installation_id = $1 AND removed_at IS NULL", installation_id
    )
    return _Names(
        frozenset(sql.uuid_of(row["id"]) for row in chargers),
        {sql.uuid_of(row["id"]): row["name"] for row in circuits},
    )


def _decision(row: Mapping[str, Any], names: _Names) -> DecisionRow:
    document = orjson.loads(row["allocation"])
    overloaded = {UUID(entry["circuit"]) for entry in document["overloaded"]}
    entries = ((UUID(entry["charger"]), entry) for entry in document["allocation"])
    return DecisionRow(
        id=sql.uuid_of(row["id"]),
        decided_at=sql.instant_of(row["decided_at"]),
        trigger=row["triggered_by"],
        allocations=tuple(_allocation(key, entry, names) for key, entry in entries if key in names.chargers),
        overloaded_ids=tuple(sorted(overloaded & set(names.circuits))),
        instance=row["instance"],
    )


def _allocation(charger_id: UUID, entry: Mapping[str, object], names: _Names) -> AllocationRow:
    circuit = entry.get("limiting_circuit")
    limit = BindingLimit(str(entry["limit"]))
    phases = entry["phases"]
    return AllocationRow(
        charger_id=charger_id,
        current_a=float(str(entry["current"])),
        phases=tuple(Phase(line) for line in phases) if isinstance(phases, list) else (),
        limit=limit,
        reason=reason(limit, names.circuits.get(UUID(str(circuit))) if circuit else None),
    )
