"""A charger that was opened for somebody takes the next charge in that time, once."""

import asyncio
from datetime import datetime

import pytest

from domain.charging.session_rules import Hearing
from domain.commands import authorize_charging
from domain.events import CommandChanged
from domain.identity.people import PersonKey
from domain.lifecycle import expire_commands
from domain.models import (
    AuthorizationAttempt,
    ChargerStatus,
    ChargeSession,
    Command,
    ExternalAuthentication,
    Permission,
)
from domain.observations import SessionClaimed, SessionEnded, SessionStarted
from domain.roles import AuthorizationDecision, CommandState, Decider, ExternalMode, Role, StopReason
from tests.domain.rig import Rig, a_rig, at
from tests.factories import a_grant, a_person, access
from tests.fakes import NothingSent, RecordingBus

pytestmark = pytest.mark.usefixtures("database")

ACCEPTED, INVALID = AuthorizationDecision.ACCEPTED, AuthorizationDecision.INVALID
USED, ENDED = "This opening has been used.", "This opening has ended."


async def _opened(rig: Rig, *, valid_for_s: int = 300) -> Command:
    """At noon, for a guest who holds nothing there."""
    await ChargerStatus.filter(charger_id=rig.charger_id).update(is_online=True)
    owner, guest = await a_person("Owner"), await a_person("Guest")
    await a_grant(Role.OWNER, rig.site, user_id=owner)
    await a_grant(Role.USER, rig.site, user_id=guest)  # So that the owner knows them.
    command_id = await authorize_charging(
        await access(owner),
        rig.charger_id,
        person=PersonKey(user_id=guest),
        external_session_id="stay-1",
        valid_for_s=valid_for_s,
        bus=RecordingBus(),
        dispatch=NothingSent(),
    )
    await Permission.filter(user_id=guest).delete()
    return await Command.get(id=command_id)


async def _attempts() -> list[tuple[AuthorizationDecision | None, Decider | None, str | None]]:
    return [(one.decision, one.decided_by, one.reason) for one in await AuthorizationAttempt.all().order_by("at", "id")]


def _begun(own_id: str, when: datetime, token: str | None = None, *, evse: int = 1) -> SessionStarted:
    """TransactionEvent Started of OCPP 2.0.1."""
    return SessionStarted(
        charger_time=when, received_at=when, evse=evse, id_token=token, meter_start_wh=1000, transaction_id=own_id
    )


def _claimed(own_id: str, token: str, when: datetime) -> SessionClaimed:
    return SessionClaimed(charger_time=when, received_at=when, evse=1, transaction_id=own_id, id_token=token)


async def _begins(rig: Rig, token: str, when: datetime, *, is_own_id: bool, meter: int = 1000) -> AuthorizationDecision:
    """A start as OCPP 1.6 tells it, or with the cable first and the token later (2.0.1)."""
    if not is_own_id:
        return (await rig.start(when, card=token, meter=meter)).decision
    own_id = f"tx-{when:%H%M%S}"
    await rig.say(_begun(own_id, when))
    return (await rig.say(_claimed(own_id, token, when))).outcomes[0].decision


async def _ends(rig: Rig, session: ChargeSession, when: datetime, *, is_own_id: bool) -> None:
    await rig.say(
        SessionEnded(
            charger_time=when,
            received_at=when,
            evse=1 if is_own_id else None,
            transaction_id=session.transaction_id,
            meter_stop_wh=2000,
            reason=StopReason.VEHICLE_DISCONNECTED,
            is_own_id=is_own_id,
        )
    )


@pytest.mark.parametrize("is_own_id", [False, True])
async def test_an_opening_begins_one_charge(is_own_id: bool) -> None:
    """The first has the person and the program's id; a second one in the same time is refused, and is not the program's."""
    rig = await a_rig()
    opening = await _opened(rig)
    token = opening.id_token or ""
    assert (await rig.present(token, at(0.5))).decision is ACCEPTED
    assert await _begins(rig, token, at(1), is_own_id=is_own_id) is ACCEPTED
    first = await rig.session()
    await opening.refresh_from_db()
    assert (opening.state, opening.session_id, opening.finished_at) == (CommandState.CONFIRMED, first.id, at(1))
    assert CommandChanged(opening.id, rig.charger_id, CommandState.CONFIRMED) in rig.events
    await _ends(rig, first, at(2), is_own_id=is_own_id)
    assert (await rig.present(token, at(2.5))).decision is INVALID
    assert await _begins(rig, token, at(3), is_own_id=is_own_id, meter=2000) is INVALID
    first, second = await rig.sessions()
    assert (first.user_name, first.external_id, first.authorized_at) == ("Guest", "stay-1", at(1))
    assert (second.external_id, second.authorized_at) == (None, None)
    await opening.refresh_from_db()
    assert (opening.session_id, opening.finished_at) == (first.id, at(1))
    assert await _attempts() == [
        (ACCEPTED, Decider.PRE_AUTHORIZED, "Opened for this person."),
        (INVALID, Decider.PRE_AUTHORIZED, USED),
    ]


