"""When a person's rights next begin or end by the clock alone."""

from datetime import datetime
from uuid import UUID

from domain import sql

_NEXT = """
SELECT MIN(at) AS at FROM (
  SELECT valid_from AS at FROM permissions WHERE user_id = $1 AND revoked_at IS NULL AND valid_from > $2
  UNION ALL
  SELECT valid_to AS at FROM permissions WHERE user_id = $1 AND revoked_at IS NULL AND valid_to > $2
) times
"""


async def next_change_of(user_id: UUID, *, now: datetime) -> datetime | None:
    """The next instant at which a permission of that person begins or ends; None when none will."""
    row = await sql.row(_NEXT, user_id, now)
    return None if row is None else sql.optional_instant_of(row["at"])
