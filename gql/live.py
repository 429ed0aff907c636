"""What a stream is made of: a source that knows the present state and what a fact changes in it, for one pair of eyes."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from domain.access import Access
from domain.events import Event
from gql.cursors import Cursors
from gql.loaders import Batch

T = TypeVar("T")

Known = Mapping[tuple[Batch[Any], UUID], Any]
"""Rows that come with an event, so that showing it needs no query."""

MARK: Final = f"cursor-{secrets.token_hex(16)}"
"""Stands for an event's cursor in what is written out once for followers who are told it with cursors of their own."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What an event shows: of what (`slot`), in which version, and the very objects that it is made of, which stay what they are."""

    slot: object
    version: object
    parts: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """One event of a stream. Of those about the same (`key`) a slow reader gets the newest only; without a key all."""

    value: object
    key: object = None
    stays: bool = False
    """Nobody misses it, and nothing about the same that comes later is heard before it."""
    known: Known = field(default_factory=dict)
    shown: Shown | None = None
    """An event that was already written out is not executed again."""
    cursor: str | None = None
    """Told where `value` has MARK; None: that of where the stream is."""
    own: "tuple[UUID, Live] | None" = None
    """What that person is told instead."""


class Readings(Protocol):
    """What is read once for all who follow the same channel."""

    async def once(
        self, key: object, read: Callable[[], Awaitable[T]], *, changed_by: tuple[type, ...] | None = None
    ) -> T:
        """What `read` gives, read after everything that was heard so far and changes it (None: anything may)."""
        ...

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """What whoever came first has made under that key."""
        ...

    @property
    def heard_count(self) -> int:
        """How many messages were heard; it only rises."""
        ...


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

    def narrowed(self, field_paths: frozenset[str]) -> "Source":
        """The same for the least access with which these fields (`Type.field`) look as they do: whoever sees the same has the same."""
        ...

    @property
    def visibility(self) -> object:
        """Equal for those who see the same of the target."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether its events come with all that they show: they are executed with nobody's access, for all to whom they look the same."""
        ...

    async def open(self, readings: Readings) -> None:
        """The present state is read. Called once, when the channel is already listened to. NotFoundError when it is gone."""
        ...

    def present(self, *, is_resync: bool, is_move: bool) -> Sequence[Live]:
        """What one who joins is told first; `is_move`: they followed the target before, with other rights."""
        ...

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """What one missed who was at `cursor`: the newest of everything that these facts changed. None when that cannot be said."""
        ...

    def take_now(self, event: Event) -> Sequence[Live] | None:
        """As `take`, where nothing has to be waited for. None: something has, and nothing is different yet."""
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


class OneViewer:
    """A source whose events are for one caller, from where there is no going on: what most of them are."""

    access: Access
    cursors: Cursors | None = None
    is_complete = False

    @property
    def wakes_in_s(self) -> float | None:
        """Never: it changes when something is heard."""
        return None

    def narrowed(self, _field_paths: frozenset[str]) -> Any:
        """Itself: whatever is selected, it is theirs."""
        return self

    @property
    def visibility(self) -> object:
        """Shared with the caller's own other clients only."""
        return eyes(self.access)

    def take_now(self, _event: Event) -> Sequence[Live] | None:
        """Never."""
        return None

    def leaving(self, _successor: Source) -> Sequence[Live]:
        """Nothing: it is seen or it is not."""
        return ()

    async def replay(self, missed: Sequence[Event], cursor: str) -> Sequence[Live] | None:
        """Never asked: whoever comes back gets the present state."""
        del missed, cursor
        return None


def eyes(access: Access) -> object:
    """Equal for the same caller with the same rights, and for all who are nobody in particular with the same rights."""
    actor = access.actor
    return (
        actor and (actor.user_id, actor.service_account_id),
        access.is_administrator,
        frozenset(access.installations.items()),
        frozenset(access.chargers.items()),
    )
