"""Who may charge: every branch of the decision, what is kept of each attempt, and what an external system makes of it."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import pytest

from domain.authorization.requests import Answer, answer, settle
from domain.charging.reports import Outcome
from domain.charging.session_rules import Hearing
from domain.ids import new_id
from domain.models import (
    AuthorizationAttempt,
    AuthorizationRequest,
    CardBlock,
    ChargeCard,
    Charger,
    ChargeSession,
    ExternalAuthentication,
    Installation,
    Permission,
    User,
)
from domain.observations import SessionClaimed, SessionEnded, SessionStarted
from domain.roles import (
    AuthorizationDecision,
    CredentialType,
    Decider,
    ExternalMode,
    FailPolicy,
    Role,
    SessionFlag,
    SessionState,
    StopReason,
)
from tests.domain.rig import CARD, Rig, a_rig, at
from tests.factories import NOW, a_card, a_charger, a_grant, a_person, a_session

pytestmark = pytest.mark.usefixtures("database")

ACCEPTED, BLOCKED, EXPIRED, INVALID, CONCURRENT = (
    AuthorizationDecision.ACCEPTED,
    AuthorizationDecision.BLOCKED,
    AuthorizationDecision.EXPIRED,
    AuthorizationDecision.INVALID,
    AuthorizationDecision.CONCURRENT,
)
Change = Callable[[Rig], Awaitable[object]]


async def _nothing(_: Rig) -> None:
    return None


async def _in_use_elsewhere(rig: Rig) -> None:
    other = await a_charger(rig.site, "Space 2")
    session = await a_session(rig.site, other, user_id=rig.user_id, state=SessionState.ACTIVE, started_at=at(-30))
    row = await Charger.get(id=other)
    await ChargeSession.filter(id=session).update(id_token=CARD, station_id=row.station_id, authorized_at=at(-30))


async def _concurrent_allowed(rig: Rig) -> None:
    await _in_use_elsewhere(rig)
    await Installation.filter(id=rig.site.id).update(allows_concurrent=True)


async def _blocked_here(rig: Rig) -> None:
    card = await ChargeCard.get(number=CARD)
    await CardBlock.create(card_id=card.id, installation_id=rig.site.id, blocked_at=NOW)


async def _only_at_another_charger(rig: Rig) -> None:
    other = await a_charger(rig.site, "Space 2")
    await Permission.filter(user_id=rig.user_id).update(charger_id=other)


async def _only_service(rig: Rig) -> None:
    await Permission.filter(user_id=rig.user_id).update(role=Role.SERVICE)


def _permission(**values: object) -> Change:
    return lambda rig: Permission.filter(user_id=rig.user_id).update(**values)


def _charger(**values: object) -> Change:
    return lambda rig: Charger.filter(id=rig.charger_id).update(**values)


def _site(**values: object) -> Change:
    return lambda rig: Installation.filter(id=rig.site.id).update(**values)


BRANCHES: Mapping[str, tuple[Change, AuthorizationDecision, str, Decider]] = {
    "permitted": (_nothing, ACCEPTED, "Permitted here.", Decider.NATIVE),
    "charger disabled": (_charger(is_enabled=False), BLOCKED, "This charger is out of use.", Decider.NATIVE),
    "site inactive": (_site(is_active=False), BLOCKED, "This charger is out of use.", Decider.NATIVE),
    "open to all": (
        _site(authentication_required=False),
        ACCEPTED,
        "Nobody has to identify themselves here.",
        Decider.ANONYMOUS,
    ),
    "open by the charger": (
        _charger(authentication_required=False),
        ACCEPTED,
        "Nobody has to identify themselves here.",
        Decider.ANONYMOUS,
    ),
    "unknown card": (lambda _: ChargeCard.all().delete(), INVALID, "This card is not known here.", Decider.NATIVE),
    "card blocked everywhere": (
        lambda _: ChargeCard.all().update(is_blocked=True),
        BLOCKED,
        "This card or account is blocked.",
        Decider.NATIVE,
    ),
    "card blocked here": (_blocked_here, BLOCKED, "This card or account is blocked.", Decider.NATIVE),
    "account closed": (
        lambda rig: User.filter(id=rig.user_id).update(is_active=False),
        BLOCKED,
        "This card or account is blocked.",
        Decider.NATIVE,
    ),
    "no permission": (
        lambda rig: Permission.filter(user_id=rig.user_id).delete(),
        BLOCKED,
        "This person has no permission to charge here.",
        Decider.NATIVE,
    ),
    "revoked": (
        _permission(revoked_at=at(-1)),
        BLOCKED,
        "This person has no permission to charge here.",
        Decider.NATIVE,
    ),
    "begins later": (
        _permission(valid_from=at(1)),
        BLOCKED,
        "This person has no permission to charge here.",
        Decider.NATIVE,
    ),
    "begins now": (_permission(valid_from=NOW), ACCEPTED, "Permitted here.", Decider.NATIVE),
    "ends now": (_permission(valid_to=NOW), EXPIRED, "The permission to charge here has ended.", Decider.NATIVE),
    "ends later": (_permission(valid_to=at(1)), ACCEPTED, "Permitted here.", Decider.NATIVE),
    "for another charger": (
        _only_at_another_charger,
        BLOCKED,
        "This person has no permission to charge here.",
        Decider.NATIVE,
    ),
    "an installer": (_only_service, BLOCKED, "This person has no permission to charge here.", Decider.NATIVE),
    "in use elsewhere": (
        _in_use_elsewhere,
        CONCURRENT,
        "This card charges at another charger already.",
        Decider.NATIVE,
    ),
    "in use elsewhere, allowed": (_concurrent_allowed, ACCEPTED, "Permitted here.", Decider.NATIVE),
}


@pytest.mark.parametrize("name", BRANCHES)
async def test_a_card_is_decided_about(name: str) -> None:
    """Once, by one function, for Authorize and the start after it; the attempt is kept with its reason, and who it was."""
    change, decision, reason, decided_by = BRANCHES[name]
    rig = await a_rig()
    await change(rig)
    assert (await rig.present(CARD)).decision is decision
    assert (await rig.start(at(0.5))).decision is decision
    (attempt,) = await AuthorizationAttempt.all()
    assert (attempt.decision, attempt.reason, attempt.decided_by) == (decision, reason, decided_by)
    assert (attempt.charger_id, attempt.token, attempt.at) == (rig.charger_id, CARD, NOW)
    assert (attempt.user_id == rig.user_id) == (name != "unknown card")


def test_every_decision_is_met() -> None:
    """A new word in the enum needs a branch here."""
    assert {decision for _, decision, _, _ in BRANCHES.values()} == set(AuthorizationDecision)


async def test_a_card_is_at_one_socket_of_a_station_at_a_time() -> None:
    """Shown to the station it is accepted, because it may be there to stop; a start at the other socket is refused, and that refusal is
    none to the charge that goes on.
    """
    rig = await a_rig()
    await rig.second_socket()
    first = await rig.start(NOW)
    assert (await rig.present(CARD, at(1))).decision is ACCEPTED
    assert (await rig.start(at(2), evse=2)).decision is CONCURRENT
    again = await rig.start(NOW, received=at(3))
    assert (again.decision, again.transaction_id) == (ACCEPTED, first.transaction_id)
    await rig.stop(first.transaction_id, at(4), meter=1500)
    assert (await rig.start(at(5), evse=2, meter=2000)).decision is ACCEPTED


def _begun(minutes: float, *, evse: int) -> SessionStarted:
    return SessionStarted(
        charger_time=at(minutes), received_at=at(minutes), evse=evse, id_token=CARD, meter_start_wh=round(minutes)
    )


async def test_of_two_sockets_in_one_batch_the_first_has_the_card() -> None:
    """And the second one has it once the first has ended, also within a batch."""
    rig = await a_rig()
    await rig.second_socket()
    result = await rig.say(_begun(1, evse=1), _begun(2, evse=2))
    assert [one.decision for one in result.outcomes] == [ACCEPTED, CONCURRENT]
    ended = SessionEnded(
        charger_time=at(3),
        received_at=at(3),
        evse=None,
        transaction_id=result.outcomes[0].transaction_id,
        meter_stop_wh=1000,
        reason=StopReason.VEHICLE_DISCONNECTED,
    )
    result = await rig.say(ended, _begun(4, evse=2))
    assert result.outcomes[1].decision is ACCEPTED


async def test_a_charge_that_was_refused_does_not_hold_its_card() -> None:
    """Where the charger has not ended it yet, and elsewhere it is permitted."""
    rig = await a_rig()
    second = await rig.second_socket()
    await Permission.filter(user_id=rig.user_id).update(charger_id=second)
    assert (await rig.start(NOW)).decision is BLOCKED
    assert (await rig.start(at(1), evse=2)).decision is ACCEPTED


@pytest.mark.parametrize("is_denied", [False, True])
async def test_a_charge_that_is_asked_about_holds_its_card_until_it_is_denied(is_denied: bool) -> None:
    """Under ENFORCE, where it goes on meanwhile: the system is not asked about a second one."""
    rig = await a_rig()
    await rig.second_socket()
    await _externally(rig, ExternalMode.ENFORCE)
    question = (await rig.start(NOW)).question
    assert question is not None
    if is_denied:
        await answer(question.request_id, Answer(decision=BLOCKED, decided_by=Decider.CALL_OUT), now=at(0.01))
    started = await rig.start(at(2), evse=2)
    assert (started.decision, started.question is None) == ((ACCEPTED, False) if is_denied else (CONCURRENT, True))
    attempt = await AuthorizationAttempt.all().order_by("-at").first()
    assert attempt is not None
    assert (attempt.decision, attempt.decided_by) == ((None, None) if is_denied else (CONCURRENT, Decider.NATIVE))


@pytest.mark.parametrize("shown", ["04a1b2c3", "04:A1:B2:C3", "04 a1-b2.c3", "04_A1_B2_C3"])
async def test_a_card_is_the_same_however_it_is_read(shown: str) -> None:
    """Without case and separators."""
    rig = await a_rig()
    assert (await rig.present(shown)).decision is ACCEPTED


async def test_where_all_may_charge_the_person_is_still_known() -> None:
    """A card of somebody is theirs; an unknown one and none are nobody's, and accepted."""
    rig = await a_rig(authentication_required=False)
    await rig.start(NOW)
    await rig.stop((await rig.session()).transaction_id, at(1), meter=1500)
    await rig.start(at(2), card="UNKNOWN99", meter=1500)
    first, second = await rig.sessions()
    assert (first.user_id, second.user_id) == (rig.user_id, None)


