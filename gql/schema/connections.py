"""Lists in pages, after the Relay connection specification: `Connection[Installation]` is an InstallationConnection."""

from typing import Any, Generic, TypeVar

import strawberry

from domain.pages import Page
from gql.schema.fields import derived, resolved

T = TypeVar("T")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Read from a page."""

    has_next_page: bool = derived(lambda page: page.has_next)
    has_previous_page: bool = derived(lambda page: page.has_previous)
    start_cursor: str | None = derived(
        lambda page: page.cursors[0] if page.cursors else None, description="Of the first item; null on an empty page."
    )
    end_cursor: str | None = derived(
        lambda page: page.cursors[-1] if page.cursors else None, description="Of the last item; null on an empty page."
    )


@strawberry.type(description="A row in a page.")
class Edge(Generic[T]):
    """Read from (cursor, row)."""

    cursor: str = derived(lambda edge: edge[0])
    node: T = derived(lambda edge: edge[1])


def _edges(page: Page[Any]) -> list[tuple[str, Any]]:
    return list(zip(page.cursors, page.rows, strict=True))


async def _count(root: Any) -> int | None:
    page: Page[Any] = root
    return None if page.count is None else await page.count()


def _rows(page: Page[Any]) -> object:
    return page.rows


@strawberry.type(description="A page of a list.")
class Connection(Generic[T]):
    """Read from a page; the whole list is counted only when that is asked for."""

    edges: list[Edge[T]] = derived(_edges)
    nodes: list[T] = derived(_rows)
    page_info: PageInfo = derived(lambda page: page)
    total_count = resolved(_count, int | None, description="Of the whole list, as far as the viewer may see it.")


@strawberry.type(name="Connection", description="A page of a list that is not counted.")
class UncountedConnection(Generic[T]):
    """Read from a page."""

    edges: list[Edge[T]] = derived(_edges)
    nodes: list[T] = derived(_rows)
    page_info: PageInfo = derived(lambda page: page)
