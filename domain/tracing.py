"""What was done and how long it took, told to whoever traces it: a port. Off, it costs nothing worth counting.

No value of a person, a card or a query goes into a span: names are ours, facts are numbers, states and ids of installations and chargers.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

Fact = str | int | float | bool


class Span(Protocol):
    """Something that goes on."""

    def note(self, **facts: Fact) -> None:
        """What was not known when it began."""
        ...

    def add(self, name: str, *, began_ns: int, ended_ns: int, **facts: Fact) -> None:
        """Something within it that is over, by the clock of `time.perf_counter_ns`."""
        ...


class Tracing(Protocol):
    """Takes spans."""

    @property
    def is_on(self) -> bool:
        """Whether anybody looks."""
        ...

    def span(self, name: str, *, traceparent: str | None = None, **facts: Fact) -> AbstractContextManager[Span]:
        """Inside it goes on, within what goes on around it; `traceparent` (W3C Trace Context) says within what elsewhere."""
        ...


class _Nothing:
    """A span that nobody looks at."""

    def note(self, **facts: Fact) -> None:
        """Nothing."""

    def add(self, name: str, *, began_ns: int, ended_ns: int, **facts: Fact) -> None:
        """Nothing."""


class Untraced:
    """A Tracing that is off."""

    is_on: Final = False

    @contextmanager
    def span(self, name: str, *, traceparent: str | None = None, **facts: Fact) -> Iterator[Span]:  # noqa: ARG002  the port's
        """Nothing is told."""
        yield _NOTHING


_NOTHING: Final = _Nothing()
UNTRACED: Final[Tracing] = Untraced()