async def test_after_a_minute_it_is_another_attempt() -> None:
    """And decided anew: a permission that ended meanwhile counts."""
    rig = await a_rig()
    assert (await rig.present(CARD)).decision is ACCEPTED
    await Permission.filter(user_id=rig.user_id).update(revoked_at=at(1))
    assert (await rig.present(CARD, at(2))).decision is BLOCKED
    assert [one.decision for one in await AuthorizationAttempt.all().order_by("at")] == [ACCEPTED, BLOCKED]


async def test_what_differs_is_another_attempt() -> None:
    """Another reason for the same refusal, another socket, another charge."""
    rig = await a_rig()
    second = await rig.second_socket()
    await ChargeCard.all().update(is_blocked=True)
    await rig.start(NOW)
    await ChargeCard.all().update(is_blocked=False)
    await Permission.filter(user_id=rig.user_id).delete()
    await rig.stop((await rig.session()).transaction_id, at(0.1), meter=1000)
    await rig.present(CARD, at(0.2))
    await rig.start(at(0.3), meter=1000)
    await rig.start(at(0.4), evse=2)
    attempts = await AuthorizationAttempt.all().order_by("at")
    assert [(one.charger_id, one.reason) for one in attempts] == [
        (rig.charger_id, "This card or account is blocked."),
        (rig.charger_id, "This person has no permission to charge here."),
        (second, "This person has no permission to charge here."),
    ]
    assert {one.session_id for one in attempts} == {one.id for one in await rig.sessions()}


