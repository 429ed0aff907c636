import copy
import json
from pathlib import Path
from typing import Any

import pytest

from balancing.circuit import InstanceError
from balancing.document import allocate_document, dump_instance, parse_instance

INSTANCE: dict[str, Any] = {
    "format": "ev-balance/1",
    "id": "demo",
    "installation": {"id": "site", "name": "Demo", "network": "TN_3"},
    "circuits": [
        {"id": "root", "parent": None, "fuse": [63, 63, 63], "other_load": [12.5, 3.0, 8.1]},
        {"id": "k1", "parent": "root", "fuse": [32, 32, 32]},
    ],
    "chargers": [
        {"id": "A", "circuit": "k1", "wiring": ["L2", "L3", "L1"], "switching": "any_phase", "state": "charging",
         "vehicle": {"phases": 3, "max_current": 16}, "modes": [["L1", "L2", "L3"], ["L2"]], "current_step": 0.1,
         "previous": {"current": 10, "phases": ["L1"]}, "fallback": {"current": 6, "phases": ["L2"]}, "colour": 1},
        {"id": "B", "circuit": "root", "wiring": ["L1"], "state": "queued"},
    ],
}  # fmt: skip


def changed(path: str, value: object) -> dict[str, Any]:
    found = copy.deepcopy(INSTANCE)
    target: Any = found
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        target = target[part]
    target[last] = value
    return found


WRONG: list[tuple[str, object, str]] = [
    ("format", "ev-balance/2", "format"),
    ("installation/network", "TT", "installation.network"),
    ("circuits/0/parent", "k1", "circuits[0].parent"),
    ("circuits/1/parent", None, "circuits[1].parent"),
    ("circuits/1/parent", "nowhere", "circuits[1].parent"),
    ("circuits/1/id", "root", "circuits[1].id"),
    ("circuits/1/fuse", [32, -1, 32], "circuits[1].fuse[1]"),
    ("circuits/1/fuse", [32, float("nan"), 32], "circuits[1].fuse[1]"),
    ("circuits/1/fuse", [32, 32], "circuits[1].fuse"),
    ("circuits/1/fuse", ["32", 32, 32], "circuits[1].fuse[0]"),
    ("circuits", [], "circuits"),
    ("chargers", {}, "chargers"),
    ("chargers/1", 5, "chargers[1]"),
    ("chargers/1/id", "A", "chargers[1].id"),
    ("chargers/1/circuit", "k2", "chargers[1].circuit"),
    ("chargers/1/wiring", ["L1", "L2"], "chargers[1].wiring"),
    ("chargers/1/wiring", ["L4"], "chargers[1].wiring[0]"),
    ("chargers/0/wiring", ["L1", "L1", "L2"], "chargers[0].wiring"),
    ("chargers/1/state", "asleep", "chargers[1].state"),
    ("chargers/1/min_current", 0, "chargers[1].min_current"),
    ("chargers/1/min_current", True, "chargers[1].min_current"),
    ("chargers/1/weight", 0.0, "chargers[1].weight"),
    ("chargers/1/credit", -1, "chargers[1].credit"),
    ("chargers/1/tier", -1, "chargers[1].tier"),
    ("chargers/1/tier", 1.5, "chargers[1].tier"),
    ("chargers/0/vehicle/phases", 4, "chargers[0].vehicle.phases"),
    ("chargers/0/modes/1", ["L9"], "chargers[0].modes[1][0]"),
    ("chargers/0/previous/current", "x", "chargers[0].previous.current"),
]


@pytest.mark.parametrize(("path", "value", "field"), WRONG, ids=[f"{path}={value}" for path, value, _ in WRONG])
def test_an_error_names_the_field(path: str, value: object, field: str) -> None:
    """Whatever is wrong is said with the field in front."""
    with pytest.raises(InstanceError) as caught:
        parse_instance(changed(path, value))
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


def test_a_missing_field_is_named() -> None:
    """A charger without a state is an error, without the optional fields it is not."""
    without = copy.deepcopy(INSTANCE)
    del without["chargers"][1]["state"]
    with pytest.raises(InstanceError, match=r"chargers\[1\]\.state: is missing"):
        parse_instance(without)


def test_an_instance_survives_writing_and_reading() -> None:
    """What is stored with a decision is read back as an equal instance."""
    instance = parse_instance(INSTANCE)
    assert parse_instance(json.loads(json.dumps(dump_instance(instance)))) == instance
    for path in (Path(__file__).parent / "scenarios").glob("*.json"):
        scenario = parse_instance(json.loads(path.read_text())["instance"])
        assert parse_instance(json.loads(json.dumps(dump_instance(scenario)))) == scenario


def test_a_document_is_answered_with_a_document() -> None:
    """JSON in, ev-balance-allocation/1 out."""
    answer = json.loads(allocate_document(json.dumps(INSTANCE).encode()))
    assert answer["format"] == "ev-balance-allocation/1"
    assert answer["instance"] == "demo"
    assert [(s["charger"], s["current"], s["phases"]) for s in answer["allocation"]] == [
        ("A", pytest.approx(16.0), ["L1", "L2", "L3"]),
        ("B", 32.0, ["L1"]),
    ]
    assert answer["overloaded"] == []
    with pytest.raises(InstanceError, match="document: not JSON"):
        allocate_document(b"{")


def test_an_overloaded_line_gives_nothing_and_is_told() -> None:
    """Other load above the fuse: 0 A on that line, the excess by circuit and line, the other lines go on."""
    answer = json.loads(allocate_document(json.dumps(changed("circuits/0/other_load", [66.2, 0, 0])).encode()))
    assert [(o["circuit"], o["line"], o["excess"]) for o in answer["overloaded"]] == [
        ("root", "L1", pytest.approx(3.2))
    ]
    by_charger = {s["charger"]: s for s in answer["allocation"]}
    assert (by_charger["A"]["current"], by_charger["A"]["phases"]) == (16.0, ["L2"])
    assert (by_charger["B"]["current"], by_charger["B"]["limit"]) == (0.0, "OVERLOAD")


def test_rounding_takes_nobody_s_place() -> None:
    """13 A for two cars in steps of 1 A: 6 A and 6 A."""
    instance = copy.deepcopy(INSTANCE)
    instance["circuits"] = [{"id": "root", "parent": None, "fuse": [13, 13, 13]}]
    instance["chargers"] = [
        {"id": name, "circuit": "root", "wiring": ["L1"], "state": "queued", "current_step": 1} for name in "ab"
    ]
    answer = json.loads(allocate_document(json.dumps(instance).encode()))
    assert [s["current"] for s in answer["allocation"]] == [6.0, 6.0]
