import copy
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from balancing.allocate import DEFAULT, allocate
from balancing.circuit import Setpoint
from balancing.document import dump_allocation, parse_instance
from tests.balancing import checker
from tests.balancing.sites import Document, any_site, fixed_site, seeds, small_site

ENOUGH = 10**7
"""Nodes with which a search over four cars always ends by itself."""

TURNED = {"L1": "L2", "L2": "L3", "L3": "L1"}


def answer(instance: Document, *, effort: int = DEFAULT) -> Document:
    return dump_allocation(allocate(parse_instance(instance), effort=effort))


@settings(max_examples=200, deadline=None)
@given(any_site)
def test_every_allocation_is_feasible(instance: Document) -> None:
    """H1 to H4 hold whatever the site."""
    assert checker.violations(instance, answer(instance, effort=3_000)) == []


@settings(max_examples=60, deadline=None)
@given(any_site, seeds)
def test_order_of_lists_does_not_matter(instance: Document, seed: int) -> None:
    """Circuits and chargers in another order get the same answer, to the bit."""
    shuffled = copy.deepcopy(instance)
    random.Random(seed).shuffle(shuffled["circuits"])
    random.Random(seed).shuffle(shuffled["chargers"])
    assert answer(shuffled, effort=3_000) == answer(instance, effort=3_000)


def turned(instance: Document) -> Document:
    found = copy.deepcopy(instance)
    for circuit in found["circuits"]:
        for field in ("fuse", "other_load"):
            circuit[field] = circuit[field][2:] + circuit[field][:2]
    for charger in found["chargers"]:
        charger["wiring"] = [TURNED[line] for line in charger["wiring"]]
        if "fallback" in charger:
            charger["fallback"]["phases"] = [TURNED[line] for line in charger["fallback"]["phases"]]
    return found


@settings(max_examples=60, deadline=None)
@given(small_site)
def test_turning_every_line_leaves_the_objective(instance: Document) -> None:
    """L1 → L2 → L3 in every field is the same problem."""
    mine, other = answer(instance, effort=ENOUGH), answer(turned(instance), effort=ENOUGH)
    assert checker.first_difference(checker.objective(instance, mine), checker.objective(turned(instance), other)) == ""


def deepened(instance: Document, spare: float) -> Document:
    """A dozen circuits above and, for each leaf, below it, whose fuses carry as much as it and `spare` more; cars hang at the ends."""
    found = copy.deepcopy(instance)
    root = next(circuit for circuit in found["circuits"] if circuit["parent"] is None)
    fuse = [ampere + spare for ampere in root["fuse"]]
    above = [{**root, "id": f"above {n}", "fuse": fuse, "parent": f"above {n - 1}" if n else None} for n in range(12)]
    parents = {circuit["parent"] for circuit in found["circuits"]}
    root["parent"] = "above 11"
    below = [
        {"id": f"{leaf['id']} {n}", "fuse": [ampere + spare for ampere in leaf["fuse"]], "other_load": leaf["other_load"],
         "parent": f"{leaf['id']} {n - 1}" if n else leaf["id"]}
        for leaf in found["circuits"] if leaf["id"] not in parents for n in range(12)
    ]  # fmt: skip
    for charger in found["chargers"]:
        if charger["circuit"] not in parents:
            charger["circuit"] += " 11"
    found["circuits"] += above + below
    return found


@settings(max_examples=60, deadline=None)
@given(small_site, st.sampled_from([0.0, 5.0]))
def test_fuses_that_others_imply_change_nothing(instance: Document, spare: float) -> None:
    """A site between long rows of circuits that carry as much, or more, is the same problem."""
    deep = deepened(instance, spare)
    mine, other = answer(instance, effort=ENOUGH), answer(deep, effort=ENOUGH)
    assert checker.violations(deep, other) == []
    assert checker.first_difference(checker.objective(instance, mine), checker.objective(deep, other)) == ""


