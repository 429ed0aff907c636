"""When a caller's rights next begin or end by the clock alone."""

from datetime import datetime

from domain import sql
from domain.access import Access

_NEXT = """
SELECT MIN(at) AS at FROM (
  SELECT p.valid_from AS at FROM permissions p WHERE p.revoked_at IS NULL AND p.valid_from > $2
    AND (p.user_id = $1 OR p.group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1))
  UNION ALL
  SELECT p.valid_to AS at FROM permissions p WHERE p.revoked_at IS NULL AND p.valid_to > $2
    AND (p.user_id = $1 OR p.group_id IN (SELECT m.group_id FROM group_members m WHERE m.user_id = $1))
) times
"""


async def next_change_of(access: Access, *, now: datetime) -> datetime | None:
    """The next instant at which a permission of that person begins or ends; None when none will, and for programs."""
    if access.user_id is None:
        return None
    row = await sql.row(_NEXT, access.user_id, now)
    return None if row is None else sql.optional_instant_of(row["at"])
