"""Circuits as their owners and installers see them, with what flows and what is allotted there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.equipment.circuits import MAX_CIRCUITS
from domain.units import PhaseAmps


@dataclass(frozen=True, slots=True)
class CircuitRow:
    """A fuse of the tree; `parent_id` None is the main breaker."""

    id: UUID
    installation_id: UUID
    parent_id: UUID | None
    name: str
    breaker_a: PhaseAmps
    safe_current_a: PhaseAmps
    assumed_other_load_a: PhaseAmps
    measured_a: PhaseAmps | None
    measured_at: datetime | None


@dataclass(frozen=True, slots=True)
class CircuitLoad:
    """What the chargers below a circuit are allotted, and what flows there that is none of theirs (None without a meter)."""

    allocated_a: PhaseAmps
    other_load_a: PhaseAmps | None


_COLUMNS = ", ".join(
    ["c.id", "c.installation_id", "c.parent_id", "c.name", "c.metered_at"]
    + [f"c.{kind}_l{line}" for kind in ("breaker", "safe", "assumed", "meter") for line in (1, 2, 3)]
)


async def circuits_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, CircuitRow]:
    """The circuits among `ids` that exist for this person, by id."""
    arguments: list[object] = []
    visible = access.circuits_condition("c", arguments)
    wanted = sql.any_of("c.id", list(ids), arguments)
    statement = f"SELECT {_COLUMNS} FROM circuits c WHERE c.removed_at IS NULL AND {visible} AND {wanted}"  # noqa: S608
    made = [_row(row) for row in await sql.rows(statement, *arguments)]
    return {row.id: row for row in made}


async def circuits_of_installations(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[CircuitRow]]:
    """The whole tree of each site, parents first, then by name; nothing for those who do not see circuits there."""
    arguments: list[object] = []
    visible = access.circuits_condition("c", arguments)
    wanted = sql.any_of("c.installation_id", list(ids), arguments)
    statement = (
        f"SELECT {_COLUMNS} FROM circuits c WHERE c.removed_at IS NULL AND {visible} AND {wanted}"  # noqa: S608
        f" ORDER BY {sql.folded('c.name')}, c.id"
    )
    trees: dict[UUID, list[CircuitRow]] = {}
    for found in await sql.rows(statement, *arguments):
        row = _row(found)
        trees.setdefault(row.installation_id, []).append(row)
    return {installation_id: _parents_first(rows)[:MAX_CIRCUITS] for installation_id, rows in trees.items()}


def _parents_first(rows: Sequence[CircuitRow]) -> list[CircuitRow]:
    children: dict[UUID | None, list[CircuitRow]] = {}
    for row in rows:
        children.setdefault(row.parent_id, []).append(row)
    ordered: list[CircuitRow] = list(children.get(None, ()))
    for row in ordered:  # grows while it is read
        ordered.extend(children.get(row.id, ()))
    return ordered


_CHARGERS = """
SELECT ch.circuit_id, t.allocated_a, t.allocated_phases, t.current_l1, t.current_l2, t.current_l3
FROM chargers ch JOIN charger_statuses t ON t.charger_id = ch.id
WHERE ch.removed_at IS NULL AND
"""


async def circuit_loads(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, CircuitLoad]:
    """The load of each circuit among `ids` that exists for this person, by id."""
    asked = await circuits_by_ids(access, ids)
    sites = sorted({row.installation_id for row in asked.values()})
    trees = await circuits_of_installations(access, sites)
    everything = {row.id: row for rows in trees.values() for row in rows}
    arguments: list[object] = []
    wanted = sql.any_of("ch.installation_id", sites, arguments)
    allocated = {key: [0.0, 0.0, 0.0] for key in everything}
    drawn = {key: [0.0, 0.0, 0.0] for key in everything}
    for row in await sql.rows(_CHARGERS + wanted, *arguments):
        step: UUID | None = sql.uuid_of(row["circuit_id"])
        while step is not None and step in everything:
            for place in range(3):
                is_offered = f"L{place + 1}" in (row["allocated_phases"] or "")
                allocated[step][place] += (row["allocated_a"] or 0.0) if is_offered else 0.0
                drawn[step][place] += row[f"current_l{place + 1}"] or 0.0
            step = everything[step].parent_id
    return {key: _load(asked[key], allocated[key], drawn[key]) for key in asked if key in everything}


def _load(circuit: CircuitRow, allocated: Sequence[float], drawn: Sequence[float]) -> CircuitLoad:
    other = None
    if circuit.measured_a is not None:
        pairs = zip(circuit.measured_a.as_tuple(), drawn, strict=True)
        other = PhaseAmps(*(max(0.0, measured - mine) for measured, mine in pairs))
    return CircuitLoad(PhaseAmps(*allocated), other)


def _row(row: Mapping[str, Any]) -> CircuitRow:
    meter = [row[f"meter_l{line}"] for line in (1, 2, 3)]
    return CircuitRow(
        id=sql.uuid_of(row["id"]),
        installation_id=sql.uuid_of(row["installation_id"]),
        parent_id=sql.optional_uuid_of(row["parent_id"]),
        name=row["name"],
        breaker_a=_amps(row, "breaker"),
        safe_current_a=_amps(row, "safe"),
        assumed_other_load_a=_amps(row, "assumed"),
        measured_a=None if None in meter else PhaseAmps(*meter),
        measured_at=sql.optional_instant_of(row["metered_at"]),
    )


def _amps(row: Mapping[str, Any], kind: str) -> PhaseAmps:
    return PhaseAmps(*(row[f"{kind}_l{line}"] for line in (1, 2, 3)))
