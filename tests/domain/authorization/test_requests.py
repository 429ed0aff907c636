"""Questions to external systems: the first answer holds, none in time is the fail policy, and charges that began meanwhile follow it."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from domain.authorization.requests import Answer, answer, decision_of, denied_charges, forget, overdue, settle
from domain.events import LocalListOutdated, SessionChanged
from domain.models import (
    AuthorizationAttempt,
    AuthorizationRequest,
    ExternalAuthentication,
    ExternalUser,
    Installation,
    Permission,
)
from domain.roles import AuthorizationDecision, Decider, ExternalMode, FailPolicy, Scope, SessionFlag, StopReason
from gql.ids import global_id
from tests.domain.rig import CARD, Rig, a_rig, at
from tests.factories import LONG_AGO, NOW, a_person, a_program, a_question, a_site, a_town
from tests.gql.asking import Api

pytestmark = pytest.mark.usefixtures("database")

ACCEPTED, BLOCKED, INVALID = (
    AuthorizationDecision.ACCEPTED,
    AuthorizationDecision.BLOCKED,
    AuthorizationDecision.INVALID,
)
YES = Answer(decision=ACCEPTED, decided_by=Decider.CALL_OUT, reason="A guest.", external_session_id="stay-1")
NO = Answer(decision=BLOCKED, decided_by=Decider.SUBSCRIBER, reason="Not a guest.")
SOON = NOW + timedelta(seconds=2)
TOO_LATE = NOW + timedelta(seconds=30)


async def _question(rig: Rig, *, policy: FailPolicy = FailPolicy.DENY, card: str = CARD) -> UUID:
    row = ExternalAuthentication(installation_id=rig.site.id, mode=ExternalMode.ENFORCE, fail_policy=policy)
    await ExternalAuthentication.bulk_create([row])
    outcome = await rig.present(card)
    assert outcome.question is not None
    return outcome.question.request_id


async def test_the_first_answer_holds() -> None:
    """A second one, the same or another, finds it there; the attempt has the decision, its reason and the system's own id."""
    request_id = await _question(await a_rig())
    found = await answer(request_id, YES, now=SOON)
    assert found is not None
    assert (found.decision, found.reason, found.decided_by) == (ACCEPTED, "A guest.", Decider.CALL_OUT)
    assert await answer(request_id, NO, now=SOON) is None
    assert (await settle(request_id, now=TOO_LATE)).decision is ACCEPTED
    (attempt,) = await AuthorizationAttempt.all()
    assert (attempt.decision, attempt.reason, attempt.external_session_id) == (ACCEPTED, "A guest.", "stay-1")


async def test_an_answer_that_is_kept_is_in_the_chargers_lists() -> None:
    """They hear of it at once; of one for this time only they do not."""
    rig = await a_rig()
    request_id = await _question(rig)
    kept = Answer(decision=ACCEPTED, decided_by=Decider.CALL_OUT, cache_for_s=600)
    found = await answer(request_id, kept, now=SOON)
    assert found is not None
    assert LocalListOutdated(installation_id=rig.site.id) in found.events
    await AuthorizationRequest.all().delete()
    outcome = await rig.present(CARD, at(2))
    assert outcome.question is not None
    once = await answer(outcome.question.request_id, YES, now=at(2.01))
    assert once is not None
    assert not [one for one in once.events if isinstance(one, LocalListOutdated)]


async def test_two_answers_at_once_are_one() -> None:
    """Whichever it is."""
    request_id = await _question(await a_rig())
    found = await asyncio.gather(answer(request_id, YES, now=SOON), answer(request_id, NO, now=SOON))
    (settled,) = [one for one in found if one is not None]
    assert (await AuthorizationRequest.get(id=request_id)).decision is settled.decision


async def test_an_answer_that_comes_too_late_is_none() -> None:
    """The fail policy has decided by then, or will."""
    request_id = await _question(await a_rig())
    assert await answer(request_id, YES, now=TOO_LATE) is None
    assert await overdue(now=TOO_LATE) == [request_id]
    assert (await settle(request_id, now=TOO_LATE)).decision is INVALID
    assert await overdue(now=TOO_LATE) == []


