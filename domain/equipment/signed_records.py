"""The door for what meters sign: kept with its session, and the first key that a charger's meter shows is remembered. Machines only."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from domain import sql
from domain.equipment.ocmf import opened
from domain.ids import new_id
from domain.roles import RecordPlace

_PLACES = {"Transaction.Begin": RecordPlace.BEGIN, "Transaction.End": RecordPlace.END}


class SignedRow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One signed reading to be kept; `sent` is as the charger sent it."""

    session_id: UUID
    installation_id: UUID
    charger_id: UUID
    context: str
    at: datetime
    received_at: datetime
    sent: str


_RECORDS = (
    "INSERT INTO signed_records (session_id, installation_id, place, at, received_at, format, record)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (session_id, place)"
)
_FIRST = f"{_RECORDS} DO NOTHING"
_NEWEST = (
    f"{_RECORDS} DO UPDATE SET at = excluded.at, received_at = excluded.received_at, format = excluded.format,"
    " record = excluded.record WHERE excluded.at >= signed_records.at"
)


async def keep(rows: Sequence[SignedRow]) -> None:
    """A session has the record of its start, that of its end, and the newest of all others: so much and no more, however many are sent.

    Of a place that is told twice the first record stays. In the running transaction.
    """
    keys: dict[UUID, tuple[str, datetime]] = {}
    for row in rows:
        signed = opened(row.sent)
        if signed is None:
            continue
        place = _PLACES.get(row.context, RecordPlace.LATEST)
        await sql.execute(
            _NEWEST if place is RecordPlace.LATEST else _FIRST,
            row.session_id,
            row.installation_id,
            place,
            row.at,
            row.received_at,
            signed.format,
            signed.record,
        )
        if signed.public_key is not None and row.charger_id not in keys:
            keys[row.charger_id] = (signed.public_key, row.received_at)
    await _remember((charger_id, key, at) for charger_id, (key, at) in keys.items())


_KNOWN_ONCE = """
INSERT INTO meter_keys (id, charger_id, public_key, is_confirmed, known_since)
SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM meter_keys WHERE charger_id = $2 AND replaced_at IS NULL)
"""


async def _remember(shown: Iterable[tuple[UUID, str, datetime]]) -> None:
    """(Charger, key, when): where none is known yet it is from then on. The batch holds the charger, so that there is one."""
    for charger_id, key, at in shown:
        await sql.execute(_KNOWN_ONCE, new_id(), charger_id, key, False, at)
