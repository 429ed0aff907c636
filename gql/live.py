"""What a stream is made of: a source that knows the present state and what a fact changes in it, for one pair of eyes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from domain.access import Access
from domain.events import Event
from gql.cursors import Cursors
from gql.loaders import Batch

Known = Mapping[tuple[Batch[Any], UUID], Any]
"""Rows that come with an event, so that showing it needs no query."""


@dataclass(frozen=True, slots=True)
class Live:
    """One event of a stream. Of those about the same (`key`) a slow reader gets the newest only; without a key all."""

    value: object
    key: object = None
    stays: bool = False
    """Nobody misses it, and nothing about the same that comes later is heard before it."""
    known: Known = field(default_factory=dict)
    same_as: tuple[object, object] | None = None
    """(what it shows, in which version): an event that was already written out is not executed again."""
    cursor: str | None = None
    """That in `value`, where it has one."""


class Source(Protocol):
    """What a subscription's resolver returns: the target exists for this access, nothing is read yet."""

    @property
    def access(self) -> Access:
        """Whose eyes."""
        ...

    @property
    def channel(self) -> str:
        """Where the facts are published."""
        ...

    @property
    def cursors(self) -> Cursors | None:
        """Those of its events, where it can go on for one who comes back."""
        ...

    def visibility(self, field_paths: frozenset[str]) -> object:
        """Equal for those who see the same of the target when these fields (`Type.field`) are selected."""
        ...

    async def open(self) -> None:
        """The present state is read. Called once, when the channel is already listened to. NotFoundError when it is gone."""
        ...

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """What one who joins is told first; `is_move`: they followed the target before, with other rights."""
        ...

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """What one missed who was at `cursor`: the newest of everything that these facts changed. None when that cannot be said."""
        ...

    async def take(self, event: Event) -> Sequence[Live]:
        """What a fact changes. AccessEndedError when the target is no longer there for this access."""
        ...

    async def refresh(self) -> Sequence[Live]:
        """What changed without our hearing of it, and a sign of life. Called every half minute."""
        ...

    @property
    def wakes_in_s(self) -> float | None:
        """In how long it changes by the clock alone; then it is refreshed. None: it does not."""
        ...

    def leaving(self, successor: "Source") -> Sequence[Live]:
        """What one is told who sees less from now on, as `successor` does."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing can change any more."""
        ...
