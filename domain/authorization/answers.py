"""Answers of programs to questions about attempts to charge."""

from uuid import UUID

from domain.access import AUTHORIZERS, Access
from domain.authorization import requests
from domain.authorization.decision import EXTERNAL_ID_LENGTH, LONGEST_CACHE, REASON_LENGTH
from domain.authorization.requests import Answer
from domain.checks import Problems
from domain.errors import ConflictError, ErrorCode, NotFoundError
from domain.models import AuthorizationRequest
from domain.ports import EventBus
from domain.roles import AuthorizationDecision, Decider


async def answer_request(
    access: Access,
    request_id: UUID,
    *,
    decision: AuthorizationDecision,
    reason: str | None = None,
    external_user_id: str | None = None,
    external_session_id: str | None = None,
    cache_for_s: int = 0,
    bus: EventBus,
) -> None:
    """The answer of this program holds, however often it is given. ConflictError (ALREADY_DECIDED) when another was first, or the
    time for it is over.
    """
    access.signed_in()
    row = await AuthorizationRequest.get_or_none(id=request_id)
    asked = access.installations_with(AUTHORIZERS)
    if row is None or row.installation_id not in asked or access.service_account_id is None:
        raise NotFoundError(path=("requestId",))
    problems = Problems()
    most = int(LONGEST_CACHE.total_seconds())
    if not 0 <= cache_for_s <= most:
        problems.add("cacheForSeconds", f"This is from 0 to {most} seconds.")
    said = problems.optional_text("reason", reason, most=REASON_LENGTH)
    user = problems.optional_text("externalUserId", external_user_id, most=EXTERNAL_ID_LENGTH)
    session = problems.optional_text("externalSessionId", external_session_id, most=EXTERNAL_ID_LENGTH)
    problems.raise_any()
    given = Answer(
        decision=decision,
        decided_by=Decider.SUBSCRIBER,
        reason=said,
        answered_by_id=access.service_account_id,
        external_user_id=user,
        external_session_id=session,
        cache_for_s=cache_for_s,
    )
    settled = await requests.answer(request_id, given, now=access.now)
    if settled is None:
        known = await AuthorizationRequest.get(id=request_id)
        if known.answered_by_id == given.answered_by_id and _said(known) == (decision, said, user, session):
            return
        is_decided = await requests.decision_of(request_id) is not None
        message = "Another answer came first." if is_decided else "The time for an answer is over."
        raise ConflictError(message, code=ErrorCode.ALREADY_DECIDED, path=("requestId",))
    await bus.publish(*settled.events)


def _said(row: AuthorizationRequest) -> tuple[AuthorizationDecision | None, str | None, str | None, str | None]:
    """What an answer said: the same again by the same program is no other answer."""
    return row.decision, row.reason, row.external_user_id, row.external_session_id