async def test_a_card_that_was_refused_may_have_the_charge_later() -> None:
    """OCPP 2.0.1, where the transaction goes on with the cable: the card is permitted meanwhile and shown again."""
    rig = await a_rig()
    await Permission.filter(user_id=rig.user_id).update(revoked_at=at(-1))
    begun = SessionStarted(
        charger_time=NOW, received_at=NOW, evse=1, id_token=CARD, meter_start_wh=1000, transaction_id="tx-1"
    )
    assert (await rig.say(begun)).outcomes[0].decision is BLOCKED
    assert (await rig.session()).authorized_at is None
    await Permission.filter(user_id=rig.user_id).update(revoked_at=None)
    for minutes in (1, 2):
        shown = SessionClaimed(
            charger_time=at(minutes), received_at=at(minutes), evse=1, transaction_id="tx-1", id_token=CARD
        )
        assert (await rig.say(shown)).outcomes[0].decision is ACCEPTED
    assert (await rig.session()).authorized_at == at(1)


@pytest.mark.parametrize(
    ("changed", "decision"),
    [({"valid_to": at(-10)}, ACCEPTED), ({"valid_to": at(-40)}, EXPIRED), ({"valid_from": at(-10)}, BLOCKED)],
)
async def test_a_charge_that_began_off_the_net_is_by_what_was_permitted_then(
    changed: Mapping[str, datetime], decision: AuthorizationDecision
) -> None:
    """Half an hour before it is told."""
    rig = await a_rig()
    await Permission.filter(user_id=rig.user_id).update(**changed)
    rig.hearing = Hearing(at(0))
    assert (await rig.start(at(-30), received=NOW)).decision is decision


