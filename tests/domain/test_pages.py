"""Pages by keyset: every row once, in order, whichever way one leafs."""

import base64
import itertools
from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import sql
from domain.errors import ValidationError
from domain.ids import new_id
from domain.pages import KeyKind, Page, PageRequest, SortKey, keyset, page_of, page_of_list, page_request
from tests.factories import a_charger, a_site

ID = SortKey("c.id", "id", KeyKind.ID)
ORDERS: dict[str, tuple[SortKey, ...]] = {
    "by name": (SortKey("c.name", "name"), ID),
    "by name, backwards": (SortKey("c.name", "name", is_descending=True), ID),
    "nulls last": (SortKey("c.offline_current_a", "offline_current_a", KeyKind.NUMBER, is_nullable=True), ID),
    "nulls last, descending": (
        SortKey("c.offline_current_a", "offline_current_a", KeyKind.NUMBER, is_descending=True, is_nullable=True),
        SortKey("c.created_at", "created_at", KeyKind.INSTANT),
        SortKey("c.id", "id", KeyKind.ID, is_descending=True),
    ),
}


async def _page(keys: Sequence[SortKey], request: PageRequest) -> Page[UUID]:
    arguments: list[object] = []
    found = keyset(keys, request, arguments)
    rows = await sql.rows(
        "SELECT c.id, c.name, c.offline_current_a, c.created_at FROM chargers c"  # noqa: S608
        f" WHERE {found.where} ORDER BY {found.order_by} LIMIT {found.limit}",
        *arguments,
    )
    return page_of(rows, found, request, lambda row: sql.uuid_of(row["id"]))


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("order", ORDERS)
async def test_leafing_forward_and_backward_gives_every_row_once_and_in_order(order: str) -> None:
    """With equal keys, with nulls, in both directions: the pages are the list."""
    site = await a_site()
    for name, current in itertools.product(("A", "b", "A"), (None, 6.0, 10.0)):
        charger_id = await a_charger(site, name)
        await sql.execute("UPDATE chargers SET offline_current_a = $1 WHERE id = $2", current, charger_id)
    keys = ORDERS[order]
    whole = await _page(keys, PageRequest(first=100))
    assert len(whole.rows) == 9
    assert (whole.has_next, whole.has_previous) == (False, False)

    forward: list[UUID] = []
    page = await _page(keys, PageRequest(first=2))
    forward.extend(page.rows)
    while page.has_next:
        page = await _page(keys, PageRequest(first=2, after=page.cursors[-1]))
        assert page.has_previous
        forward.extend(page.rows)
    assert forward == list(whole.rows)

    backward: list[UUID] = []
    page = await _page(keys, PageRequest(first=None, last=4))
    backward.extend(reversed(page.rows))
    while page.has_previous:
        page = await _page(keys, PageRequest(first=None, last=4, before=page.cursors[0]))
        assert page.has_next
        backward.extend(reversed(page.rows))
    assert backward[::-1] == list(whole.rows)


@given(
    count=st.integers(0, 12),
    size=st.integers(1, 5),
    data=st.data(),
)
def test_a_list_in_memory_is_cut_as_one_in_a_table(count: int, size: int, data: st.DataObject) -> None:
    """The same rule of first and after, last and before, over a short list."""
    everything = [new_id() for _ in range(count)]
    whole = page_of_list(everything, PageRequest(first=100), lambda one: one)
    start = data.draw(st.integers(0, count))
    after = whole.cursors[start - 1] if start else None
    page = page_of_list(everything, PageRequest(first=size, after=after), lambda one: one)
    assert list(page.rows) == everything[start : start + size]
    assert page.has_next == (start + size < count)
    before = whole.cursors[start] if start < count else None
    page = page_of_list(everything, PageRequest(first=None, last=size, before=before), lambda one: one)
    assert list(page.rows) == everything[max(0, start - size) : start]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (None, None, "pass either `first` or `last`"),
        (1, 1, "pass either `first` or `last`"),
        (0, None, "`first` must be from 1 to 100"),
        (101, None, "`first` must be from 1 to 100"),
        (None, 10_000, "`last` must be from 1 to 100"),
    ],
)
def test_a_page_has_a_size(first: int | None, last: int | None, words: str) -> None:
    """From one end, of 1 to 100 rows."""
    with pytest.raises(ValidationError, match=words):
        page_request(first, None, last, None)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda content: content.hex()))
def test_a_cursor_that_we_did_not_give_is_refused(cursor: str) -> None:
    """Whatever is in it: never an exception of another kind."""
    for keys in ORDERS.values():
        with pytest.raises(ValidationError, match="is not a cursor of this list"):
            keyset(keys, PageRequest(first=1, after=cursor), [])


@pytest.mark.usefixtures("database")
async def test_a_cursor_of_another_order_is_refused() -> None:
    """Its keys would be compared with other columns."""
    await a_charger(await a_site())
    page = await _page(ORDERS["by name"], PageRequest(first=1))
    with pytest.raises(ValidationError, match="`before` is not a cursor of this list"):
        keyset(ORDERS["nulls last"], PageRequest(first=1, before=page.cursors[0]), [])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (KeyKind.TEXT, '"a\\u0000b"'),
        (KeyKind.TEXT, '"\\ud800"'),
        (KeyKind.NUMBER, "NaN"),
        (KeyKind.NUMBER, "1e400"),
        (KeyKind.WHOLE, "1.5"),
        (KeyKind.WHOLE, str(2**63)),
        (KeyKind.WHOLE, "true"),
        (KeyKind.DECIMAL, '"NaN"'),
        (KeyKind.INSTANT, '"0001-01-01T00:00:00+14:00"'),
        (KeyKind.INSTANT, '"2026-01-01T00:00:00"'),
    ],
)
def test_a_cursor_with_a_value_that_no_database_takes_is_refused(kind: KeyKind, value: str) -> None:
    """It looks like ours, but no row has such a key."""
    keys = (SortKey("x", "x", kind), ID)
    content = f'["x,id",{value},"{new_id()}"]'
    cursor = base64.urlsafe_b64encode(content.encode()).decode()
    with pytest.raises(ValidationError, match="is not a cursor of this list"):
        keyset(keys, PageRequest(first=1, after=cursor), [])
