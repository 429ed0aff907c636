"""What a source of history calls a site, its chargers and its people that are in the portal already.

A door for the operator: afterwards an import of that source adds to them instead of making new ones.
"""

from collections.abc import Mapping
from uuid import UUID

from domain import sql


async def link(
    source: str, *, site: tuple[str, UUID], chargers: Mapping[str, UUID], people: Mapping[str, UUID]
) -> None:
    """The site, its chargers and the people are known to imports of `source` by the keys of its mapping."""
    site_key, installation_id = site
    await sql.execute("UPDATE installations SET import_key = $1 WHERE id = $2", f"{source}:{site_key}", installation_id)
    await sql.execute_many(
        "UPDATE chargers SET import_key = $1 WHERE id = $2",
        [(f"{source}:{site_key}:{key}", charger_id) for key, charger_id in chargers.items()],
    )
    await sql.execute_many(
        "UPDATE users SET import_key = $1 WHERE id = $2",
        [(f"{source}:{key}", user_id) for key, user_id in people.items()],
    )