@pytest.mark.parametrize("is_own_id", [False, True])
async def test_the_same_start_told_again_is_the_same_charge(is_own_id: bool) -> None:
    """Also after the time of the opening, and however often the token is shown for it."""
    rig = await a_rig()
    token = (await _opened(rig)).id_token or ""
    told = _begun("tx-1", at(1), token) if is_own_id else None
    for minutes in (1.0, 1.5, 30.0):
        if told is not None:
            outcome = (await rig.say(told, now=at(minutes))).outcomes[0]
        else:
            outcome = await rig.start(at(1), card=token, received=at(minutes))
        assert outcome.decision is ACCEPTED
    assert (await rig.present(token, at(31))).decision is ACCEPTED
    if is_own_id:
        assert (await rig.say(_claimed("tx-1", token, at(31)))).outcomes[0].decision is ACCEPTED
    assert (await rig.session()).external_id == "stay-1"


async def test_of_two_starts_in_one_batch_one_has_the_opening() -> None:
    """Whichever transaction says it first."""
    rig = await a_rig()
    token = (await _opened(rig)).id_token or ""
    result = await rig.say(_begun("tx-1", at(1), token), _begun("tx-2", at(1.1), token))
    assert [one.decision for one in result.outcomes] == [ACCEPTED, INVALID]
    assert [one.external_id for one in await rig.sessions()] == ["stay-1", None]


async def test_of_two_starts_at_once_one_has_the_opening() -> None:
    """In two transactions, whichever is first."""
    rig = await a_rig()
    opening = await _opened(rig)
    token = opening.id_token or ""
    results = await asyncio.gather(*(rig.say(_begun(f"tx-{number}", at(1), token)) for number in range(4)))
    said = sorted(one.outcomes[0].decision for one in results)
    assert said == [ACCEPTED, INVALID, INVALID, INVALID]
    await opening.refresh_from_db()
    assert [one.id for one in await rig.sessions() if one.external_id == "stay-1"] == [opening.session_id]


async def test_an_opening_is_for_its_socket() -> None:
    """A start at the other one of the station is refused, and spends nothing."""
    rig = await a_rig()
    await rig.second_socket()
    token = (await _opened(rig)).id_token or ""
    assert (await rig.start(at(1), card=token, evse=2)).decision is INVALID
    assert (await rig.start(at(2), card=token)).decision is ACCEPTED


@pytest.mark.parametrize("is_swept", [False, True])
async def test_an_opening_ends_at_its_time(is_swept: bool) -> None:
    """Whether or not anybody has noted that it is over."""
    rig = await a_rig()
    token = (await _opened(rig)).id_token or ""
    if is_swept:
        await expire_commands(now=at(5))
    assert (await rig.present(token, at(5))).decision is INVALID
    assert (await rig.start(at(5), card=token)).decision is INVALID
    assert await _attempts() == [(INVALID, Decider.PRE_AUTHORIZED, ENDED)]


async def test_a_charge_that_began_off_the_net_is_judged_by_its_own_time() -> None:
    """One in time has the opening though it is told of later; one after it has not."""
    rig = await a_rig()
    opening = await _opened(rig)
    token = opening.id_token or ""
    await expire_commands(now=at(5))
    rig.hearing = Hearing(at(20))
    assert (await rig.start(at(6), card=token, received=at(20))).decision is INVALID
    assert (await rig.start(at(4), card=token, received=at(20))).decision is ACCEPTED
    early, late = await rig.sessions()
    assert (early.external_id, late.external_id) == ("stay-1", None)
    await opening.refresh_from_db()
    assert (opening.state, opening.session_id, opening.detail) == (CommandState.CONFIRMED, early.id, None)


async def test_an_opening_that_was_withdrawn_serves_nobody() -> None:
    """Replaced by another one at that charger, which does."""
    rig = await a_rig()
    first = (await _opened(rig)).id_token or ""
    second = (await _opened(rig)).id_token or ""
    assert (await rig.start(at(1), card=first)).decision is INVALID
    assert (await rig.start(at(2), card=second)).decision is ACCEPTED
    assert await _attempts() == [
        (INVALID, Decider.PRE_AUTHORIZED, ENDED),
        (ACCEPTED, Decider.PRE_AUTHORIZED, "Opened for this person."),
    ]


async def test_where_all_may_charge_an_ended_opening_is_like_none() -> None:
    """Accepted, but not as what the program opened for."""
    rig = await a_rig(authentication_required=False)
    token = (await _opened(rig)).id_token or ""
    assert (await rig.start(at(6), card=token)).decision is ACCEPTED
    assert (await rig.session()).external_id is None
    assert await _attempts() == [(ACCEPTED, Decider.ANONYMOUS, "Nobody has to identify themselves here.")]


async def test_nobody_is_asked_about_an_opening() -> None:
    """Neither while it serves nor afterwards, where the site's system decides."""
    rig = await a_rig()
    await ExternalAuthentication.bulk_create(
        [ExternalAuthentication(installation_id=rig.site.id, mode=ExternalMode.ENFORCE)]
    )
    token = (await _opened(rig)).id_token or ""
    for minutes, decision in ((1.0, ACCEPTED), (6.0, INVALID)):
        outcome = await rig.present(token, at(minutes))
        assert (outcome.decision, outcome.question) == (decision, None)
