"""The door for what chargers teach about their kind: kept by vendor, model and firmware, for every charger like them. Machines only."""

from collections.abc import Mapping
from datetime import datetime

import orjson

from domain import sql
from domain.equipment.capabilities import Kind
from domain.ids import new_id


async def learnt(kind: Kind) -> Mapping[str, object] | None:
    """What is known of that kind; None where none of them was ever asked."""
    row = await sql.row(
        "SELECT facts FROM charger_kinds WHERE vendor = $1 AND model = $2 AND firmware = $3",
        kind.vendor,
        kind.model,
        kind.firmware,
    )
    return None if row is None else orjson.loads(row["facts"])


async def learn(kind: Kind, facts: Mapping[str, object], *, now: datetime) -> Mapping[str, object]:
    """These facts hold for that kind from now on, beside what was known; all of them."""
    whole = {**(await learnt(kind) or {}), **facts}
    await sql.execute(
        "INSERT INTO charger_kinds (id, vendor, model, firmware, facts, learnt_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (vendor, model, firmware) DO UPDATE SET facts = $5, learnt_at = $6",
        new_id(),
        kind.vendor,
        kind.model,
        kind.firmware,
        orjson.dumps(whole).decode(),
        now,
    )
    return whole
