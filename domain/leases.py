"""Who is the only one to do something right now: leases with fencing numbers, kept in the database.

The database is where the fenced writes go, so that a lease cannot be held in one place while its fence is checked in another.
"""

from datetime import datetime, timedelta

from domain import sql
from domain.ports import Grip

_TAKE = """
INSERT INTO leases (name, holder, fence, until) VALUES ($1, $2, 1, $3)
ON CONFLICT (name) DO UPDATE SET
  fence = CASE WHEN leases.holder = $2 AND leases.until > $4 THEN leases.fence ELSE leases.fence + 1 END,
  holder = $2, until = $3
WHERE leases.holder = $2 OR leases.until <= $4
RETURNING fence
"""


async def take(name: str, holder: str, *, now: datetime, for_s: float) -> Grip | None:
    """The lease is this holder's until `now + for_s`; None when another holds it.

    Taking it again while it is held renews it under the same fence; after it ran out, even the same holder gets a new one.
    """
    until = now + timedelta(seconds=for_s)
    found = await sql.row(_TAKE, name, holder, until, now)
    return None if found is None else Grip(name=name, fence=int(found["fence"]), until=until)


async def give_back(grip: Grip, holder: str, *, now: datetime) -> None:
    """Another may take it at once."""
    await sql.execute(
        "UPDATE leases SET until = $1 WHERE name = $2 AND holder = $3 AND fence = $4",
        now,
        grip.name,
        holder,
        grip.fence,
    )


async def is_newest(name: str, fence: int) -> bool:
    """Whether nobody has held the lease since it was taken under that number; inside a transaction it stays so until its end."""
    found = await sql.row(f"SELECT fence FROM leases WHERE name = $1{sql.for_update()}", name)  # noqa: S608
    return found is None or int(found["fence"]) <= fence
