"""Things by their global ids, whatever they are."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from domain.errors import invalid
from gql import ids
from gql.context import Context
from gql.loaders import Batch

MAX_NODES = 100


async def node(context: Context, loads: Mapping[str, Batch[Any]], identity: str) -> object | None:
    """The thing, or None when there is none by that id for this person."""
    found = ids.parsed(identity)
    load = loads.get(found[0]) if found else None
    return None if found is None or load is None else await context.load(load, found[1])


async def nodes(context: Context, loads: Mapping[str, Batch[Any]], identities: Sequence[str]) -> list[object | None]:
    """The things in the order asked. ValidationError for more than 100."""
    if len(identities) > MAX_NODES:
        raise invalid("ids", f"At most {MAX_NODES} ids at once; {len(identities)} were given.")
    started = []
    for identity in identities:
        found = ids.parsed(identity)
        load = loads.get(found[0]) if found else None
        started.append(None if found is None or load is None else context.loading(load, found[1]))
    return [await one if isinstance(one, Awaitable) else one for one in started]
