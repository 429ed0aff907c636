"""Local authorization lists over real sockets: sent, kept in step, and what a charger off the net makes of them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.redis_bus import RedisBus
from devices import local_lists as service
from devices.simulator.car import CarSpec
from devices.simulator.plan import Visit
from domain.clock import SystemClock
from domain.events import LocalListOutdated
from domain.identification import local_lists
from domain.membership.permissions import Grant, SubjectKey, grant_permission
from domain.models import ChargeCard, Charger, ExternalAuthentication, LocalList, Permission
from domain.models import Station as StationRow
from domain.roles import ExternalMode, Role
from tests.devices.server import CARD, Registered, Server, a_raw_charger, a_registered_charger
from tests.devices.simulated import PROTOCOLS, simulated, until
from tests.factories import Site, a_card, a_grant, a_person, a_program, access

OTHER = "04D4E5F6"
LIMIT_S = 20.0
ACCEPTED = {"status": "Accepted"}
CAR = CarSpec(phases=3, max_current_a=16.0)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BOOT_EXPECTED_S", 0.2)
    monkeypatch.setattr(service, "GATHER_S", 0.02)
    monkeypatch.setattr(service, "RETRY_FIRST_S", 0.05)


async def stored(charger: Registered, **values: object) -> None:
    """Returns when the portal has written that down."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            if await LocalList.filter(station_id=charger.station_id, **values).exists():
                return
            await asyncio.sleep(0.01)


async def test_a_list_follows_who_may_charge(server: Server, site: Site, bus: RedisBus) -> None:
    """Sent whole at first; a new card comes, a blocked and a revoked one go, each by a message with no more than the change."""
    charger = await a_registered_charger(site)
    async with simulated(server, charger, values={"LocalPreAuthorize": "true", "LocalAuthListEnabled": "false"}) as (
        _,
        station,
    ):
        await until(lambda: station.local_list == {CARD: None})
        assert station.local_list_version == 1
        assert station.configuration.values["LocalAuthListEnabled"] == "true"
        await until(lambda: station.configuration.values["LocalPreAuthorize"] == "false")
        person = await a_person()
        await a_card(person, number=OTHER)
        grant = await a_grant(Role.USER, site, user_id=person, charger_id=charger.charger_id)
        await bus.publish(LocalListOutdated(installation_id=site.id))
        await until(lambda: station.local_list == {CARD: None, OTHER: None})
        await ChargeCard.filter(number=CARD).update(is_blocked=True)
        await bus.publish(LocalListOutdated(installation_id=site.id))
        await until(lambda: station.local_list == {OTHER: None})
        await Permission.filter(id=grant).update(revoked_at=SystemClock().now())
        await bus.publish(LocalListOutdated(installation_id=site.id))
        await until(lambda: station.local_list == {})
        assert station.local_list_version == 4
        await stored(charger, version=4)


async def test_a_permission_that_ends_or_begins_changes_the_list_by_itself(server: Server, site: Site) -> None:
    """The end stands in the entry for a charger off the net, and the entry goes when it is reached."""
    now = SystemClock().now()
    ending = now + timedelta(seconds=2)
    await Permission.filter(installation_id=site.id).update(valid_to=ending)
    person = await a_person()
    await a_card(person, number=OTHER)
    await a_grant(Role.USER, site, user_id=person, valid_from=ending)
    async with simulated(server, await a_registered_charger(site)) as (_, station):
        await until(lambda: set(station.local_list) == {CARD})
        told = station.local_list[CARD]
        assert told is not None
        assert abs(told - ending) < timedelta(milliseconds=1)
        await until(lambda: set(station.local_list) == {OTHER})


async def test_the_limits_of_a_charger_are_kept(server: Server, site: Site) -> None:
    """No more entries than it keeps, no more in a message than it takes."""
    for number in range(9):
        person = await a_person()
        await a_card(person, number=f"04BB{number:04}")
        await a_grant(Role.USER, site, user_id=person)
    limits = {"LocalAuthListMaxLength": "7", "SendLocalListMaxLength": "3"}
    async with simulated(server, await a_registered_charger(site), values=limits) as (_, station):
        await until(lambda: len(station.local_list) == 7)
        assert station.local_list_version == 3


async def test_a_list_that_was_changed_without_us_is_sent_whole(server: Server, site: Site) -> None:
    """After a reconnect with another version, whichever."""
    charger = await a_registered_charger(site)
    async with simulated(server, charger) as (fleet, station):
        await until(lambda: station.local_list == {CARD: None})
        fleet.chargers[charger.identity].drop_connection(for_s=0.05)
        await until(lambda: not station.is_online)
        station.local_list, station.local_list_version = {"STRANGE": None}, 77
        await until(lambda: station.local_list == {CARD: None})
        assert station.local_list_version == 78


