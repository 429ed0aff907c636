"""Cards from a table: what each line does, tried first; nothing of a table with a wrong line is done, and nobody's card is taken over."""

import asyncio
import logging

import pytest

from domain.access import Access
from domain.csv_imports import ImportOutcome
from domain.errors import NotAllowedError, NotFoundError, ValidationError
from domain.events import LocalListOutdated
from domain.identification.card_imports import import_charge_cards
from domain.models import AuditEntry, CardBlock, ChargeCard
from domain.roles import ImportAction, Role
from tests.factories import Site, Town, a_card, a_grant, a_person, a_program, a_site, a_town, access
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")

ADD, CHANGE, KEEP, REMOVE, REJECT = (
    ImportAction.ADD,
    ImportAction.CHANGE,
    ImportAction.KEEP,
    ImportAction.REMOVE,
    ImportAction.REJECT,
)


@pytest.fixture
async def town(database: object) -> Town:
    made = await a_town()
    for name in ("one", "two"):
        person = await a_person(name, email=f"{name}@example.com")
        await a_grant(Role.USER, made.site, user_id=person)
    return made


async def _import(held: Access, site: Site, *lines: str, is_dry_run: bool = False) -> ImportOutcome:
    table = "\n".join(["email,number,name,blocked,remove", *lines])
    return await import_charge_cards(held, site.id, table=table, is_dry_run=is_dry_run, bus=RecordingBus())


def _actions(outcome: ImportOutcome) -> list[ImportAction]:
    return [line.action for line in outcome.lines]


async def test_what_was_tried_is_what_is_done(town: Town) -> None:
    """The same lines; a dry run changes nothing; the same table again changes nothing either."""
    owner = await town.access("OWNER of installation")
    lines = ("one@example.com,04 aa:01,Blue,,", "two@example.com,04AA02,,yes,")
    tried = await _import(owner, town.site, *lines, is_dry_run=True)
    assert (tried.is_applied, await ChargeCard.all().count()) == (False, 0)
    done = await _import(owner, town.site, *lines)
    assert (done.is_applied, done.lines) == (True, tried.lines)
    assert {card.number: card.name for card in await ChargeCard.all()} == {"04AA01": "Blue", "04AA02": "Card"}
    again = await _import(owner, town.site, *lines)
    assert _actions(again) == [KEEP, KEEP]


async def test_a_table_with_a_wrong_line_does_nothing(town: Town) -> None:
    """Every wrong line says what is wrong with it; none tells whose a card is."""
    stranger = await a_person("Secret", email="secret@example.com")
    await a_card(stranger, number="04BB01", name="Hidden name")
    outcome = await _import(
        await town.access("OWNER of installation"),
        town.site,
        "one@example.com,04AA01,,,",
        "one@example.com,04AA01,,,",
        "two@example.com,04BB01,,,",
        "secret@example.com,04AA03,,,",
        "nobody@example.com,04AA04,,,",
        ",04AA05,,,",
        "one@example.com,x,,,",
        "one@example.com,04AA06,,perhaps,",
        "one@example.com,04AA07,=1+1,,",
    )
    assert _actions(outcome) == [ADD, *[REJECT] * 8]
    assert not outcome.is_applied
    assert await ChargeCard.all().count() == 1
    texts = [line.text for line in outcome.lines]
    assert texts[3] == texts[4]
    assert not [text for text in texts if "Secret" in text or "Hidden" in text or "04BB01" in text]


async def test_anothers_card_is_blocked_here_only(town: Town) -> None:
    """Who keeps the cards of one installation neither blocks them elsewhere, nor unblocks what its holder blocked, nor renames."""
    owner = await town.access("OWNER of installation")
    person = await a_person("Three", email="three@example.com")
    await a_grant(Role.USER, town.site, user_id=person)
    stolen = await a_card(person, number="04CC01", name="Ring", is_blocked=True)
    spare = await a_card(person, number="04CC02", name="Spare")
    outcome = await _import(owner, town.site, "three@example.com,04CC01,,no,", "three@example.com,04CC02,,yes,")
    assert _actions(outcome) == [KEEP, CHANGE]
    assert (await ChargeCard.get(id=stolen)).is_blocked
    assert not (await ChargeCard.get(id=spare)).is_blocked
    assert [(block.card_id, block.installation_id) for block in await CardBlock.all()] == [(spare, town.site.id)]
    assert _actions(await _import(owner, town.site, "three@example.com,04CC02,Spare,no,")) == [CHANGE]
    assert await CardBlock.all().count() == 0
    for line in ("three@example.com,04CC02,Mine now,,", "three@example.com,04CC02,,,yes"):
        assert _actions(await _import(owner, town.site, line)) == [REJECT]
    assert (await ChargeCard.get(id=spare)).name == "Spare"