@pytest.mark.parametrize(
    ("policy", "is_pushed", "decision"),
    [
        (FailPolicy.DENY, True, INVALID),
        (FailPolicy.ALLOW_KNOWN, True, ACCEPTED),
        (FailPolicy.ALLOW_KNOWN, False, INVALID),
        (FailPolicy.ALLOW_ALL, False, ACCEPTED),
    ],
)
async def test_without_an_answer_the_policy_decides(
    policy: FailPolicy, is_pushed: bool, decision: AuthorizationDecision
) -> None:
    """ALLOW_KNOWN: whom a program permitted. What a person permitted is not the system's word."""
    rig = await a_rig()
    program = await a_program(rig.site)
    if is_pushed:
        await Permission.filter(user_id=rig.user_id).update(granted_by_id=program.id)
    settled = await settle(await _question(rig, policy=policy), now=TOO_LATE)
    assert (settled.decision, settled.decided_by) == (decision, Decider.FAIL_POLICY)


@pytest.mark.parametrize(("is_ended", "is_shadow"), [(False, False), (True, False), (False, True)])
async def test_who_is_known_by_an_answer_that_is_kept(is_ended: bool, is_shadow: bool) -> None:
    """While its time is not over; what was said in the shadow does not count."""
    rig = await a_rig()
    request_id = await _question(rig, policy=FailPolicy.ALLOW_KNOWN, card="UNKNOWN99")
    await AuthorizationRequest.create(
        installation_id=rig.site.id,
        charger_id=rig.charger_id,
        credential_type="UNKNOWN",
        token="UNKNOWN99",
        is_shadow=is_shadow,
        requested_at=at(-60),
        expires_at=at(-59),
        native_decision=INVALID,
        decision=ACCEPTED,
        decided_by=Decider.CALL_OUT,
        decided_at=at(-60),
        cache_until=at(-1) if is_ended else at(60),
    )
    assert (await settle(request_id, now=TOO_LATE)).decision is (INVALID if is_ended or is_shadow else ACCEPTED)


async def test_a_charge_that_began_meanwhile_follows_the_answer() -> None:
    """Accepted: it is authorised, and the person's whom the system names. By the policy: marked so."""
    rig = await a_rig()
    program, guest = await a_program(rig.site), await a_person("Guest")
    await ExternalUser.create(account_id=program.id, external_id="guest-1", user_id=guest, created_at=LONG_AGO)
    request_id = await _question(rig, card="UNKNOWN99")
    await rig.start(at(0.01), card="UNKNOWN99")
    said = Answer(
        decision=ACCEPTED, decided_by=Decider.CALL_OUT, external_user_id="guest-1", external_session_id="stay-1"
    )
    settled = await answer(request_id, said, now=SOON)
    assert settled is not None
    session = await rig.session()
    assert (session.user_id, session.user_name, session.external_id) == (guest, "Guest", "stay-1")
    assert session.authorized_at == SOON
    assert SessionFlag.AUTHORIZATION_DEGRADED not in session.flag_set
    assert await denied_charges() == []


async def test_a_charge_that_is_denied_is_to_be_stopped() -> None:
    """Until its charger says that it has ended."""
    rig = await a_rig()
    request_id = await _question(rig)
    await rig.start(at(0.01))
    await answer(request_id, NO, now=SOON)
    session = await rig.session()
    assert session.stop_reason is StopReason.DEAUTHORIZED
    (denied,) = await denied_charges(request_id=request_id)
    assert (denied.charger_id, denied.transaction_id) == (rig.charger_id, session.transaction_id)
    await rig.stop(session.transaction_id, at(1), meter=1000)
    assert await denied_charges() == []