async def test_a_charger_off_the_net_takes_the_cards_of_its_list(server: Server, site: Site) -> None:
    """And no others."""
    charger = await a_registered_charger(site)
    async with simulated(server, charger) as (fleet, station):
        await until(lambda: station.local_list == {CARD: None})
        fleet.chargers[charger.identity].drop_connection(for_s=LIMIT_S)
        await until(lambda: not station.is_online)
        fleet.chargers[charger.identity].plug_in(Visit(after_s=0.0, stay_s=600.0, car=CAR, id_tag=OTHER))
        assert station.car is not None
        assert station.transaction is None
        station.present(CARD)
        assert station.transaction is not None


async def _answering(server: Server, charger: Registered, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """What a charger that gives these answers is sent of its list, until the portal has given up or is done."""
    async with a_raw_charger(server, charger) as raw:
        raw.answers.update(answers)
        first = await raw.next_call("SendLocalList")
        again = await raw.next_call("SendLocalList") if answers["SendLocalList"]["status"] != "NotSupported" else {}
        return [first, again]


async def test_a_mismatch_is_followed_by_the_whole_list_at_once(server: Server, site: Site, bus: RedisBus) -> None:
    """Nobody waits for a card of which the charger has lost the list."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= {"GetLocalListVersion": {"listVersion": 0}, "GetConfiguration": {}, "SendLocalList": ACCEPTED}
        await raw.next_call("SendLocalList")
        await stored(charger, version=1)
        raw.answers |= {"GetLocalListVersion": {"listVersion": 1}, "SendLocalList": {"status": "VersionMismatch"}}
        await ChargeCard.all().update(is_blocked=True)
        await bus.publish(LocalListOutdated(installation_id=site.id))
        assert (await raw.next_call("SendLocalList"))["updateType"] == "Differential"
        assert await raw.next_call("SendLocalList") == {"listVersion": 2, "updateType": "Full"}


async def test_who_has_no_charger_any_more_is_left_with_an_empty_list(
    server: Server, site: Site, bus: RedisBus
) -> None:
    """A station whose last charger was taken away knows nobody, as soon as it is told of."""
    charger = await a_registered_charger(site)
    async with simulated(server, charger) as (_, station):
        await until(lambda: station.local_list == {CARD: None})
        await Charger.filter(id=charger.charger_id).update(removed_at=SystemClock().now(), station_id=None)
        await bus.publish(LocalListOutdated(installation_id=site.id, station_id=charger.station_id))
        await until(lambda: station.local_list == {})


async def test_the_charger_is_set_to_ask_while_it_can(server: Server, site: Site, bus: RedisBus) -> None:
    """Its own memory is switched off; strangers charge off the net only where nobody has to identify themselves."""
    charger = await a_registered_charger(site)
    values = {"LocalPreAuthorize": "true", "AuthorizationCacheEnabled": "true", "AllowOfflineTxForUnknownId": "true"}
    async with simulated(server, charger, values=values) as (_, station):
        await until(lambda: station.local_list == {CARD: None})
        assert [station.configuration.values[name] for name in values] == ["false", "false", "false"]
        await Charger.filter(id=charger.charger_id).update(authentication_required=False)
        await bus.publish(LocalListOutdated(installation_id=site.id, station_id=charger.station_id))
        await until(lambda: station.configuration.values["AllowOfflineTxForUnknownId"] == "true")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_charger_remembers_by_itself_is_forgotten_when_that_is_switched_off(
    server: Server, site: Site, protocol: str
) -> None:
    """Else it would come back with the switch, and let in who may no longer."""
    charger = await a_registered_charger(site)
    async with simulated(server, charger, protocol=protocol) as (_, station):
        station.remembered.add(OTHER)
        await until(lambda: station.configuration.values["AuthorizationCacheEnabled"] == "false")
        await until(lambda: station.remembered == set())


async def test_a_charger_without_a_list_forgets_its_cards_whenever_who_may_charge_changes(
    server: Server, site: Site, bus: RedisBus
) -> None:
    """Now, because much may have changed since it was here, and at each change; as long as it obeys."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        assert await raw.next_call("ClearCache") == {}
        await stored(charger, is_supported=False)
        raw.answers["ClearCache"] = {"status": "Rejected"}
        await bus.publish(LocalListOutdated(installation_id=site.id))
        assert await raw.next_call("ClearCache") == {}
        await bus.publish(LocalListOutdated(installation_id=site.id))
        await asyncio.sleep(0.3)
        assert await raw.call("Heartbeat", {})
        assert not any(raw.calls.get_nowait()[1] == "ClearCache" for _ in range(raw.calls.qsize()))


async def test_a_memory_that_cannot_be_switched_off_is_emptied_with_each_change(
    server: Server, site: Site, bus: RedisBus
) -> None:
    """A card that was blocked is in no list, and must not be remembered either."""
    charger = await a_registered_charger(site)
    held = {"key": "AuthorizationCacheEnabled", "readonly": True, "value": "true"}
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= {
            "GetLocalListVersion": {"listVersion": 0},
            "GetConfiguration": {"configurationKey": [held]},
            "ChangeConfiguration": {"status": "Rejected"},
            "SendLocalList": ACCEPTED,
        }
        await raw.next_call("ClearCache")
        await stored(charger, version=1)
        await bus.publish(LocalListOutdated(installation_id=site.id))
        await raw.next_call("ClearCache")


@pytest.mark.parametrize(("answer", "is_listed"), [("Accepted", True), ("Rejected", False)])
async def test_where_another_system_decides_only_who_asks_it_first_knows_cards(
    server: Server, site: Site, answer: str, is_listed: bool
) -> None:
    """A charger that would start from its list without asking holds an empty one."""
    program = await a_program(site)
    await Permission.all().update(granted_by_id=program.id)
    await ExternalAuthentication.bulk_create(
        [ExternalAuthentication(installation_id=site.id, mode=ExternalMode.ENFORCE)]
    )
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        raw.answers |= {
            "GetLocalListVersion": {"listVersion": 7},
            "GetConfiguration": {},
            "SendLocalList": ACCEPTED,
            "ChangeConfiguration": {"status": answer},
        }
        sent = await raw.next_call("SendLocalList")
    assert sent["updateType"] == "Full"
    assert [one["idTag"] for one in sent.get("localAuthorizationList", [])] == ([CARD] if is_listed else [])


async def test_a_change_in_one_process_reaches_the_charger_of_another(
    server: Server, site: Site, redis_url: str
) -> None:
    """The list follows wherever the socket is."""
    async with RedisBus(redis_url) as elsewhere:
        charger = await a_registered_charger(site)
        async with simulated(server, charger) as (_, station):
            await until(lambda: station.local_list == {CARD: None})
            person, administrator = await a_person(), await a_person("Admin", is_administrator=True)
            await a_card(person, number=OTHER)
            grant = Grant(subject=SubjectKey(user_id=person), object_id=site.id, role=Role.USER)
            await grant_permission(await access(administrator, now=SystemClock().now()), grant, bus=elsewhere)
            await until(lambda: station.local_list == {CARD: None, OTHER: None})


async def test_a_connection_that_was_overtaken_writes_nothing(server: Server, site: Site) -> None:
    """What an older connection confirmed says nothing of what the charger holds by now."""
    charger = await a_registered_charger(site)
    await StationRow.filter(id=charger.station_id).update(epoch=4)
    await local_lists.confirmed(charger.station_id, 3, {CARD: None}, epoch=4, now=SystemClock().now())
    with pytest.raises(local_lists.OutdatedError):
        await local_lists.confirmed(charger.station_id, 2, {}, epoch=3, now=SystemClock().now())
    assert (await local_lists.held(charger.station_id)).entries == {CARD: None}


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch", "nonsense"])
async def test_a_list_that_is_not_taken_is_sent_whole_again(server: Server, site: Site, status: str) -> None:
    """Under a new version."""
    charger = await a_registered_charger(site)
    first, again = await _answering(
        server,
        charger,
        {
            "GetLocalListVersion": {"listVersion": 4},
            "GetConfiguration": {
                "configurationKey": [{"key": "LocalAuthListMaxLength", "readonly": True, "value": "x"}]
            },
            "SendLocalList": {"status": status},
        },
    )
    entry = {"idTag": CARD, "idTagInfo": {"status": "Accepted"}}
    assert first == {"listVersion": 5, "updateType": "Full", "localAuthorizationList": [entry]}
    assert again == first


async def test_a_charger_that_says_nothing_to_the_question_is_asked_once(
    server: Server, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is left alone; else three unanswered calls would end it, again and again."""
    monkeypatch.setattr(service, "ANSWER_TIMEOUT_S", 0.3)
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        del raw.answers["GetLocalListVersion"]
        await stored(charger, is_supported=False)
        await raw.next_call("GetLocalListVersion")
        assert (await raw.call("Heartbeat", {})).keys() == {"currentTime"}


@pytest.mark.parametrize(
    "answers",
    [
        {"GetLocalListVersion": {"listVersion": -1}},
        {"GetLocalListVersion": {}},
        {
            "GetLocalListVersion": {"listVersion": 0},
            "GetConfiguration": {},
            "SendLocalList": {"status": "NotSupported"},
        },
    ],
)
async def test_a_charger_without_a_list_is_left_alone(server: Server, site: Site, answers: dict[str, Any]) -> None:
    """It is written down, and nothing else fails."""
    charger = await a_registered_charger(site)
    async with a_raw_charger(server, charger) as raw:
        raw.answers.update(answers)
        await stored(charger, is_supported=False)
