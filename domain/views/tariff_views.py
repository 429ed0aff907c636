"""Tariffs as those see them who manage them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from domain import sql
from domain.access import Access
from domain.pricing.money import decimal_of
from domain.pricing.parts import TariffPart, read
from domain.tariffs import MOST_ASSIGNMENTS, MOST_TARIFFS


@dataclass(frozen=True, slots=True)
class AssignmentRow:
    """For whom a tariff holds on [valid_from, valid_to); no group and no person: the whole installation."""

    id: UUID
    group_id: UUID | None
    user_id: UUID | None
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class TariffRow:
    """A tariff with its parts, and for whom it holds, by when."""

    id: UUID
    installation_id: UUID
    name: str
    currency: str
    vat_percent: Decimal
    parts: tuple[TariffPart, ...]
    assignments: tuple[AssignmentRow, ...]


async def tariffs_by_ids(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, TariffRow]:
    """The tariffs among `ids` that exist for this caller, by id."""
    arguments: list[object] = []
    return {row.id: row for row in await _read(access, sql.any_of("t.id", list(ids), arguments), arguments)}


async def tariffs_of_installations(access: Access, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[TariffRow]]:
    """The tariffs of each installation that exist for this caller, by name."""
    arguments: list[object] = []
    shown: dict[UUID, list[TariffRow]] = {}
    for row in await _read(access, sql.any_of("t.installation_id", list(ids), arguments), arguments):
        here = shown.setdefault(row.installation_id, [])
        if len(here) < MOST_TARIFFS:
            here.append(row)
    return shown


async def _read(access: Access, condition: str, arguments: list[object]) -> list[TariffRow]:
    visible = access.tariffs_condition("t", arguments)
    rows = await sql.rows(
        "SELECT t.id, t.installation_id, t.name, t.vat_micro, t.parts, i.currency FROM tariffs t"  # noqa: S608
        f" JOIN installations i ON i.id = t.installation_id WHERE {condition} AND {visible}"
        f" ORDER BY {sql.folded('t.name')}, t.id",
        *arguments,
    )
    assignments = await _assignments([sql.uuid_of(row["id"]) for row in rows])
    return [
        TariffRow(
            id=sql.uuid_of(row["id"]),
            installation_id=sql.uuid_of(row["installation_id"]),
            name=row["name"],
            currency=row["currency"],
            vat_percent=decimal_of(row["vat_micro"]),
            parts=read(row["parts"]),
            assignments=tuple(assignments.get(sql.uuid_of(row["id"]), ())),
        )
        for row in rows
    ]


async def _assignments(tariff_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[AssignmentRow]]:
    arguments: list[object] = []
    condition = sql.any_of("a.tariff_id", tariff_ids, arguments)
    rows = await sql.rows(
        "SELECT a.id, a.tariff_id, a.group_id, a.user_id, a.valid_from, a.valid_to FROM tariff_assignments a"  # noqa: S608
        f" WHERE {condition} ORDER BY a.valid_from, a.id LIMIT {MOST_TARIFFS * MOST_ASSIGNMENTS}",
        *arguments,
    )
    found: dict[UUID, list[AssignmentRow]] = {}
    for row in rows:
        one = AssignmentRow(
            sql.uuid_of(row["id"]),
            sql.optional_uuid_of(row["group_id"]),
            sql.optional_uuid_of(row["user_id"]),
            sql.date_of(row["valid_from"]),
            None if row["valid_to"] is None else sql.date_of(row["valid_to"]),
        )
        found.setdefault(sql.uuid_of(row["tariff_id"]), []).append(one)
    return found
