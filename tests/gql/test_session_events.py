"""What an owner sees of the events for their external system, and can have sent again."""

from datetime import datetime, timedelta

import pytest

from domain.ids import new_id
from domain.models import ExternalAuthentication, SessionEvent
from domain.roles import ExternalMode, SessionEventKind
from tests.factories import NOW, Town
from tests.gql.asking import Api, installation_id

pytestmark = pytest.mark.usefixtures("database")

LOOK = """
query($id: ID!) { node(id: $id) { ... on Installation { authentication { external {
  pendingEventCount oldestPendingEventAt givenUpEventCount firstGivenUpEventId lastEventError } } } } }
"""


async def _an_event(town: Town, made: datetime, error: str | None = None) -> SessionEvent:
    return await SessionEvent.create(
        installation_id=town.site.id,
        session_id=new_id(),
        kind=SessionEventKind.ENDED,
        payload="{}",
        created_at=made,
        due_at=made,
        error=error,
        failed_at=NOW if error else None,
        delivered_at=None if error else NOW,
    )


async def test_what_was_given_up_is_seen_and_can_be_sent_again(town: Town) -> None:
    """Its number, why, and where a replay begins; afterwards it waits, counted from when it was made."""
    system = ExternalAuthentication(installation_id=town.site.id, mode=ExternalMode.SHADOW, url="https://a.example/")
    await ExternalAuthentication.bulk_create([system])
    made = [NOW - timedelta(days=3, hours=-hours) for hours in range(4)]
    await _an_event(town, made[0])
    first = await _an_event(town, made[1], "The system answered with status 404.")
    await _an_event(town, made[2])
    await _an_event(town, made[3], "No answer within 15 s.")
    api, owner = Api(), await town.access("OWNER of installation")

    async def seen() -> object:
        answer = await api.data(owner, LOOK, {"id": installation_id(town.site.id)})
        return answer["node"]["authentication"]["external"]

    assert await seen() == {
        "pendingEventCount": 0,
        "oldestPendingEventAt": None,
        "givenUpEventCount": 2,
        "firstGivenUpEventId": str(first.event_id),
        "lastEventError": "No answer within 15 s.",
    }
    given = {"installationId": installation_id(town.site.id), "fromEventId": str(first.event_id)}
    await api.mutate(owner, "replaySessionEvents", given)
    assert await seen() == {
        "pendingEventCount": 3,
        "oldestPendingEventAt": made[1].isoformat().replace("+00:00", "Z"),
        "givenUpEventCount": 0,
        "firstGivenUpEventId": None,
        "lastEventError": None,
    }
    await SessionEvent.filter(id=first.id).update(error="The call failed: ConnectError.")
    answer = await api.data(owner, LOOK, {"id": installation_id(town.site.id)})
    assert answer["node"]["authentication"]["external"]["lastEventError"] == "The call failed: ConnectError."
