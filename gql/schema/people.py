"""People and who is asking."""

from typing import Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.people import PersonRow, people_by_ids
from gql.context import Context
from gql.resolvers import people
from gql.schema.fields import related, resolved
from gql.schema.nodes import Node, NodeKind


@strawberry.type(description="A person. Visible to themselves, and to whoever may see their permissions or sessions.")
class User(Node):
    """Read from PersonRow."""

    name: str
    email: str | None = strawberry.field(description="Null for those who know the person from a session only.")


@strawberry.type(description="Who is asking.")
class Viewer:
    """Read from ViewerRow."""

    user: Annotated["User", strawberry.lazy("gql.schema.people")] | None = related(
        people_by_ids, lambda viewer: viewer.user_id
    )


def _viewer(info: Info[Context, Any]) -> people.ViewerRow | None:
    return people.viewer(info.context)


@strawberry.type
class PeopleQueries:
    """Root fields about people."""

    viewer = resolved(_viewer, Viewer | None, description="Who is asking; null when not signed in.")


NODES = (NodeKind(User, PersonRow, people_by_ids),)
