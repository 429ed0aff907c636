"""Events written out: each once for all to whom it looks the same."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any, Final

from graphql import ExecutionResult, Executor

from domain.access import Access
from domain.tracing import Tracing
from gql.context import Context
from gql.engine import encoded, execute, executed_now
from gql.live import MARK, Live
from gql.live_counts import RootCounts
from gql.loaders import Loaders
from gql.tracing import Positions

_SPAN: Final = "graphql subscription"
_MOST_LOOKS: Final = 64
"""In so many ways one version of something is kept; it has that many only when what is beside it changes."""


@dataclass(frozen=True, slots=True)
class Text:
    """A payload with the closing brace of its message (what follows the client's own id); MARK in it stands for a cursor."""

    marked: str
    has_mark: bool

    def with_cursor(self, cursor: str | None) -> str:
        """As it is told."""
        return self.marked if cursor is None else self.marked.replace(MARK, cursor)


class Texts:
    """The events of one operation with the same variables, executed with one access.

    What is known of an event is found by the very objects that it shows: whoever may see less has others.
    """

    def __init__(
        self, executor: Executor[Any], access: Access, counts: RootCounts, *, operation: str, is_complete: bool
    ) -> None:
        self._executor = executor
        self._operation = operation
        self._is_complete = is_complete
        self._access = access
        self._counts = counts
        self._known: dict[object, tuple[object, dict[tuple[int, ...], tuple[tuple[object, ...], Text]]]] = {}

    def known(self, live: Live) -> Text | None:
        """The event as it was written out before."""
        shown = live.shown
        if shown is None:
            return None
        newest = self._known.get(shown.slot)
        if newest is None or newest[0] != shown.version:
            return None
        found = newest[1].get(tuple(map(id, shown.parts)))
        return None if found is None else found[1]

    def written(self, live: Live) -> Text | Awaitable[Text]:
        """The event, written out now, or as soon as what it shows is read."""
        executor = self._executor.build_per_event_executor(live.value)
        # One of its own: another event may be written out while this one waits.
        context: Context = replace(executor.context_value, access=self._access)
        context.loaders = Loaders(self._access, live.known)
        executor.context_value = context
        self._counts.executions += 1
        tracing = context.ports.tracing
        if not tracing.is_on:
            result = executed_now(executor)
            return self._kept(live, result) if isinstance(result, ExecutionResult) else self._awaited(live, result)
        positions = Positions()
        executor.middleware_manager = positions.middleware
        if not self._is_complete:
            return self._traced(live, executor, positions, tracing)
        with tracing.span(_SPAN, operation=self._operation) as span:
            found = executed_now(executor)
            assert isinstance(found, ExecutionResult), "an event that is complete has nothing to wait for"  # noqa: S101
            positions.tell(span)
            return self._kept(live, found)

    async def _awaited(self, live: Live, result: Awaitable[ExecutionResult]) -> Text:
        return self._kept(live, await result)

    async def _traced(self, live: Live, executor: Executor[Any], positions: Positions, tracing: Tracing) -> Text:
        with tracing.span(_SPAN, operation=self._operation) as span:
            result = await execute(executor)
            positions.tell(span)
            return self._kept(live, result)

    def _kept(self, live: Live, result: ExecutionResult) -> Text:
        text = encoded(result).decode() + "}"
        made = Text(text, MARK in text)
        # What went wrong may go well for the next.
        if live.shown is not None and not result.errors:
            newest = self._known.get(live.shown.slot)
            if newest is None or newest[0] != live.shown.version or len(newest[1]) >= _MOST_LOOKS:
                newest = self._known[live.shown.slot] = (live.shown.version, {})
            # The objects are kept, so that their ids are not given to others.
            newest[1][tuple(map(id, live.shown.parts))] = (live.shown.parts, made)
        return made
