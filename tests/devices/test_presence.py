"""When a connection that nothing is heard on is given up."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from devices.ingest import Ingestor
from devices.link import Link, Settings, Surroundings
from devices.ocpp.adapter import ADAPTERS
from domain.equipment.capabilities import Capabilities
from domain.ids import new_id
from tests.factories import NOW
from tests.fakes import HandClock, NobodyAsked, RecordingBus


class Held:
    """A socket that nothing comes from but pongs."""

    def __init__(self) -> None:
        self.pinged_every_s: float | None = None
        self.pong: Callable[[], None] = lambda: None

    async def receive_frame(self) -> str | None:
        return None

    def send_now(self, text: str) -> bool:
        """Nothing goes at once."""
        return False

    async def send_frame(self, text: str) -> None:
        raise AssertionError(text)

    def keep_alive(self, ping_every_s: float | None, on_pong: Callable[[], None]) -> None:
        self.pinged_every_s, self.pong = ping_every_s, on_pong

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError(reason)


def a_link(clock: HandClock, socket: Held) -> Link:
    """A link on that socket."""
    shared = Surroundings(
        Ingestor(bus=RecordingBus(), clock=clock, on_away=lambda: None), clock, Settings(), NobodyAsked(), Counter()
    )
    return Link(
        socket,
        shared,
        identity="CP-1",
        station_id=new_id(),
        epoch=1,
        chargers={1: new_id()},
        adapter=ADAPTERS["ocpp1.6"],
    )


@pytest.mark.parametrize(
    ("ping_every_s", "has_answered", "patience_s"),
    [(30, False, 900), (30, True, 90), (10, True, 30), (0, True, 900)],
)
def test_silence_means_what_the_charger_has_taught(ping_every_s: int, has_answered: bool, patience_s: int) -> None:
    """Three pings decide about one that has answered a ping; of others only a long silence says that they are gone."""
    clock, socket = HandClock(NOW), Held()
    link = a_link(clock, socket)
    link.treat_as(Capabilities(ping_every_s=ping_every_s))
    assert socket.pinged_every_s == (ping_every_s or None)
    if has_answered:
        clock.advance(timedelta(seconds=5))
        socket.pong()
    heard_at = clock.now()
    assert link.heard_at == heard_at
    assert not link.is_lost(now=heard_at + timedelta(seconds=patience_s))
    assert link.is_lost(now=heard_at + timedelta(seconds=patience_s, microseconds=1))