async def test_a_new_card_that_comes_blocked_is_blocked_here(town: Town) -> None:
    """Its holder would not know why it is taken nowhere."""
    await _import(await town.access("OWNER of installation"), town.site, "one@example.com,04AA01,,yes,")
    card = await ChargeCard.get()
    assert not card.is_blocked
    assert [(block.card_id, block.installation_id) for block in await CardBlock.all()] == [(card.id, town.site.id)]


async def test_what_a_program_pushed_is_its_own_to_change(town: Town) -> None:
    """Everywhere: name, block, removal."""
    program = await a_program(town.site)
    held = await program.access()
    assert _actions(await _import(held, town.site, "one@example.com,04AA01,Room 1,,")) == [ADD]
    assert _actions(await _import(held, town.site, "one@example.com,04AA01,Room 2,yes,")) == [CHANGE]
    card = await ChargeCard.get()
    assert (card.name, bool(card.is_blocked)) == ("Room 2", True)
    assert _actions(await _import(held, town.site, "one@example.com,04AA01,,,yes")) == [REMOVE]
    assert await ChargeCard.all().count() == 0


async def test_who_may_import_cards(town: Town) -> None:
    """Who keeps the cards there; a foreign installation looks absent."""
    for who, error in (
        ("SERVICE", NotAllowedError),
        ("USER of installation", NotAllowedError),
        ("stranger", NotFoundError),
    ):
        with pytest.raises(error):
            await _import(await town.access(who), town.site, "one@example.com,04AA01,,,")
    elsewhere = await a_person()
    await a_grant(Role.OWNER, await a_site("Elsewhere"), user_id=elsewhere)
    with pytest.raises(NotFoundError):
        await _import(await access(elsewhere), town.site, "one@example.com,04AA01,,,")
    assert await ChargeCard.all().count() == 0


async def test_the_lists_of_every_site_follow(town: Town) -> None:
    """A card that an administrator removes from a table is taken off the lists of the other sites of its holder, too."""
    person, elsewhere, bus = (
        await a_person("three", email="three@example.com"),
        await a_site("Elsewhere"),
        RecordingBus(),
    )
    for site in (town.site, elsewhere):
        await a_grant(Role.USER, site, user_id=person)
    await a_card(person, number="04AA01")
    await import_charge_cards(
        await town.access("ADMINISTRATOR"),
        town.site.id,
        table="email,number,remove\nthree@example.com,04AA01,yes",
        is_dry_run=False,
        bus=bus,
    )
    assert set(bus.published) == {LocalListOutdated(installation_id=one.id) for one in (town.site, elsewhere)}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("email,number,color\none@example.com,04AA01,red", "unknown"),
        ("email,name\none@example.com,Blue", "missing"),
        ("email,number,number\none@example.com,04AA01,04AA02", "twice"),
        ("", "no header"),
        ("email,number\n" + "one@example.com,04AA01\n" * 5_001, "more than 5,000"),
    ],
    ids=["unknown column", "missing column", "column twice", "empty", "too long"],
)
async def test_a_table_that_is_none_of_cards_is_refused_whole(town: Town, table: str, message: str) -> None:
    """With what is wrong with it, and nothing is done."""
    with pytest.raises(ValidationError, match=message):
        await import_charge_cards(
            await town.access("OWNER of installation"), town.site.id, table=table, is_dry_run=False, bus=RecordingBus()
        )
    assert await ChargeCard.all().count() == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("one@example.com;04 aa 01;;;", "in line 2 already"),
        ("not an address;04AA02;;;", "nobody here"),
        ("one@example.com;04AA02;=1+1;;", "formula"),
        ("one@example.com;04AA02;Bl\ufffd\x01;;", "control characters"),
        ("one@example.com;0÷4;;;", "4 to 20"),
        ("one@example.com;04AA02;;maybe;", "maybe"),
        ("one@example.com;04AA02;;;;;more", "more cells"),
        (f"one@example.com;04AA02;{'x' * 101};;", "at most 100"),
    ],
)
async def test_a_bad_row_is_named_by_its_line_and_nothing_is_done(town: Town, bad: str, message: str) -> None:
    """In a table with a byte order mark, semicolons and Windows' ends of lines; the good row beside it is told as it would be."""
    table = f"\ufeffemail;number;name;blocked;remove\r\none@example.com;04AA01;;;\r\n\r\n{bad}\r\n"
    outcome = await import_charge_cards(
        await town.access("OWNER of installation"), town.site.id, table=table, is_dry_run=False, bus=RecordingBus()
    )
    assert not outcome.is_applied
    assert [(one.line, one.action) for one in outcome.lines] == [(2, ADD), (4, REJECT)]
    assert message in outcome.lines[1].text
    assert await ChargeCard.all().count() == 0


