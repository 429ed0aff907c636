"""The door for chargers that nobody has added: who knocked, from where and how often, in a table that stays small. Machines only.

What is in it was told by whoever knocked. It proves nothing, and nothing follows from it until somebody adopts the charger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain import sql
from domain.ids import new_id

MOST_KEPT = 1_000
"""Identities in the table; beyond them the one that was silent longest goes."""
TEXT_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What one identity did since it was last noted. None: not told."""

    identity: str
    at: datetime
    attempts: int
    address: str
    protocol: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware_version: str | None = None
    password_hash: str | None = None
    is_contested: bool = False
    """Whether several passwords were offered."""


_KNOWN = "SELECT 1 FROM stations s JOIN chargers c ON c.station_id = s.id WHERE s.identity = {}"
"""A station whose last charger was removed is nobody's, and unknown again."""

_COLUMNS = (
    "id, identity, first_seen_at, last_seen_at, attempts, address, protocol, vendor, model, serial_number, firmware_version,"
    " password_hash, is_contested"
)
_TOLD = ("protocol", "vendor", "model", "serial_number", "firmware_version")
_NOTE = f"""
INSERT INTO unknown_chargers ({_COLUMNS})
SELECT $1, CAST($2 AS VARCHAR(48)), $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 WHERE NOT EXISTS ({_KNOWN.format("$2")})
ON CONFLICT (identity) DO UPDATE SET
  last_seen_at = excluded.last_seen_at, attempts = unknown_chargers.attempts + excluded.attempts, address = excluded.address,
  {", ".join(f"{name} = COALESCE(excluded.{name}, unknown_chargers.{name})" for name in _TOLD)},
  is_contested = unknown_chargers.is_contested OR excluded.is_contested
    OR COALESCE(unknown_chargers.password_hash <> excluded.password_hash, FALSE),
  password_hash = COALESCE(unknown_chargers.password_hash, excluded.password_hash)
"""
_EVICT = """
DELETE FROM unknown_chargers WHERE id IN (SELECT id FROM unknown_chargers ORDER BY last_seen_at, id LIMIT $1)
"""


async def note(knocks: Sequence[Knock]) -> int:
    """They are remembered, except of chargers that were added meanwhile; how many others had to go for them.

    The first password that an identity offered stays; another one makes it contested.
    """
    await sql.execute_many(_NOTE, [_row(one) for one in sorted(knocks, key=lambda one: one.identity)])
    counted = await sql.row("SELECT COUNT(*) AS number FROM unknown_chargers")
    surplus = int(counted["number"]) - MOST_KEPT if counted else 0
    return await sql.execute(_EVICT, surplus) if surplus > 0 else 0


def _row(knock: Knock) -> tuple[object, ...]:
    return (
        new_id(),
        knock.identity,
        knock.at,
        knock.attempts,
        knock.address[:45],
        knock.protocol,
        *(_cleaned(one) for one in (knock.vendor, knock.model, knock.serial_number, knock.firmware_version)),
        knock.password_hash,
        knock.is_contested,
    )


def _cleaned(text: str | None) -> str | None:
    """Without what a screen would not show, and no longer than a column."""
    shown = "".join(sign for sign in text or "" if sign.isprintable()).strip()
    return shown[:TEXT_LENGTH] or None


async def known_among(identities: Sequence[str]) -> set[str]:
    """Those of them that are chargers of somebody by now."""
    found: set[str] = set()
    for some in sql.in_chunks(identities):
        arguments: list[object] = []
        wanted = sql.any_of("s.identity", some, arguments)
        rows = await sql.rows(
            f"SELECT DISTINCT s.identity FROM stations s JOIN chargers c ON c.station_id = s.id WHERE {wanted}",  # noqa: S608
            *arguments,
        )
        found |= {str(row["identity"]) for row in rows}
    return found


async def forget(*, before: datetime) -> int:
    """How many that were not heard since then are forgotten."""
    return await sql.delete_some("unknown_chargers", "last_seen_at < $1", before)
