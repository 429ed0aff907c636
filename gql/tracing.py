"""How long the fields of an operation took, by their position in it: `Query.node/Charger.installation` once, however many there are."""

import time
from collections.abc import Awaitable
from typing import Any, Final

from graphql import GraphQLResolveInfo, MiddlewareManager
from graphql.pyutils import Path
from strawberry.execution import optimized_is_awaitable

from domain.tracing import Span

MOST_POSITIONS: Final = 500
"""That are told apart in one operation; what is asked for beyond them is not told of."""


class Positions:
    """Of one operation. What fields are called with and what they give is not looked at."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], str] = {}
        self._seen: dict[str, _Position] = {}

    @property
    def middleware(self) -> MiddlewareManager:
        """What the executor sends every field through."""
        return MiddlewareManager(self)

    def resolve(self, resolver: Any, source: Any, info: GraphQLResolveInfo[Any], /, **arguments: Any) -> Any:
        """What the field's resolver gives, and its time is noted."""
        position = self._of(info)
        began_ns = time.perf_counter_ns()
        result = resolver(source, info, **arguments)
        if optimized_is_awaitable(result):
            return _awaited(result, position, began_ns)
        position.note(began_ns)
        return result

    def _of(self, info: GraphQLResolveInfo[Any]) -> "_Position":
        """By types and fields and never by aliases, which a client has written."""
        keys = _keys(info.path)
        above = self._names.get(keys[:-1])
        field = f"{info.parent_type.name}.{info.field_name}"
        name = self._names[keys] = field if above is None else f"{above}/{field}"
        known = self._seen.get(name)
        if known is None:
            known = _Position()
            if len(self._seen) < MOST_POSITIONS:
                self._seen[name] = known
        return known

    def tell(self, span: Span) -> None:
        """Each position is a span within that of the operation: from its first beginning to its last end."""
        for name, seen in self._seen.items():
            if seen.count:
                span.add(
                    name,
                    began_ns=seen.began_ns,
                    ended_ns=seen.ended_ns,
                    values=seen.count,
                    busy_ms=round(seen.busy_ns / 1e6, 3),
                )


class _Position:
    __slots__ = ("began_ns", "busy_ns", "count", "ended_ns")

    def __init__(self) -> None:
        self.count = self.began_ns = self.ended_ns = self.busy_ns = 0

    def note(self, began_ns: int) -> None:
        """One value of it took from then until now."""
        now_ns = time.perf_counter_ns()
        if not self.count:
            self.began_ns = began_ns
        self.began_ns, self.ended_ns = min(self.began_ns, began_ns), now_ns
        self.busy_ns += now_ns - began_ns
        self.count += 1


async def _awaited(result: Awaitable[Any], position: _Position, began_ns: int) -> Any:
    try:
        return await result
    finally:
        position.note(began_ns)


def _keys(path: Path) -> tuple[str, ...]:
    """Where it is, without the places in lists."""
    return tuple(key for key in path.as_list() if isinstance(key, str))