async def test_every_charge_that_began_while_the_question_was_open_follows_it() -> None:
    """One attempt for each: also the second one after the first was stopped, and one at the other socket."""
    rig = await a_rig()
    await rig.second_socket()
    await Installation.filter(id=rig.site.id).update(allows_concurrent=True)
    request_id = await _question(rig)
    first = await rig.start(at(0.01))
    await rig.stop(first.transaction_id, at(0.02), meter=1000)
    second = await rig.start(at(0.03))
    beside = await rig.start(at(0.04), evse=2)
    for outcome in (first, second, beside):
        assert outcome.question is not None
        assert outcome.question.request_id == request_id
    settled = await answer(request_id, NO, now=at(0.05))
    assert settled is not None
    told = {one.charger_id for one in settled.events if isinstance(one, SessionChanged)}
    denied = await denied_charges(request_id=request_id)
    assert {one.transaction_id for one in denied} == {second.transaction_id, beside.transaction_id}
    assert {one.charger_id for one in denied} == told
    attempts = await AuthorizationAttempt.filter(request_id=request_id).exclude(session_id=None)
    assert {one.session_id for one in attempts} == {one.id for one in await rig.sessions()}
    assert {one.decision for one in attempts} == {BLOCKED}


async def test_a_charge_by_the_policy_is_marked() -> None:
    """AUTHORIZATION_DEGRADED."""
    rig = await a_rig()
    request_id = await _question(rig, policy=FailPolicy.ALLOW_ALL)
    await rig.start(at(0.01))
    await settle(request_id, now=TOO_LATE)
    assert SessionFlag.AUTHORIZATION_DEGRADED in (await rig.session()).flag_set


async def test_an_answer_in_the_shadow_changes_nothing() -> None:
    """It is kept to be compared."""
    rig = await a_rig()
    row = ExternalAuthentication(installation_id=rig.site.id, mode=ExternalMode.SHADOW)
    await ExternalAuthentication.bulk_create([row])
    outcome = await rig.present(CARD)
    assert outcome.question is not None
    await rig.start(at(0.01))
    await answer(outcome.question.request_id, NO, now=SOON)
    assert (await rig.session()).stop_reason is None
    (attempt,) = await AuthorizationAttempt.all()
    assert (attempt.decision, attempt.decided_by) == (ACCEPTED, Decider.NATIVE)
    assert await denied_charges() == []


async def test_questions_are_forgotten_once_their_answers_serve_no_more() -> None:
    """Old ones."""
    rig = await a_rig()
    request_id = await _question(rig)
    await answer(request_id, Answer(decision=ACCEPTED, decided_by=Decider.CALL_OUT, cache_for_s=3600), now=SOON)
    assert await forget(before=at(10), now=at(30)) == 0
    assert await forget(before=at(10), now=at(90)) == 1


ANSWERED = "... on AuthorizationRequestSuccess { request { decision decidedBy } }"


async def test_programs_answer_what_they_are_asked() -> None:
    """Those with the scope, at their installations; a second answer is a conflict that tells what holds; an unknown one looks absent."""
    town = await a_town()
    question_id = global_id("AuthorizationRequest", await a_question(town.site, town.charger_id))
    system = await a_program(town.site, scopes=[Scope.AUTHORIZE_CHARGING])
    weak = await a_program(town.site, scopes=[Scope.MANAGE_CARDS, Scope.READ_SESSIONS])
    foreign = await a_program(await a_site("Elsewhere"), scopes=[Scope.AUTHORIZE_CHARGING])
    api = Api()
    given = {"requestId": question_id, "decision": "ACCEPTED"}
    for other in (weak, foreign):
        refused = await api.mutate(await other.access(), "answerAuthorizationRequest", given, ANSWERED)
        assert refused["code"] == "NOT_FOUND"
    assert (await decision_of((await AuthorizationRequest.all())[0].id)) is None
    done = await api.mutate(await system.access(), "answerAuthorizationRequest", given, ANSWERED)
    assert done["request"] == {"decision": "ACCEPTED", "decidedBy": "SUBSCRIBER"}
    repeated = await api.mutate(await system.access(), "answerAuthorizationRequest", given, ANSWERED)
    assert repeated["request"] == done["request"]
    again = await api.mutate(
        await system.access(), "answerAuthorizationRequest", {**given, "decision": "BLOCKED"}, ANSWERED
    )
    assert again["__typename"] == "ConflictError"
    assert (await AuthorizationRequest.all())[0].decision is ACCEPTED
