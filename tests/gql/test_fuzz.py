"""Whatever is asked, by whom: an answer or an error that tells the client what to mend; never a defect, never what is not theirs.

`LADE_FUZZ=20000` asks as many operations, `LADE_FUZZ_SEED` other ones.
"""

import gc
import json
import os
from random import Random
from typing import Any

import pytest

from domain.ids import new_id
from domain.models import ChargerStatus, EnergyInterval, Export
from domain.roles import ExportFormat, IntervalQuality, ReportKind, Role, SessionState
from gql.ids import global_id
from gql.schema.public import public_schema
from tests.factories import NOW, Town, a_card, a_grant, a_person, a_session, a_town
from tests.gql.asking import Api, no_clearing_away
from tests.gql.matrix import EVERYONE
from tests.gql.operations import Operations

pytestmark = pytest.mark.usefixtures("database")

COUNT = int(os.environ.get("LADE_FUZZ", "300"))
SEED = int(os.environ.get("LADE_FUZZ_SEED", "1"))
_MUTATIONS = 0.35
_A_TOWN_LASTS = 120
"""Operations; mutations wear it down."""

SECRETS = ("Elsewhere", "Hidden", "Secret", "987.654", "987654", "S3CRET")
"""What is in the other site only: the administrator may see some of it, nobody else any."""


async def _a_busy_town() -> tuple[Town, dict[str, list[str]]]:
    """A town with charges, cards and files, and as much in the other site; all global ids by type."""
    town = await a_town()
    number, driver, secret = new_id().hex[-8:].upper(), town.people["USER of charger"], await a_person("Secret person")
    cards = [
        await a_card(driver, number=f"A{number}"),
        await a_card(secret, number=f"S3CRET{number}", name="Secret card"),
    ]
    grants = [await a_grant(Role.USER, town.other_site, user_id=secret)]
    sessions = []
    for person, site, charger, card, energy, name in (
        (driver, town.site, town.charger_id, cards[0], 7_200, "USER of charger"),
        (town.people["USER of installation"], town.site, town.neighbour_id, None, 1_000, "USER of installation"),
        (secret, town.other_site, town.other_charger_id, cards[1], 987_654, "Secret person"),
    ):
        for state in (SessionState.ENDED, SessionState.ACTIVE):
            session = await a_session(
                site, charger, user_id=person, user_name=name, card_id=card, energy_wh=energy, state=state
            )
            sessions.append(session)
        await ChargerStatus.filter(charger_id=charger).update(
            session_id=session,
            session_user_id=person,
            session_energy_wh=energy,
            power_w=7_000.0,
            mode="CHARGING",
            is_online=True,
        )
    await EnergyInterval.create(
        session_id=sessions[0],
        installation_id=town.site.id,
        start_at=NOW,
        end_at=NOW,
        energy_wh=7_200,
        quality=IntervalQuality.MEASURED,
    )
    exports = [
        (
            await Export.create(
                user_id=one, kind=ReportKind.SUMMARY, format=ExportFormat.XLSX, parameters="{}", created_at=NOW
            )
        ).id
        for one in (driver, secret)
    ]
    found = {
        "Installation": [town.site.id, town.other_site.id],
        "Circuit": [town.site.root_id, town.other_site.root_id],
        "Charger": [town.charger_id, town.neighbour_id, town.other_charger_id],
        "User": [*town.people.values(), secret],
        "Permission": grants,
        "ChargeCard": cards,
        "ChargeSession": sessions,
        "Export": exports,
        "Command": [new_id()],
    }
    return town, {kind: [global_id(kind, one) for one in ids] for kind, ids in found.items()}


def _cursors(content: Any) -> list[str]:
    if isinstance(content, dict):
        own = [one for name, one in content.items() if name in ("cursor", "endCursor", "startCursor") and one]
        return own + [one for inner in content.values() for one in _cursors(inner)]
    return [one for inner in content for one in _cursors(inner)] if isinstance(content, list) else []


# graphql-core cancels fields beside one that failed, some before they began: what they were to wait for is then not waited for.
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_nothing_that_is_asked_finds_a_defect_or_a_secret() -> None:
    """Operations at random, with values that no honest client sends, for every role, on both databases."""
    random, api = Random(SEED), Api(is_creation_open=True)
    cursors: list[str] = []
    defects: list[str] = []
    leaks: list[str] = []
    with no_clearing_away():
        for number in range(COUNT):
            if number % _A_TOWN_LASTS == 0:
                gc.collect()
                town, ids = await _a_busy_town()
                operations = Operations(public_schema().core, random, ids, cursors)
                is_opened = False
            person = random.choice(EVERYONE)
            document = operations.mutation() if random.random() < _MUTATIONS else operations.query()
            answer = await api.ask(await town.access(person), document)
            cursors[:] = [*_cursors(answer["data"]), *cursors][:200]
            if "INTERNAL" in {error["extensions"]["code"] for error in answer.get("errors", ())}:
                defects.append(f"{person}: {document}")
            # An administrator may let somebody in.
            is_opened |= person == "ADMINISTRATOR" and "grantPermission" in document
            if person != "ADMINISTRATOR" and not is_opened and _secrets(document, json.dumps(answer)):
                leaks.append(f"{person}: {document} -> {answer}")
    assert (defects, leaks) == ([], [])


def _secrets(document: str, told: str) -> list[str]:
    """What is told and was not in the question."""
    return [secret for secret in SECRETS if secret in told and secret not in document]
