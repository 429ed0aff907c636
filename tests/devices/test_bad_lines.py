"""Lines on which messages come several times, in any order and without an answer, and clocks that are wrong: the short form of
`bench.faults`.
"""

from app.database import Database
from app.redis_bus import RedisBus
from bench.clocks import judged, some_chaos
from bench.faults import CARDS, a_garage, different, stored, tell
from bench.scripts import scripts
from bench.telling import BAD, GOOD


async def test_repeated_reordered_and_unanswered_messages_leave_what_clean_ones_do(
    database: Database, bus: RedisBus
) -> None:
    """Sessions, intervals and readings are the same to the Wh and the second, in both versions of OCPP."""
    day = scripts(12, visits=2, cards=CARDS, seed=4)
    garage = await a_garage()
    well = await tell(bus, garage, day, GOOD, seed=4, prefix="well-")
    badly = await tell(bus, garage, day, BAD, seed=4, prefix="badly-")
    assert badly.duplicates > well.messages / 2
    assert badly.reordered > 0
    assert badly.lost_answers > 0
    assert well.errors + badly.errors == []
    good = await stored("well-")
    assert len(good["sessions"]) == 24
    assert different(good, await stored("badly-")) == []


async def test_a_day_that_was_told_otherwise_is_found_out(database: Database, bus: RedisBus) -> None:
    """One Wh in one final record is a difference in one session and in its intervals."""
    day = scripts(1, visits=1, cards=CARDS, seed=4)
    garage = await a_garage()
    await tell(bus, garage, day, GOOD, seed=4, prefix="one-")
    stop = next(one for delivery in day[0].deliveries for one in delivery.said if one.action == "StopTransaction")
    stop.payload["meterStop"] += 1
    await tell(bus, garage, day, GOOD, seed=4, prefix="other-")
    lines = different(await stored("one-"), await stored("other-"))
    assert {line.partition(",")[0] for line in lines} == {"sessions", "intervals"}


async def test_every_session_says_whether_its_dates_are_right(database: Database, bus: RedisBus) -> None:
    """Offline where something was kept for later, unreliable where the clock was wrong, and neither where neither was so."""
    lives = some_chaos(CARDS[0])
    found = await judged(bus, await a_garage(), lives)
    assert found.sessions > 50
    assert found.flags + found.dates + found.errors == []
