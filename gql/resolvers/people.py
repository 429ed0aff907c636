"""Who is asking."""

from dataclasses import dataclass
from uuid import UUID

from gql.context import Context


@dataclass(frozen=True, slots=True)
class ViewerRow:
    """The person who asks."""

    user_id: UUID


def viewer(context: Context) -> ViewerRow | None:
    """Who is asking; None when nobody is signed in."""
    user_id = context.access.user_id
    return None if user_id is None else ViewerRow(user_id)
