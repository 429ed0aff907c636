"""What no charger should send: `python -m bench.fuzz_frames`.

Frames at random go through the frame reader, a link and the adapter of each version of OCPP, without a database: none may bring the
link down, and every CALL must get its answer. Beside it mutilated messages are judged by the message types and by the JSON schemas
that the `ocpp` package ships: both must say the same, but for fields that the standard does not know.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from app.house import House
from app.logs import configure_logs
from app.settings import LogFormat
from bench.houses import bench_house
from bench.ocpp_servers import asks, at_once
from bench.report import Options, Report, options
from devices.link import Link, Settings, Surroundings
from devices.ocpp.adapter import ADAPTERS
from devices.ocpp.frames import CallError
from domain.ids import new_id
from tests.devices.ocpp.strange import Noise, call_id, is_readable, is_valid, message, schemas, struct_for

VERSIONS: Final = {"v16": "ocpp1.6", "v201": "ocpp2.0.1"}
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Size:
    """How much is tried, over both versions together."""

    frames: int
    messages: int


QUICK: Final = Size(60_000, 4_000)
FULL: Final = Size(1_000_000, 50_000)


@dataclass
class Found:
    """What became of one version's frames."""

    frames: int = 0
    calls: int = 0
    unanswered: int = 0
    crashes: int = 0
    slowest_ms: float = 0.0
    total_s: float = 0.0
    verdicts: int = 0
    messages: int = 0
    valid: int = 0
    disagreements: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, what: str, text: object) -> None:
        """One more to be looked at."""
        self.notes.append(f"{what}: {text!r}"[:_SHOWN])


class Mouth:
    """A socket in memory: says one frame after the other, and looks whether the one before was answered."""

    def __init__(self, noise: Noise, found: Found, until: int) -> None:
        self._noise = noise
        self._found = found
        self._until = until
        self._frame: str | bytes = b""
        self._asked: str | None = None
        self._answers: list[str] = []
        self._began = 0.0
        self.code: int | None = None

    async def receive_frame(self) -> str | bytes | None:
        """The next one; None when all were said."""
        self._judge()
        if self._found.frames >= self._until:
            return None
        self._frame = self._noise.frame()
        self._found.frames += 1
        self._asked = call_id(self._frame)
        self._answers.clear()
        self._began = time.perf_counter()
        return self._frame

    def _judge(self) -> None:
        if not self._began:
            return
        lasted_s = time.perf_counter() - self._began
        self._found.total_s += lasted_s
        self._found.slowest_ms = max(self._found.slowest_ms, lasted_s * 1000)
        if self._asked is not None:
            self._found.calls += 1
            if self._answers != [self._asked]:
                self._found.unanswered += 1
                self._found.note(f"answers {self._answers}", self._frame)

    def send_now(self, _text: str) -> bool:
        """Nothing goes at once."""
        return False

    async def send_frame(self, text: str) -> None:
        """An answer."""
        kind, message_id, *_ = msgspec.json.decode(text)
        if kind in (3, 4):
            self._answers.append(message_id)

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        """Nobody is pinged."""

    async def close(self, code: int, reason: str) -> None:
        """The link gave up."""
        self.code = code
        self._found.note(f"closed with {code} {reason}", self._frame)


async def tried(house: House, version: str, size: Size, *, seed: int) -> Found:
    """Half of the frames, and half of the messages, in that version."""
    found, noise, adapter = Found(), Noise(version, seed), ADAPTERS[VERSIONS[version]]
    shared = Surroundings(at_once(house), house.clock, Settings(), asks(house))
    while found.frames < size.frames // 2:
        mouth = Mouth(noise, found, size.frames // 2)
        await Link(
            mouth, shared, identity="noise", station_id=new_id(), epoch=1, chargers={1: new_id()}, adapter=adapter
        ).run()
        found.crashes += mouth.code is not None
    _hear_answers(version, noise, found, size.frames // 20)
    _judge_messages(version, found, size.messages // 2, seed=seed)
    return found


def _hear_answers(version: str, noise: Noise, found: Found, count: int) -> None:
    """Whatever a charger answers to a call of ours has a verdict."""
    adapter = ADAPTERS[VERSIONS[version]]
    ours = [adapter.ask_capabilities(), adapter.ask_list_version(), adapter.ask_list_limits()]
    actions = [
        one.action
        for one in (*ours, *adapter.questions(evse=1), *adapter.settings(meter_interval_s=30, heartbeat_interval_s=300))
    ]
    for number in range(count):
        payload, action = noise.payload(), actions[number % len(actions)]
        found.verdicts += 1
        try:
            answer = adapter.verdict(action, payload)
            adapter.capabilities(answer)
            adapter.list_limits(answer)
            adapter.list_version(answer)
            adapter.error_verdict(CallError("x", action, payload.decode(), msgspec.Raw(payload)))
        except Exception as error:
            found.crashes += 1
            found.note(f"verdict on {action}: {type(error).__name__} {error}", payload)


def _judge_messages(version: str, found: Found, count: int, *, seed: int) -> None:
    pick, stems = random.Random(f"messages {version} {seed}"), list(schemas(version))
    for number in range(count):
        stem = stems[number % len(stems)]
        text = message(version, stem, pick, is_mutilated=number % 4 > 0)
        expected = is_valid(version, stem, text)
        found.messages += 1
        found.valid += expected
        if is_readable(struct_for(version, stem), text) is not expected:
            found.disagreements += 1
            found.note(f"the schema of {stem} says {expected}", text)


async def measured(given: Options, size: Size) -> Report:
    """Everything, and its table."""
    sizes = {"frames": size.frames, "messages": size.messages}
    columns = (
        "",
        "frames",
        "CALLs",
        "unanswered",
        "crashes",
        "µs a frame",
        "slowest ms",
        "messages",
        "valid",
        "disagreements",
    )
    report = Report("fuzz_frames", given, sizes, columns)
    with tempfile.TemporaryDirectory(prefix="lade-bench-") as name:
        async with bench_house(Path(name)) as (house, _):
            every = {version: await tried(house, version, size, seed=given.seed) for version in VERSIONS}
    for version, one in every.items():
        report.row(
            VERSIONS[version], one.frames, one.calls, one.unanswered, one.crashes, one.total_s / one.frames * 1e6, one.slowest_ms,
            one.messages, one.valid, one.disagreements,
        )  # fmt: skip
        for note in one.notes[:10]:
            print(note)
    report.figures.update(
        frames=sum(one.frames for one in every.values()),
        calls=sum(one.calls for one in every.values()),
        crashes=sum(one.crashes for one in every.values()),
        unanswered_calls=sum(one.unanswered for one in every.values()),
        answers_judged=sum(one.verdicts for one in every.values()),
        slowest_ms=max(one.slowest_ms for one in every.values()),
        messages=sum(one.messages for one in every.values()),
        disagreements=sum(one.disagreements for one in every.values()),
    )
    return report


def main() -> None:
    """The table, and with --json the figures."""
    given = options("fuzz_frames", "what no charger should send")
    configure_logs(LogFormat.AUTO, "error")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measured(given, QUICK if given.quick else FULL))
    report.show()


if __name__ == "__main__":
    main()
