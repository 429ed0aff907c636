import json
from pathlib import Path

import pytest

from balancing.allocate import allocate
from balancing.document import dump_allocation, parse_instance
from tests.balancing import checker

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.json"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_scenario_has_its_objective(path: Path) -> None:
    """A worked example is answered feasibly and with the objective vector of its one right answer."""
    scenario = json.loads(path.read_text())
    instance = scenario["instance"]
    allocation = dump_allocation(allocate(parse_instance(instance)))
    expected = {"allocation": scenario["expected"]}
    assert checker.violations(instance, allocation) == []
    assert checker.violations(instance, expected) == []
    found, asked = checker.objective(instance, allocation), checker.objective(instance, expected)
    assert checker.first_difference(found, asked, within=1e-5) == "", scenario["about"]


def test_there_are_sixteen() -> None:
    """Every worked example of the design is among the scenarios."""
    assert len(SCENARIOS) == 16
