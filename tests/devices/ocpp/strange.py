"""Messages that the standard's schemas allow, and mutilated ones; frames that nobody should send. All from a seed."""

import copy
import importlib
import json
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from jsonschema import Draft4Validator, Draft6Validator
from jsonschema.protocols import Validator

from devices.ocpp import generate
from devices.ocpp.frames import UNREADABLE

VALIDATORS: dict[str, type[Validator]] = {"v16": Draft4Validator, "v201": Draft6Validator}
STRANGE: list[Any] = [None, True, -1, 3, 2.55, 16.1, "", "x" * 19, "x" * 60, "Accepted", [], {}, [{}]]


@cache
def schemas(version: str) -> dict[str, dict[str, Any]]:
    paths = sorted(generate.schema_folder(version).glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8-sig")) for path in paths}


@cache
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


@cache
def validator(version: str, stem: str) -> Validator:
    """The schema's; decimals are exact, as 16.1 / 0.1 is no whole number in binary."""
    schema = schemas(version)[stem]
    return VALIDATORS[version](json.loads(json.dumps(ignore_surplus(schema)), parse_float=Decimal))


def is_valid(version: str, stem: str, text: str) -> bool:
    """The schema's verdict."""
    return validator(version, stem).is_valid(json.loads(text, parse_float=Decimal))


def is_readable(kind: type[msgspec.Struct], text: str) -> bool:
    try:
        msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return False
    return True


def message(version: str, stem: str, pick: random.Random, *, is_mutilated: bool) -> str:
    """The text of one that the schema allows, or of one with a place or two left out or replaced."""
    schema = schemas(version)[stem]
    found = example(schema, schema, pick)
    for _ in range(pick.randint(1, 2) if is_mutilated else 0):
        found = mutate(found, pick)
    return json.dumps(found)


class Noise:
    """Frames at random, most of them wrong in some way; about a third are CALLs that deserve an answer."""

    def __init__(self, version: str, seed: int) -> None:
        self._version = version
        self._pick = random.Random(f"{version} {seed}")
        self._calls = [stem for stem in schemas(version) if not generate.message_name(stem)[1]]
        self._kinds: Sequence[Callable[[], str | bytes]] = (
            self._bytes,
            self._soup,
            self._deep,
            self._wrong_type,
            self._unknown,
            self._call,
            self._call,
            self._mutilated,
            self._mutilated,
            self._torn,
            self._answer,
        )
        self._number = 0

    def frame(self) -> str | bytes:
        """The next one."""
        self._number += 1
        return self._pick.choice(self._kinds)()

    def _id(self) -> str:
        return f"{self._number:x}"

    def _bytes(self) -> bytes:
        return self._pick.randbytes(self._pick.randint(0, 60))

    def _soup(self) -> str:
        return "".join(self._pick.choices(SOUP, k=self._pick.randint(1, 40)))

    def _deep(self) -> str:
        depth = self._pick.choice((3, 50, 900, 1_100, 20_000))
        opening, closing = self._pick.choice((("[", "]"), ('{"a":', "}")))
        inner = f"{opening * depth}1{closing * depth}"
        return self._pick.choice((inner, f'[2,"{self._id()}","MeterValues",{inner}]'))

    def _wrong_type(self) -> str:
        frame: list[Any] = [2, self._id(), self._action(), {}]
        frame[self._pick.randrange(4)] = self._pick.choice(STRANGE)
        return json.dumps(frame[: self._pick.randint(1, 4)] if self._pick.random() < 0.3 else frame)

    def _unknown(self) -> str:
        action = "".join(self._pick.choices(SOUP, k=self._pick.randint(0, 30)))
        return json.dumps([2, self._id(), action, self._pick.choice(STRANGE)])

    def _call(self) -> str:
        return self._framed(is_mutilated=False)

    def _mutilated(self) -> str:
        return self._framed(is_mutilated=True)

    def _framed(self, *, is_mutilated: bool) -> str:
        stem = self._pick.choice(self._calls)
        payload = message(self._version, stem, self._pick, is_mutilated=is_mutilated)
        return f'[2,"{self._id()}","{generate.message_name(stem)[0]}",{payload}]'

    def _torn(self) -> bytes:
        """A valid one with bytes left out, doubled or replaced."""
        text = bytearray(self._framed(is_mutilated=False).encode())
        for _ in range(self._pick.randint(1, 4)):
            place = self._pick.randrange(len(text))
            text[place : place + self._pick.randint(0, 3)] = self._pick.choice(
                (b"", self._pick.randbytes(2), text[: self._pick.randint(1, 9)], b"1e999", b"\\ud800", b"-")
            )
        return bytes(text)

    def _answer(self) -> str:
        kind = self._pick.choice((3, 4))
        return json.dumps([kind, self._id(), *self._pick.choices(STRANGE, k=self._pick.randint(0, 4))])

    def _action(self) -> str:
        return generate.message_name(self._pick.choice(self._calls))[0]

    def payload(self) -> bytes:
        """What a charger may answer to a call of ours: an allowed or mutilated answer to anything, or no object at all."""
        if self._pick.random() < 0.2:
            return json.dumps(self._pick.choice(STRANGE)).encode()
        stem = self._pick.choice(list(schemas(self._version)))
        return message(self._version, stem, self._pick, is_mutilated=self._pick.random() < 0.7).encode()


SOUP = [*'[]{}",:0123456789.eE+-\\ \x00\n', "null", "true", "\\u0000", "æ", "\u2028", "😀", '"a"', "[2,", "NaN"]


def call_id(frame: str | bytes) -> str | None:
    """The id under which the frame asks for an answer, by Python's own reading; None where it asks for none."""
    try:
        found = json.loads(frame, parse_constant=_refuse)
        found[1].encode()
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError):
        return None
    return found[1] if isinstance(found, list) and type(found[0]) is int and found[0] == 2 else None


def _refuse(name: str) -> None:
    raise ValueError(name)
