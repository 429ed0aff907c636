"""The pictures in the documents are what the balancer does."""

import pytest

from bench.balancing_pictures import FOLDER, PICTURES


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_shows_what_is_decided_now(name: str) -> None:
    """Drawn anew, it is what lies in docs/pictures (else: `python -m bench.balancing_pictures`)."""
    assert PICTURES[name]() == (FOLDER / name).read_text()
