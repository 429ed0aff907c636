"""Five hundred of the frames of bench.fuzz_frames, where a million are tried."""

import asyncio
from collections import Counter

import pytest

from bench.fuzz_frames import Found, Mouth
from devices.ingest import Ingestor
from devices.link import Link, Settings, Surroundings
from devices.ocpp.adapter import ADAPTERS
from domain.charging.reports import Outcome, Report
from domain.clock import SystemClock
from domain.ids import new_id
from tests.devices.ocpp.strange import Noise, call_id
from tests.fakes import NobodyAsked, RecordingBus

FRAMES = 500


class Forgetful(Ingestor):
    """Takes everything and keeps nothing."""

    def submit(self, report: Report) -> "asyncio.Future[Outcome]":
        """It is done."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outcome.set_result(Outcome())
        return outcome


@pytest.mark.parametrize(("version", "protocol"), [("v16", "ocpp1.6"), ("v201", "ocpp2.0.1")])
async def test_no_frame_brings_a_link_down(version: str, protocol: str) -> None:
    """Whatever comes, the link goes on, and every CALL among it gets one answer, under its own id."""
    found, clock = Found(), SystemClock()
    mouth = Mouth(Noise(version, seed=1), found, FRAMES)
    shared = Surroundings(
        Forgetful(bus=RecordingBus(), clock=clock, on_away=lambda: None), clock, Settings(), NobodyAsked(), Counter()
    )
    link = Link(
        mouth,
        shared,
        identity="noise",
        station_id=new_id(),
        epoch=1,
        chargers={1: new_id()},
        adapter=ADAPTERS[protocol],
    )
    await link.run()
    assert (found.frames, mouth.code, found.notes) == (FRAMES, None, [])
    assert found.calls > FRAMES // 3


@pytest.mark.parametrize(
    ("frame", "asked"),
    [
        ('[2,"a","Heartbeat",{}]', "a"),
        ('[2,"a"]', "a"),
        ('[3,"a",{}]', None),
        ('[2.0,"a","Heartbeat",{}]', None),
        ("[true]", None),
        ('[2,7,"Heartbeat",{}]', None),
        ('{"2":1}', None),
        ('[2,"a","Heartbeat",NaN]', None),
        (b"\xff", None),
        ("[" * 5_000, None),
    ],
)
def test_what_deserves_an_answer(frame: str | bytes, asked: str | None) -> None:
    """A list that begins with 2 and a text is a CALL, whatever follows."""
    assert call_id(frame) == asked