@settings(max_examples=60, deadline=None)
@given(small_site)
def test_names_do_not_matter(instance: Document) -> None:
    """Other names, in another alphabetical order, leave the objective vector."""
    renamed = copy.deepcopy(instance)
    for number, charger in enumerate(renamed["chargers"]):
        charger["id"] = f"z{len(renamed['chargers']) - number}"
    mine, other = answer(instance, effort=ENOUGH), answer(renamed, effort=ENOUGH)
    assert checker.first_difference(checker.objective(instance, mine), checker.objective(renamed, other)) == ""


def scaled(instance: Document, factor: float) -> Document:
    found = copy.deepcopy(instance)
    for circuit in found["circuits"]:
        for field in ("fuse", "other_load"):
            circuit[field] = [value * factor for value in circuit[field]]
    for charger in found["chargers"]:
        for field in ("min_current", "max_current", "max_current_1p"):
            if charger[field] is not None:
                charger[field] *= factor
        if charger["vehicle"]["max_current"] is not None:
            charger["vehicle"]["max_current"] *= factor
        if "fallback" in charger:
            charger["fallback"]["current"] *= factor
    return found


@settings(max_examples=60, deadline=None)
@given(small_site)
def test_amperes_scale(instance: Document) -> None:
    """Every ampere doubled doubles shares and power, and keeps how many are served."""
    doubled = scaled(instance, 2.0)
    mine = checker.objective(instance, answer(instance, effort=ENOUGH))
    other = checker.objective(doubled, answer(doubled, effort=ENOUGH))
    assert other["served"] == mine["served"]
    expected = {"shares": [2 * share for share in mine["shares"]], "power": [2 * mine["power"][0]]}
    assert checker.first_difference(expected, other) == ""


@settings(max_examples=60, deadline=None)
@given(small_site)
def test_the_answer_as_previous_changes_nothing(instance: Document) -> None:
    """What was just commanded is still the answer when nothing else is new."""
    first = answer(instance, effort=ENOUGH)
    again = copy.deepcopy(instance)
    given = {entry["charger"]: entry for entry in first["allocation"]}
    for charger in again["chargers"]:
        entry = given[charger["id"]]
        charger["previous"] = {"current": entry["current"], "phases": entry["phases"]}
    second = answer(again, effort=ENOUGH)
    assert checker.objective(again, second)["changes"][0] == 0
    for entry in second["allocation"]:
        assert entry["phases"] == given[entry["charger"]]["phases"]
        assert abs(entry["current"] - given[entry["charger"]]["current"]) < 1e-6


@settings(max_examples=60, deadline=None)
@given(fixed_site, seeds)
def test_a_larger_fuse_is_never_worse(instance: Document, seed: int) -> None:
    """With fixed phases a raised fuse never makes the first three levels lexicographically worse."""
    rng = random.Random(seed)
    larger = copy.deepcopy(instance)
    circuit = rng.choice(larger["circuits"])
    circuit["fuse"] = [value + rng.choice([0, 1.5, 9]) for value in circuit["fuse"]]
    mine = checker.objective(instance, answer(instance, effort=ENOUGH))
    other = checker.objective(larger, answer(larger, effort=ENOUGH))
    for level in ("served", "shares", "power"):
        pairs = zip(other[level], mine[level], strict=True)
        order = next((left - right for left, right in pairs if abs(left - right) > 1e-6), 0.0)
        assert order >= 0
        if order > 0:
            return


@settings(max_examples=100, deadline=None)
@given(any_site)
def test_whoever_gets_less_is_told_why(instance: Document) -> None:
    """A charger that a circuit holds names the circuit and line, and one that nothing of a circuit holds names none."""
    parsed = parse_instance(instance)
    setpoints: tuple[Setpoint, ...] = allocate(parsed, effort=3_000).setpoints
    for setpoint in setpoints:
        at_circuit = setpoint.limit in ("CIRCUIT", "FAIR_SHARE", "ROTATION", "OVERLOAD")
        assert (setpoint.limiting_circuit is not None) == at_circuit
        assert (setpoint.limiting_line is not None) == at_circuit