async def test_an_unknown_card_that_started_off_the_net_is_kept() -> None:
    """Energy that flowed is recorded, whoever it was."""
    rig = await a_rig()
    await rig.start(at(-30), card="UNKNOWN99", received=NOW)
    session = await rig.session()
    assert (session.user_id, session.state) == (None, SessionState.ACTIVE)


async def _externally(rig: Rig, mode: ExternalMode, policy: FailPolicy = FailPolicy.DENY) -> None:
    row = ExternalAuthentication(installation_id=rig.site.id, mode=mode, fail_policy=policy)
    await ExternalAuthentication.bulk_create([row])


async def _asked(rig: Rig, mode: ExternalMode, card: str = CARD) -> Outcome:
    await _externally(rig, mode)
    return await rig.present(card)


async def test_under_enforce_the_system_is_asked_about_every_card() -> None:
    """Also about one that we do not know; the attempt waits for its answer and is one with the question."""
    rig = await a_rig()
    outcome = await _asked(rig, ExternalMode.ENFORCE, "UNKNOWN99")
    assert outcome.question is not None
    assert not outcome.question.is_shadow
    (request,) = await AuthorizationRequest.all()
    assert await AuthorizationAttempt.filter(decision=None, request_id=request.id).count() == 1
    assert (request.token, request.native_decision) == ("UNKNOWN99", INVALID)
    assert not await AuthorizationRequest.exclude(decision=None).exists()
    again = await rig.present("UNKNOWN99", at(0.01))
    assert again.question is not None
    assert again.question.request_id == request.id
    assert await AuthorizationRequest.all().count() == 1


@pytest.mark.parametrize(
    "name", ["charger disabled", "site inactive", "open to all", "card blocked everywhere", "card blocked here"]
)
async def test_what_is_not_the_systems_to_decide(name: str) -> None:
    """What is out of use, open to all, or blocked here."""
    change, decision, _, _ = BRANCHES[name]
    rig = await a_rig()
    await change(rig)
    outcome = await _asked(rig, ExternalMode.ENFORCE)
    assert (outcome.decision, outcome.question) == (decision, None)
    assert await AuthorizationRequest.all().count() == 0


async def test_in_the_shadow_we_decide_and_the_system_is_asked_beside() -> None:
    """Once a minute for each card; the attempt is native."""
    rig = await a_rig()
    outcome = await _asked(rig, ExternalMode.SHADOW)
    assert outcome.decision is ACCEPTED
    assert outcome.question is not None
    assert outcome.question.is_shadow
    (attempt,) = await AuthorizationAttempt.all()
    assert (attempt.decision, attempt.decided_by) == (ACCEPTED, Decider.NATIVE)
    assert (await rig.start(at(0.2))).question is None
    (request,) = await AuthorizationRequest.all()
    assert (request.is_shadow, request.native_decision) == (True, ACCEPTED)


async def test_an_answer_serves_for_a_minute_at_its_charger_and_as_long_as_it_says() -> None:
    """Without being asked again; then the system is asked anew."""
    rig = await a_rig()
    await _externally(rig, ExternalMode.ENFORCE)
    for cache_until, asked_again in ((None, True), (at(30), False)):
        await AuthorizationRequest.all().delete()
        await AuthorizationRequest.create(
            id=new_id(),
            installation_id=rig.site.id,
            charger_id=rig.charger_id,
            station_id=rig.station_id,
            credential_type=CredentialType.CARD,
            token=CARD,
            requested_at=NOW,
            expires_at=NOW + timedelta(seconds=5),
            native_decision=ACCEPTED,
            decision=BLOCKED,
            decided_by=Decider.CALL_OUT,
            decided_at=NOW,
            reason="Not today.",
            cache_until=cache_until,
        )
        fresh = await rig.present(CARD, at(0.9))
        assert (fresh.decision, fresh.question) == (BLOCKED, None)
        later = await rig.present(CARD, at(5))
        assert (later.question is not None) is asked_again
        assert asked_again or later.decision is BLOCKED
    attempts = await AuthorizationAttempt.filter(decided_by=Decider.CACHE)
    assert [one.reason for one in attempts] == ["Not today."]


