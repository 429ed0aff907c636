import copy
import importlib
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft4Validator, Draft6Validator
from jsonschema.protocols import Validator

from devices.ocpp import generate
from devices.ocpp.frames import UNREADABLE

MUTATIONS = 240
VALIDATORS: dict[str, type[Validator]] = {"v16": Draft4Validator, "v201": Draft6Validator}
STRANGE: list[Any] = [None, True, -1, 3, 2.55, 16.1, "", "x" * 19, "x" * 60, "Accepted", [], {}, [{}]]


def schemas(version: str) -> dict[str, dict[str, Any]]:
    paths = sorted(generate.schema_folder(version).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8-sig")) for path in paths}


def struct_for(version: str, stem: str) -> type[msgspec.Struct]:
    module = importlib.import_module(f"devices.ocpp.{version}.messages")
    action, is_answer = generate.message_name(stem)
    found: type[msgspec.Struct] = (module.RESULTS if is_answer else module.CALLS)[action]
    return found


def resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def example(schema: dict[str, Any], root: dict[str, Any], pick: random.Random) -> Any:
    """A message that the schema allows."""
    schema = resolve(schema, root)
    if "enum" in schema:
        return pick.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "object":
        required = schema.get("required", [])
        chosen = [key for key in schema.get("properties", {}) if key in required or pick.random() < 0.5]
        return {key: example(schema["properties"][key], root, pick) for key in chosen}
    if kind == "array":
        return [example(schema["items"], root, pick) for _ in range(max(1, schema.get("minItems", 1)))]
    simple: dict[str | None, Any] = {"string": "text", "integer": 3, "number": 16.1, "boolean": True, None: "anything"}
    return simple[kind]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def mutate(message: Any, pick: random.Random) -> Any:
    """One place left out or replaced."""
    changed = copy.deepcopy(message)
    paths = places(changed)
    if not paths:
        return pick.choice(STRANGE)
    *parents, last = pick.choice(paths)
    holder = changed
    for key in parents:
        holder = holder[key]
    if pick.random() < 0.3:
        del holder[last]
    else:
        holder[last] = pick.choice(STRANGE)
    return changed


def ignore_surplus(schema: Any) -> Any:
    """The schema without its word on fields that it does not know."""
    if isinstance(schema, dict):
        return {key: ignore_surplus(value) for key, value in schema.items() if key != "additionalProperties"}
    return [ignore_surplus(item) for item in schema] if isinstance(schema, list) else schema


def is_valid(version: str, schema: dict[str, Any], text: str) -> bool:
    """The schema's verdict; decimals are exact, as 16.1 / 0.1 is no whole number in binary."""
    exact = json.loads(json.dumps(ignore_surplus(schema)), parse_float=Decimal)
    return VALIDATORS[version](exact).is_valid(json.loads(text, parse_float=Decimal))


def is_readable(kind: type[msgspec.Struct], text: str) -> bool:
    try:
        msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return False
    return True


@pytest.mark.parametrize("version", generate.VERSIONS)
def test_the_modules_are_current(version: str) -> None:
    """The committed message types are what the generator makes of the shipped schemas."""
    committed = Path(generate.HERE / version / "messages.py").read_text(encoding="utf-8")
    assert committed == generate.source(version)


@pytest.mark.parametrize("version", generate.VERSIONS)
def test_verdicts_are_the_schemas(version: str) -> None:
    """Valid and mutated messages get the same verdict from the generated type and from the JSON schema."""
    pick = random.Random(5)
    checked: list[bool] = []
    stems = list(schemas(version).items())
    for number in range(MUTATIONS):
        stem, schema = stems[number % len(stems)]
        message = example(schema, schema, pick)
        if number % 4:
            message = mutate(message, pick)
        text = json.dumps(message)
        expected = is_valid(version, schema, text)
        assert is_readable(struct_for(version, stem), text) is expected, (stem, text)
        checked.append(expected)
    assert 40 < sum(checked) < MUTATIONS - 40


def test_limits_have_one_decimal() -> None:
    """A limit is a multiple of 0.1 A, though 21.4 / 0.1 is no whole number in binary."""
    period = struct_for("v16", "SetChargingProfile")
    text = (
        '{"connectorId":1,"csChargingProfiles":{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxProfile",'
        '"chargingProfileKind":"Relative","chargingSchedule":{"chargingRateUnit":"A","chargingSchedulePeriod":'
        '[{"startPeriod":0,"limit":%s}]}}}'
    )
    assert [is_readable(period, text % limit) for limit in ("21.4", "16", "0.3", "21.45")] == [True, True, True, False]


def test_check_says_what_is_not_current(capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` writes nothing and ends well when all is current."""
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().out == "messages.py of v16: current\nmessages.py of v201: current\n"
