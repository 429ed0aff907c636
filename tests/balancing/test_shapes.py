"""A thousand circuits with a thousand chargers, in every shape that a tree can have."""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from balancing.allocate import allocate, load_machine_code
from balancing.circuit import Allocation, InstanceError, ancestors
from balancing.document import dump_allocation, parse_instance
from tests.balancing import checker

MANY: Final = 1000
ROTATIONS: Final = (["L1", "L2", "L3"], ["L2", "L3", "L1"], ["L3", "L1", "L2"])
Document = dict[str, Any]

SHAPES: Final[dict[str, Callable[[int], int]]] = {
    "chain": lambda n: n - 1,
    "star": lambda _: 0,
    "binary": lambda n: (n - 1) // 2,
    "caterpillar": lambda n: n - 1 if n % 2 else n - 2,
    "comb": lambda n: n - 1 if n % 10 else n - 10,
}
"""The circuit above each one but the first."""


def site(shape: str, *, switching: str, at: Callable[[int], int]) -> Document:
    """Each circuit's fuse carries a little more than 6 A a line and charger below, so that all of them can bind."""
    below = [0] * MANY
    for number in range(MANY):
        below[at(number)] += 1
    for number in range(MANY - 1, 0, -1):
        below[SHAPES[shape](number)] += below[number]
    circuits: list[Document] = [
        {
            "id": f"k{number:03}",
            "parent": f"k{SHAPES[shape](number):03}" if number else None,
            "fuse": [6.5 * max(1, below[number]) + (MANY - number) / 100] * 3,
        }
        for number in range(MANY)
    ]
    chargers = [
        {
            "id": f"c{number:03}", "circuit": f"k{at(number):03}", "wiring": ROTATIONS[number % 3], "switching": switching,
            "state": "queued", "vehicle": {"phases": (1, 2, 3, None)[number % 4], "max_current": (10, 16, 20)[number % 3]},
            "tier": number % 3, "credit": number * 7919 % 3600,
        }
        for number in range(MANY)
    ]  # fmt: skip
    return {
        "format": "ev-balance/1",
        "id": shape,
        "installation": {"id": "shape", "network": "TN_3"},
        "circuits": circuits,
        "chargers": chargers,
    }


def decided(document: Document) -> tuple[Allocation, float]:
    """The answer, and the seconds of a processor that it took."""
    instance = parse_instance(document)
    begin = time.process_time()
    answer = allocate(instance)
    return answer, time.process_time() - begin


@pytest.mark.parametrize("switching", ["none", "any_phase"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_shape_runs_away(shape: str, switching: str) -> None:
    """A charger on each circuit is answered within a second, whatever hangs on what; a tenth of that is usual."""
    load_machine_code()
    document = site(shape, switching=switching, at=lambda number: number)
    answer, took_s = decided(document)
    assert checker.violations(document, dump_allocation(answer)) == []
    assert sum(setpoint.current > 0 for setpoint in answer.setpoints) > MANY // 2
    assert took_s < 1.0


@pytest.mark.parametrize("shape", ["chain", "caterpillar"])
def test_what_all_hangs_at_the_end_is_held_by_the_tightest_fuse_above(shape: str) -> None:
    """Of a thousand fuses above the same cars only the smallest counts, and it is the one that is named."""
    load_machine_code()
    document = site(shape, switching="none", at=lambda _: MANY - 1)
    document["circuits"][700]["fuse"] = [600.0] * 3
    answer, took_s = decided(document)
    assert {setpoint.limiting_circuit for setpoint in answer.setpoints} == {"k700"}
    assert took_s < 1.0


def test_a_long_chain_is_a_tree_until_it_is_a_cycle() -> None:
    """Each circuit's way to the root is known, and one circuit below itself is said to be."""
    document = site("chain", switching="none", at=lambda number: number)
    paths = ancestors(parse_instance(document).circuits)
    assert paths["k002"] == ("k002", "k001", "k000")
    assert len(paths["k999"]) == MANY
    document["circuits"][500]["parent"] = "k999"
    with pytest.raises(InstanceError) as caught:
        parse_instance(document)
    assert str(caught.value) == "circuits[500].parent: 'k500' lies on or below a cycle: no root is above it"
