"""Root fields that belong to no noun: things by id, and what the asking costs."""

from datetime import datetime
from typing import Any

import strawberry
from strawberry.types.info import Info

from domain.errors import NotFoundError
from gql.context import Budget, Context
from gql.resolvers import nodes
from gql.schema.fields import resolved
from gql.schema.mutations import loads
from gql.schema.nodes import Node


@strawberry.type(description="In points; cost is that of this operation.")
class RateLimit:
    """Read from Budget."""

    limit: int
    remaining: int
    cost: int
    reset_at: datetime


async def _node(info: Info[Context, Any], id: strawberry.ID) -> object | None:
    return await nodes.node(info.context, loads(), id)


async def _nodes(info: Info[Context, Any], ids: list[strawberry.ID]) -> list[object | None]:
    return await nodes.nodes(info.context, loads(), ids)


def _rate_limit(info: Info[Context, Any]) -> Budget:
    if info.context.budget is None:
        raise NotFoundError
    return info.context.budget


@strawberry.type
class RootQueries:
    """Root fields that belong to no noun."""

    node = resolved(_node, Node | None, description="The thing, or null when there is none by that id for the viewer.")
    nodes = resolved(_nodes, list[Node | None], description="At most 100, in the order asked.")
    rate_limit = resolved(_rate_limit, RateLimit, description="Points of the operation and of the minute.")
