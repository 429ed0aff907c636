from datetime import timedelta

import asyncpg
import pytest
from tortoise.exceptions import IntegrityError

from app.database import Database
from domain import sql
from domain.errors import UnavailableError
from domain.ids import new_id
from domain.models import ChargeSession, Sample
from domain.roles import SessionFlag, SessionState
from tests.factories import NOW, a_charger, a_session, a_site

READINGS = sql.Columns(
    "samples",
    {
        **dict.fromkeys(("installation_id", "charger_id", "session_id"), "uuid"),
        **dict.fromkeys(("at", "received_at"), "timestamptz"),
        "context": "text",
        "register_wh": "int8",
        "power_w": "float8",
    },
)
SESSIONS = sql.Columns("charge_sessions", {"id": "uuid", "flags": "int4", "state": "text", "energy_wh": "int8"})


async def test_rows_are_inserted_once(database: Database) -> None:
    """Rows with the same key are there once, within a call and across calls; the first of them counts."""
    here, charger_id = new_id(), new_id()
    rows = [
        (here, charger_id, None, NOW + timedelta(seconds=second), NOW, "Trigger", register, None)
        for second, register in ((0, 7), (1, None), (0, 8))
    ]
    await READINGS.insert(rows, unless="charger_id, at, context")
    await READINGS.insert([*rows, (*rows[0][:5], "Other", 9, 1.5)], unless="charger_id, at, context")
    await READINGS.insert([])
    stored = await Sample.filter(charger_id=charger_id).order_by("at", "context")
    assert [(one.context, one.register_wh, one.power_w) for one in stored] == [
        ("Other", 9, 1.5),
        ("Trigger", 7, None),
        ("Trigger", None, None),
    ]
    assert stored[2].at == NOW + timedelta(seconds=1)


async def test_rows_are_updated_by_their_key(database: Database) -> None:
    """Each row has its own values, flags and absent ones among them; other rows stay."""
    site = await a_site()
    charger_id = await a_charger(site)
    first, second, other = [await a_session(site, charger_id) for _ in range(3)]
    both = SessionFlag.OFFLINE | SessionFlag.SIGNED
    await SESSIONS.update([(first, both, SessionState.ENDED, None), (second, SessionFlag(0), SessionState.VOID, 5)])
    await SESSIONS.update([])
    stored = {one.id: (one.flags, one.state, one.energy_wh) for one in await ChargeSession.all()}
    assert stored == {
        first: (int(both), SessionState.ENDED, None),
        second: (0, SessionState.VOID, 5),
        other: (0, SessionState.ENDED, 7_200),
    }


class Work:
    """Raises what is in its way, one a try, then is done."""

    def __init__(self, *in_the_way: Exception) -> None:
        self._in_the_way = list(in_the_way)
        self.tries = 0

    async def __call__(self) -> int:
        """How often it was tried."""
        self.tries += 1
        if self._in_the_way:
            raise self._in_the_way.pop(0)
        return self.tries


async def test_work_that_meets_another_again_and_again_is_tried_until_it_is_through(database: Database) -> None:
    """Two that are ended and try again at the same moment can meet more than once."""
    met = asyncpg.DeadlockDetectedError("deadlock detected")
    assert await sql.settled(Work(met, met, met)) == 4
    assert await sql.settled(Work(IntegrityError(), met, met)) == 4
    always = Work(*[met] * 50)
    with pytest.raises(UnavailableError, match="Try again"):
        await sql.settled(always)
    assert always.tries == 5


async def test_work_that_finds_the_same_in_its_way_twice_is_refused(database: Database) -> None:
    """Once more, since what is there by then can be seen; then it is the caller's to say what is taken."""
    for before in (IntegrityError(), asyncpg.DeadlockDetectedError("deadlock detected")):
        work = Work(before, IntegrityError(), IntegrityError())
        with pytest.raises(IntegrityError):
            await sql.settled(work)
        assert work.tries == 2
    assert await sql.settled(Work(IntegrityError())) == 2
