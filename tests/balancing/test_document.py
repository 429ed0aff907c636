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


WRONG: list[tuple[str, object, str, str]] = [
    ("format", "ev-balance/2", "format", "is not 'ev-balance/1'"),
    ("installation", None, "installation", "is null, not an object"),
    ("installation/network", "TT", "installation.network", 'is "TT", none of TN_3, IT_3, TN_1, IT_1'),
    ("circuits/0/parent", "k1", "circuits[0].parent", "'root' lies on or below a cycle: no root is above it"),
    ("circuits/1/parent", "k1", "circuits[1].parent", "'k1' lies on or below a cycle: no root is above it"),
    ("circuits/1/parent", None, "circuits[1].parent", "'root' and 'k1' are both roots: only one has no parent"),
    ("circuits/1/parent", "nowhere", "circuits[1].parent", "no circuit has the id 'nowhere'"),
    ("circuits/1/id", "root", "circuits[1].id", "'root' is repeated: each circuit has an id of its own"),
    ("circuits/1/fuse", [32, -1, 32], "circuits[1].fuse[1]", "is -1, below 0"),
    ("circuits/1/fuse", [32, float("nan"), 32], "circuits[1].fuse[1]", "is NaN, not a finite number"),
    ("circuits/1/fuse", [32, 32, float("inf")], "circuits[1].fuse[2]", "is Infinity, not a finite number"),
    ("circuits/1/fuse", [1e300, 32, 32], "circuits[1].fuse[0]", "is 1e+300, beyond 1e+12"),
    ("circuits/1/fuse", [32, 32], "circuits[1].fuse", "has 2 entries; it takes three numbers, [L1, L2, L3]"),
    ("circuits/1/fuse", ["32", 32, 32], "circuits[1].fuse[0]", 'is "32", not a number'),
    ("circuits/1/fuse", 32, "circuits[1].fuse", "is 32, not a list"),
    ("circuits", [], "circuits", "a site has at least one circuit"),
    ("chargers", {}, "chargers", "is {}, not a list"),
    ("chargers/1", 5, "chargers[1]", "is 5, not an object"),
    ("chargers/1/id", 7, "chargers[1].id", "is 7, not a string"),
    ("chargers/1/id", "A", "chargers[1].id", "'A' is repeated: each charger has an id of its own"),
    ("chargers/1/id", "half \ud83d", "chargers[1].id", "has half of a character in it"),
    ("chargers/1/circuit", "k2", "chargers[1].circuit", "no circuit has the id 'k2'"),
    ("chargers/1/wiring", ["L1", "L2"], "chargers[1].wiring", "takes one or three lines in a TN network"),
    ("chargers/1/wiring", ["l1"], "chargers[1].wiring[0]", 'is "l1", none of L1, L2, L3'),
    ("chargers/0/wiring", ["L1", "L1", "L2"], "chargers[0].wiring", '["L1", "L1", "L2"] names a line twice'),
    (
        "chargers/1/state",
        "QUEUED",
        "chargers[1].state",
        'is "QUEUED", none of charging, queued, idle, finished, offline',
    ),
    ("chargers/1/min_current", 0, "chargers[1].min_current", "is 0, not above 0"),
    ("chargers/1/min_current", True, "chargers[1].min_current", "is true, not a number"),
    ("chargers/1/min_current", None, "chargers[1].min_current", "is null: leave the field out for its default"),
    ("chargers/1/min_current", "6" * 99, "chargers[1].min_current", f'is "{"6" * 39}…, not a number'),
    ("chargers/1/weight", 0.0, "chargers[1].weight", "is 0.0, not above 0"),
    ("chargers/1/weight", 1e-9, "chargers[1].weight", "is 1e-09, not from 1e-06 to 1e+06"),
    ("chargers/1/credit", -1, "chargers[1].credit", "is -1, below 0"),
    ("chargers/1/tier", -1, "chargers[1].tier", "is -1, below 0"),
    ("chargers/1/tier", 1.5, "chargers[1].tier", "is 1.5, not an integer"),
    ("chargers/0/vehicle", [], "chargers[0].vehicle", "is [], not an object"),
    ("chargers/0/vehicle/phases", 4, "chargers[0].vehicle.phases", "is 4, none of 1, 2, 3"),
    ("chargers/0/modes/1", ["L9"], "chargers[0].modes[1][0]", 'is "L9", none of L1, L2, L3'),
    ("chargers/0/previous/current", "x", "chargers[0].previous.current", 'is "x", not a number'),
]


@pytest.mark.parametrize(("path", "value", "field", "problem"), WRONG, ids=[f"{row[0]}={row[1]}"[:60] for row in WRONG])
def test_an_error_names_the_field(path: str, value: object, field: str, problem: str) -> None:
    """Whatever is wrong is said with the field in front, also what JSON has no word for."""
    with pytest.raises(InstanceError) as caught:
        allocate_document(json.dumps(changed(path, value)).encode())
    assert str(caught.value) == f"{field}: {problem}"


TEXT = json.dumps(INSTANCE, indent=1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "is empty: it takes one instance, which is a JSON object"),
        (b"\xef\xbb\xbf \r\n", "is empty: it takes one instance, which is a JSON object"),
        (TEXT.encode("utf-16"), "is not UTF-8: save it in that encoding"),
        (TEXT.replace("demo", "Gården").encode("latin-1"), "is not UTF-8: save it in that encoding"),
        (b"null", "is null, not an object"),
        (b"[" * 100_000, "not JSON: "),
        (TEXT.encode() * 2, "not JSON: "),
    ],
)
def test_a_text_that_is_no_instance_is_refused(text: bytes, problem: str) -> None:
    """The message says what it is instead."""
    with pytest.raises(InstanceError) as caught:
        allocate_document(text)
    assert (caught.value.field, caught.value.problem[: len(problem)]) == ("document", problem)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        json.dumps(changed("colour", float("nan"))).encode(),
        json.dumps(changed("chargers/0/vehicle/phases", 3.0)).encode(),
        json.dumps(changed("chargers/0/current_step", 0.1), ensure_ascii=False).encode(),
    ],
    ids=["byte order mark", "CRLF", "NaN where nobody looks", "3.0 for 3", "as it is"],
)
def test_what_other_programs_write_is_read(text: bytes) -> None:
    """A mark in front, other ends of lines, and whole numbers with a point change nothing."""
    assert allocate_document(text) == allocate_document(json.dumps(INSTANCE).encode())


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
