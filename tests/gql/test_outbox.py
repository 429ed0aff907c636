"""What waits for a slow reader."""

from hypothesis import given
from hypothesis import strategies as st

from gql.outbox import Outbox

_PUT = st.tuples(st.sampled_from("abc"), st.booleans())
"""(about what, whether it stays)."""


@given(st.lists(st.none() | _PUT, max_size=40))
def test_of_one_object_nothing_is_heard_out_of_order(steps: list[tuple[str, bool] | None]) -> None:
    """Whatever is put and taken in between: all that stays is heard, the newest is heard last, and nothing after what came later."""
    outbox, put, heard = Outbox(), list[tuple[str, bool, int]](), list[tuple[str, int]]()

    def take() -> bool:
        text = outbox.take()
        if text is not None:
            heard.append((text[0], int(text[1:])))
        return text is not None

    for number, step in enumerate(steps):
        if step is None:
            take()
            continue
        about, stays = step
        put.append((about, stays, number))
        outbox.put(about, str(number), key=about, stays=stays)
    while take():
        pass
    for name in "abc":
        told = [number for about, number in heard if about == name]
        given_ = [(stays, number) for about, stays, number in put if about == name]
        assert told == sorted(set(told))
        assert {number for stays, number in given_ if stays} <= set(told)
        assert told[-1:] == [number for _, number in given_][-1:]
    assert len(heard) + outbox.replaced == len(put)
