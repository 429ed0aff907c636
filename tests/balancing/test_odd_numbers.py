"""Numbers at the edge of sense: a clear error, or a safe answer."""

import math
from typing import Any

import pytest

from balancing.allocate import allocate
from balancing.circuit import InstanceError, Limit
from balancing.document import dump_allocation, parse_instance
from tests.balancing import checker

Document = dict[str, Any]


def site(
    *chargers: Document, fuse: float = 32.0, network: str = "TN_3", model: str = "arithmetic", other: float = 0.0
) -> Document:
    return {
        "format": "ev-balance/1",
        "id": "odd",
        "installation": {"id": "odd", "network": network, "line_current_model": model},
        "circuits": [{"id": "k", "parent": None, "fuse": [fuse] * 3, "other_load": [other] * 3}],
        "chargers": [
            {"circuit": "k", "wiring": ["L1", "L2", "L3"], "state": "queued", **charger} for charger in chargers
        ],
    }


def answer(document: Document) -> Document:
    found = dump_allocation(allocate(parse_instance(document)))
    assert checker.violations(document, found) == []
    return found


@pytest.mark.parametrize("wiring", [["L1", "L2"], ["L2", "L3"]])
def test_nothing_goes_over_a_fuse_of_nothing(wiring: list[str]) -> None:
    """However small a minimum is, a line without capacity carries no car."""
    document = site(
        {"id": "a", "wiring": wiring, "min_current": 1e-9},
        {"id": "b", "min_current": 1e-9},
        fuse=0.0,
        network="IT_3",
        model="vector",
    )
    assert [one["current"] for one in answer(document)["allocation"]] == [0.0, 0.0]


@pytest.mark.parametrize(("field", "value"), [("weight", 1e308), ("weight", 5e-324), ("current_step", 1e-19)])
def test_what_no_float_can_share_is_refused(field: str, value: float) -> None:
    """The message names the field."""
    with pytest.raises(InstanceError) as caught:
        parse_instance(site({"id": "a", field: value}, {"id": "b"}))
    assert caught.value.field == f"chargers[0].{field}"


@pytest.mark.parametrize(
    ("field", "value"), [("max_current", 10**400), ("tier", 10**400), ("credit", 1e13), ("max_current", math.nan)]
)
def test_a_number_beyond_sense_is_refused(field: str, value: float) -> None:
    """Also one that no float can hold."""
    with pytest.raises(InstanceError) as caught:
        parse_instance(site({"id": "a", field: value}))
    assert caught.value.field == f"chargers[0].{field}"


def test_a_minimum_below_a_step_is_one_step() -> None:
    """Nobody is served with nothing."""
    document = site({"id": "a", "min_current": 1e-8, "max_current": 0.05, "current_step": 0.1})
    (found,) = answer(document)["allocation"]
    assert (found["current"], found["limit"]) == (0.0, Limit.OTHER.value)


def test_a_fallback_without_lines_is_on_all_of_them() -> None:
    """When unsure, less current."""
    document = site({"id": "a"}, {"id": "z", "state": "offline", "fallback": {"current": 16}})
    assert [one["current"] for one in answer(document)["allocation"]] == [16.0, 0.0]


def test_noise_is_no_overload() -> None:
    """10.0 - 8.4 - 1.6 is not 0 in floats."""
    document = site({"id": "z", "state": "offline", "fallback": {"current": 1.6}}, fuse=10.0, other=8.4)
    assert answer(document)["overloaded"] == []


def test_large_priorities_are_told_apart() -> None:
    """Neighbours that no float tells apart are two classes; the higher one is served."""
    document = site(
        {"id": "a", "wiring": ["L1"], "priority": 10**12 - 1},
        {"id": "b", "wiring": ["L1"], "priority": 10**12},
        fuse=7.0,
    )
    assert [one["current"] for one in answer(document)["allocation"]] == [0.0, 7.0]