async def test_the_same_table_twice_at_once_is_done_once(town: Town) -> None:
    """The second waits, and is judged anew by what the first did."""
    owner = await town.access("OWNER of installation")
    lines = ("one@example.com,04AA01,Blue,,", "two@example.com,04AA02,,,")
    outcomes = await asyncio.gather(*(_import(owner, town.site, *lines) for _ in range(2)))
    assert sorted(map(_actions, outcomes)) == [[ADD, ADD], [KEEP, KEEP]]
    assert await ChargeCard.all().count() == await AuditEntry.filter(action="chargeCard.register").count() == 2


async def test_of_two_tables_at_once_one_gets_a_card(town: Town) -> None:
    """The other is rejected whole."""
    owner = await town.access("OWNER of installation")
    outcomes = await asyncio.gather(
        _import(owner, town.site, "one@example.com,04AA01,,,", "one@example.com,04AA02,,,"),
        _import(owner, town.site, "two@example.com,04AA03,,,", "two@example.com,04AA01,,,"),
    )
    # Whichever came first: the card is in the first line of the one and in the second of the other.
    assert sorted(sorted(_actions(outcome)) for outcome in outcomes) == [[ADD, ADD], [ADD, REJECT]]
    assert len({card.user_id for card in await ChargeCard.all()}) == 1
    assert await ChargeCard.all().count() == 2


async def test_a_table_ten_times_as_long_takes_hardly_more_statements(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """So that nobody waits long for the writer: cards come, change, are blocked and go in parts, each in the audit log; a dry run
    writes nothing.
    """
    owner, program = await town.access("OWNER of installation"), await (await a_program(town.site)).access()
    for number in range(60):
        person = await a_person(f"p{number}", email=f"p{number}@example.com")
        await a_grant(Role.USER, town.site, user_id=person)

    async def statements(held: Access, many: int, rest: str, *, is_dry_run: bool = False) -> int:
        caplog.clear()
        lines = [f"p{one % 60}@example.com,{many:04}{one:06},{rest}" for one in range(many)]
        with caplog.at_level(logging.DEBUG, logger="tortoise.db_client"):
            outcome = await _import(held, town.site, *lines, is_dry_run=is_dry_run)
        assert outcome.is_applied is not is_dry_run
        return len(caplog.records)

    steps = ((program, ",,"), (program, "Room,,"), (owner, ",yes,"), (owner, ",no,"), (program, ",,yes"))
    assert await statements(program, 1_000, ",,", is_dry_run=True) < 20
    assert await ChargeCard.all().count() == 0
    for held, rest in steps:
        few, many = [await statements(held, size, rest) for size in (100, 1_000)]
        assert many <= few + 10, (rest, few, many)
        assert many < 50, (rest, few, many)
    entries = [
        await AuditEntry.filter(action__startswith="chargeCard.", action__endswith=end).count()
        for end in ("r", "e", "k")
    ]
    assert entries == [1_100, 2_200, 2_200]
    assert await ChargeCard.all().count() == 0


async def test_of_two_tables_at_once_with_the_same_cards_one_is_done() -> None:
    """At two installations, in whatever order: the other's lines say that the cards are registered, and nothing of it is done."""
    held, sites = [], []
    for name in ("one", "two"):
        site = await a_site()
        await a_grant(Role.USER, site, user_id=await a_person(f"Secret {name}", email=f"{name}@example.com"))
        owner = await a_person()
        await a_grant(Role.OWNER, site, user_id=owner)
        held.append(await access(owner))
        sites.append(site)
    numbers = [f"04AA{number:02}" for number in range(60)]
    found = await asyncio.gather(
        _import(held[0], sites[0], *(f"one@example.com,{number},,," for number in numbers)),
        _import(held[1], sites[1], *(f"two@example.com,{number},,," for number in reversed(numbers))),
    )
    assert sorted(outcome.is_applied for outcome in found) == [False, True]
    (refused,) = [outcome for outcome in found if not outcome.is_applied]
    assert set(_actions(refused)) == {REJECT}
    assert not [line.text for line in refused.lines if "Secret" in line.text]
    assert await ChargeCard.all().count() == 60