async def _unanswered(rig: Rig, policy: FailPolicy) -> None:
    """The system is away: the policy decides about the card, 6 s after it was shown at noon."""
    await _externally(rig, ExternalMode.ENFORCE, policy)
    question = (await rig.present(CARD)).question
    assert question is not None
    await settle(question.request_id, now=at(0.1))


async def test_what_the_policy_refused_is_asked_again() -> None:
    """At once: the system may be back."""
    rig = await a_rig()
    await _unanswered(rig, FailPolicy.DENY)
    question = (await rig.present(CARD, at(0.2))).question
    assert question is not None
    assert await AuthorizationRequest.all().count() == 2
    await answer(question.request_id, Answer(decision=ACCEPTED, decided_by=Decider.CALL_OUT), now=at(0.21))
    started = await rig.start(at(0.3))
    assert (started.decision, started.question) == (ACCEPTED, None)
    assert (await rig.session()).flag_set == SessionFlag(0)


async def test_what_the_policy_permitted_is_for_one_charge() -> None:
    """The start that follows within the minute, which is marked so; then the system is asked anew."""
    rig = await a_rig()
    await _unanswered(rig, FailPolicy.ALLOW_ALL)
    assert (await rig.present(CARD, at(0.2))).question is None
    started = await rig.start(at(0.3))
    assert (started.decision, started.question) == (ACCEPTED, None)
    session = await rig.session()
    assert SessionFlag.AUTHORIZATION_DEGRADED in session.flag_set
    again = await rig.start(at(0.3), received=at(0.4))
    assert (again.decision, again.question) == (ACCEPTED, None)
    await rig.stop(session.transaction_id, at(0.5), meter=1100)
    assert (await rig.present(CARD, at(0.6))).question is not None


async def test_what_the_policy_permitted_is_for_one_charge_of_a_batch() -> None:
    """The second start of it is asked about, and goes on meanwhile."""
    rig = await a_rig()
    await rig.second_socket()
    await Installation.filter(id=rig.site.id).update(allows_concurrent=True)
    await _unanswered(rig, FailPolicy.ALLOW_ALL)
    first, second = (await rig.say(_begun(0.3, evse=1), _begun(0.4, evse=2))).outcomes
    assert (first.decision, first.question) == (ACCEPTED, None)
    assert second.decision is ACCEPTED
    assert second.question is not None


@pytest.mark.parametrize(("policy", "decision"), [(FailPolicy.DENY, INVALID), (FailPolicy.ALLOW_ALL, ACCEPTED)])
async def test_a_start_that_is_told_again_has_the_same_decision(
    policy: FailPolicy, decision: AuthorizationDecision
) -> None:
    """Also long after the answer: a charge that was denied is not accepted by being told again."""
    rig = await a_rig()
    await _externally(rig, ExternalMode.ENFORCE, policy)
    question = (await rig.start(NOW)).question
    assert question is not None
    await settle(question.request_id, now=at(0.1))
    for minutes in (0.5, 30):
        assert (await rig.start(NOW, received=at(minutes))).decision is decision
    assert await AuthorizationRequest.all().count() == 1


async def test_another_installations_answer_says_nothing_here() -> None:
    """Nor does one in the shadow."""
    rig = await a_rig()
    await _externally(rig, ExternalMode.ENFORCE)
    for site_id, is_shadow in ((new_id(), False), (rig.site.id, True)):
        await AuthorizationRequest.create(
            id=new_id(),
            installation_id=site_id,
            charger_id=rig.charger_id,
            station_id=rig.station_id,
            credential_type=CredentialType.CARD,
            token=CARD,
            requested_at=NOW,
            expires_at=NOW,
            is_shadow=is_shadow,
            native_decision=ACCEPTED,
            decision=ACCEPTED,
            decided_by=Decider.CALL_OUT,
            decided_at=NOW,
            cache_until=at(60),
        )
    assert (await rig.present(CARD, at(0.2))).question is not None


async def test_a_person_with_several_permissions_holds_the_best() -> None:
    """An ended one beside one in force."""
    rig = await a_rig()
    await a_grant(Role.OWNER, rig.site, user_id=rig.user_id, charger_id=rig.charger_id, valid_to=at(-1))
    assert (await rig.present(CARD)).decision is ACCEPTED
    other = await a_person()
    await a_card(other, number="04FFFF01")
    await a_grant(Role.USER, rig.site, user_id=other, valid_to=at(-1))
    await a_grant(Role.USER, rig.site, user_id=other, valid_from=at(60))
    assert (await rig.present("04FFFF01")).decision is EXPIRED
