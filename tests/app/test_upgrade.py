"""A database of the first release goes through every migration with its rows, and is of use afterwards."""

import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from tortoise.connection import get_connection
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

import domain.migrations
from app.auth import SignedTokens
from app.database import Database, migrate, opened, pending_migrations, tortoise_config
from app.first_tables import FILES
from app.jobs import deliver_some_codes
from domain import sql
from domain.access import Access, access_of
from domain.authorization.credentials import permission_of
from domain.clock import SystemClock
from domain.errors import ConflictError, ErrorCode, ValidationError
from domain.identification.cards import register_charge_card
from domain.identity import account_recovery, invitations, sign_ins
from domain.identity.sign_ins import Entrance
from domain.ids import new_id
from domain.models import ChargeCard, Permission, Station
from domain.ports import Mail, OpenIdIdentity
from domain.roles import AuthorizationDecision, Role
from tests.conftest import in_own_loop
from tests.domain.mails import Post, code_of
from tests.fakes import HandClock, OpenSeals, PlainPasswords, RecordingBus, UnlimitedAttempts
from tests.gql.asking import Api
from tests.servers import PostgresServer
from tests.tables import tables

TOKENS = SignedTokens("a secret for tests")
URL = "https://lade.example"
NOW = SystemClock().now()
"""Migrations know no other time."""
LONG_AGO = NOW - timedelta(days=365)
SITE, ROOT, STATION, CHARGER, KARI, OLA, OLD, CARD, SESSION = (new_id() for _ in range(9))
OWNED, USED, SENT, OVER, SIGN_IN = (new_id() for _ in range(5))
REFRESH = f"{SIGN_IN.hex}.a-secret-of-then"

# As the first release wrote them, table by table in the order of their references.
ROWS: tuple[tuple[str, Mapping[str, object]], ...] = (
    (
        "installations",
        {
            "id": SITE,
            "name": "Fjordveien garage",
            "country_code": "NO",
            "time_zone": "Europe/Oslo",
            "currency": "NOK",
            "category": "COMMUNITY",
            "network_type": "TN_3_PHASE",
            "available_mode": "MANUAL",
            "authentication_required": True,
            "allows_concurrent": False,
            "is_active": True,
            "created_at": LONG_AGO,
        },
    ),
    (
        "circuits",
        {
            "id": ROOT,
            "name": "Main breaker",
            **{f"breaker_l{line}": 63.0 for line in (1, 2, 3)},
            **{f"{kind}_l{line}": 0.0 for kind in ("safe", "assumed") for line in (1, 2, 3)},
            "created_at": LONG_AGO,
            "installation_id": SITE,
        },
    ),
    (
        "stations",
        {
            "id": STATION,
            "identity": "space-1",
            "password_hash": "",
            "vendor": "Acme",
            "model": "One",
            "epoch": 3,
            "is_connected": False,
            "last_transaction_id": 7,
            "created_at": LONG_AGO,
        },
    ),
    (
        "chargers",
        {
            "id": CHARGER,
            "evse": 1,
            "name": "Space 1",
            "phase_rotation": "RST",
            "min_current_a": 6.0,
            "max_current_a": 32.0,
            "can_switch_phases": False,
            "is_enabled": True,
            "created_at": LONG_AGO,
            "circuit_id": ROOT,
            "installation_id": SITE,
            "station_id": STATION,
        },
    ),
    (
        "charger_statuses",
        {
            "charger_id": CHARGER,
            "installation_id": SITE,
            "version": 12,
            "mode": "DISCONNECTED",
            "is_online": False,
            "connector_status": "AVAILABLE",
            "register_wh": 1_204_000,
            "allocated_phases": "",
        },
    ),
    (
        "offers",
        {
            "charger_id": CHARGER,
            "installation_id": SITE,
            "fence": 4,
            "confirmed_phases": "",
            "target_phases": "",
        },
    ),
    *(
        (
            "users",
            {
                "id": identity,
                "name": name,
                "email": email,
                "password_hash": password,
                "is_administrator": False,
                "is_active": True,
                "import_key": import_key,
                "created_at": LONG_AGO,
            },
        )
        for identity, name, email, password, import_key in (
            (KARI, "Kari", "kari@example.com", "plain:nine copper wires", None),
            (OLA, "Ola", "ola@example.com", "plain:seven boats at dawn", None),
            (OLD, "Imported", None, None, "imported-1"),
        )
    ),
    (
        "sign_ins",
        {
            "id": SIGN_IN,
            "refresh_hash": hashlib.sha256(b"a-secret-of-then").hexdigest(),
            "created_at": LONG_AGO,
            "refreshed_at": NOW - timedelta(days=2),
            "expires_at": NOW + timedelta(days=28),
            "user_id": OLA,
        },
    ),
    (
        "charge_cards",
        {
            "id": CARD,
            "number": "04A1B2C3",
            "name": "Blue tag",
            "is_blocked": False,
            "created_at": LONG_AGO,
            "user_id": OLA,
            "external_id": "tag-1",
        },
    ),
    *(
        (
            "permissions",
            {
                "id": identity,
                "role": role,
                "user_id": user,
                "email": email,
                "installation_id": SITE,
                "valid_from": LONG_AGO,
                "granted_at": LONG_AGO,
                "granted_by_id": KARI,
                "invitation_expires_at": until,
            },
        )
        for identity, role, user, email, until in (
            (OWNED, "OWNER", KARI, None, None),
            (USED, "USER", OLA, None, None),
            (SENT, "USER", None, "nora@example.com", NOW + timedelta(days=9)),
            (OVER, "USER", None, "late@example.com", NOW - timedelta(days=1)),
        )
    ),
    (
        "charge_sessions",
        {
            "id": SESSION,
            "circuit_id": ROOT,
            "user_id": OLA,
            "card_id": CARD,
            "installation_name": "Fjordveien garage",
            "circuit_name": "Main breaker",
            "charger_name": "Space 1",
            "user_name": "Ola",
            "card_name": "Blue tag",
            "time_zone": "Europe/Oslo",
            "id_token": "04A1B2C3",
            "station_id": STATION,
            "transaction_id": "7",
            "state": "ENDED",
            "flags": 0,
            "started_at": NOW - timedelta(days=3),
            "ended_at": NOW - timedelta(days=3) + timedelta(hours=4),
            "registered_at": NOW - timedelta(days=3) + timedelta(hours=4),
            "energy_wh": 7_200,
            "connected_s": 14_400,
            "charging_s": 14_400,
            "is_paused": False,
            "priority": 0,
            "created_at": NOW - timedelta(days=3),
            "charger_id": CHARGER,
            "installation_id": SITE,
        },
    ),
    (
        "audit_entries",
        {
            "id": new_id(),
            "installation_id": SITE,
            "at": LONG_AGO,
            "actor_id": KARI,
            "actor": "Kari",
            "action": "permission.grant",
            "object_type": "Permission",
            "object_id": USED,
        },
    ),
    *(
        (
            "idempotency_keys",
            {
                "id": number,
                "user_id": KARI,
                "mutation": mutation,
                "request_key": "k",
                "input_hash": hashlib.sha256(b"an input").hexdigest(),
                "result_type": "Circuit",
                "created_at": NOW,
            },
        )
        for number, mutation in enumerate(("createCircuit", "changePassword"), start=1)
    ),
    (
        "alerts",
        {
            "id": new_id(),
            "charger_id": CHARGER,
            "kind": "CHARGER_OFFLINE",
            "severity": "ERROR",
            "state": "OPEN",
            "open_key": f"CHARGER_OFFLINE:{CHARGER}",
            "message": "Space 1 is silent.",
            "opened_at": LONG_AGO,
            "occurrences": 1,
            "installation_id": SITE,
        },
    ),
)

pytestmark = pytest.mark.usefixtures("upgraded")


@pytest.fixture(scope="module")
def sqlite_upgraded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of such a database."""
    path = tmp_path_factory.mktemp("upgraded") / "lade.sqlite3"
    in_own_loop(_upgrade(Database(sqlite_file=path)))
    return path


@pytest.fixture(scope="module")
def postgres_upgraded(postgres: PostgresServer) -> PostgresServer:
    """The server of such a database, `upgraded`."""
    in_own_loop(_execute(postgres.url("postgres"), "CREATE DATABASE upgraded"))
    in_own_loop(_upgrade(Database(postgresql_url=postgres.url("upgraded"))))
    return postgres


async def _upgrade(database: Database) -> None:
    """The first release made and filled it; it is brought to the present."""
    async with opened(database):
        executor = MigrationExecutor(get_connection("default"), tortoise_config(database)["apps"])
        await executor.migrate([MigrationTarget("domain", "0001_initial")])
        for table, row in ROWS:
            marks = ", ".join(f"${place}" for place in range(1, len(row) + 1))
            await sql.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608
    assert "domain.0002_access_and_authorization" in await migrate(database)
    assert await migrate(database) == []


@pytest.fixture
async def upgraded(
    backend: str, request: pytest.FixtureRequest, tmp_path: Path, database_location: Database
) -> AsyncIterator[Database]:
    """A copy of it for one test, opened, beside a new database."""
    if backend == "sqlite":
        template: Path = request.getfixturevalue("sqlite_upgraded")
        database = Database(sqlite_file=Path(shutil.copy(template, tmp_path / "upgraded.sqlite3")))
    else:
        server: PostgresServer = request.getfixturevalue("postgres_upgraded")
        await _execute(server.url("postgres"), "DROP DATABASE IF EXISTS upgraded_copy WITH (FORCE)")
        await _execute(server.url("postgres"), "CREATE DATABASE upgraded_copy TEMPLATE upgraded")
        database = Database(postgresql_url=server.url("upgraded_copy"))
    async with opened(database):
        yield database


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _at() -> Entrance:
    return Entrance(
        passwords=PlainPasswords(),
        tokens=TOKENS,
        sealer=OpenSeals(),
        attempts=UnlimitedAttempts(),
        clock=HandClock(NOW),
        bus=RecordingBus(),
        address="192.0.2.1",
    )


async def _held(user: UUID) -> Access:
    return await access_of(user, now=NOW)


async def test_every_row_is_still_there() -> None:
    """No migration loses one, and none refers to what is gone; but digests of passwords that were made without a key are."""
    assert await pending_migrations() == []
    for table in {table for table, _row in ROWS}:
        (found,) = await sql.rows(f"SELECT COUNT(*) AS number FROM {table}")  # noqa: S608
        written = [row for name, row in ROWS if name == table and row.get("mutation") != "changePassword"]
        assert (table, found["number"]) == (table, len(written))
    assert [row["mutation"] for row in await sql.rows("SELECT mutation FROM idempotency_keys")] == ["createCircuit"]
    if sql.is_sqlite():
        assert await sql.rows("PRAGMA foreign_key_check") == []


async def test_who_could_sign_in_still_can() -> None:
    """By the password, and by the refresh token of a sign-in that goes on."""
    assert (await sign_ins.sign_in("kari@example.com", "nine copper wires", at=_at())).access.person() == KARI
    refreshed = await sign_ins.refresh_sign_in(REFRESH, tokens=TOKENS, clock=HandClock(NOW), bus=RecordingBus())
    assert refreshed.access.person() == OLA


async def test_an_address_that_the_operator_gave_is_proven() -> None:
    """So that a provider that has proven it, too, signs in to the account."""

    class Provider:
        async def verified(self, id_token: str, *, nonce: str | None, now: datetime) -> OpenIdIdentity:
            return OpenIdIdentity("https://id.example", "1", email="kari@example.com", is_email_verified=True)

    signed_in = await sign_ins.sign_in_with_open_id(
        "token", nonce=None, totp_code=None, provider=Provider(), is_open=False, at=_at()
    )
    assert signed_in.access.person() == KARI


async def test_permissions_cards_and_charges_are_as_they_were() -> None:
    """For who holds them, and for the owner."""
    assert (await _held(KARI)).roles_at(SITE) == {Role.OWNER}
    decision, _reason, is_external = await permission_of(CHARGER, OLA, now=NOW)
    assert (decision, is_external) == (AuthorizationDecision.ACCEPTED, False)
    with pytest.raises(ConflictError):
        await register_charge_card(await _held(KARI), number="04 A1 B2 C3", bus=RecordingBus())
    card = await ChargeCard.get(id=CARD)
    assert (card.user_id, card.external_account_id, card.external_id) == (OLA, None, "tag-1")
    seen = await Api(HandClock(NOW)).data(
        await _held(OLA),
        "{ viewer { user { name email } chargeCards { name } permissions(first: 5) { nodes { role } }"
        " sessions(first: 5) { totalCount nodes { energyKwh chargeCard { name } charger { name } } } } }",
    )
    assert seen["viewer"] == {
        "user": {"name": "Ola", "email": "ola@example.com"},
        "chargeCards": [{"name": "Blue tag"}],
        "permissions": {"nodes": [{"role": "USER"}]},
        "sessions": {
            "totalCount": 1,
            "nodes": [{"energyKwh": "7.200", "chargeCard": {"name": "Blue tag"}, "charger": {"name": "Space 1"}}],
        },
    }


async def test_what_a_station_holds_that_was_here_is_ours() -> None:
    """Its charging profiles stay in force through the upgrade; what it is set to is not known, so that it is set anew."""
    station = await Station.get(id=STATION)
    assert (station.profiles_ours_since, station.configured_as) == (LONG_AGO, None)


async def test_invitations_that_are_not_over_are_sent_with_a_code() -> None:
    """The first release kept them without one: their permission is had by the letter's code, as of any other."""
    post = Post()
    while await deliver_some_codes(post, TOKENS, URL, SystemClock()):
        pass
    letters: list[Mail] = post.taken
    assert [mail.to for mail in letters] == ["nora@example.com"]
    signed_up = await account_recovery.sign_up(
        name="Nora",
        email="nora@example.com",
        password="eleven red kites",
        invitation_token=code_of(letters[0]),
        is_open=False,
        public_url=URL,
        at=_at(),
    )
    assert (await Permission.get(id=SENT)).user_id == signed_up.access.person()
    with pytest.raises(ValidationError) as caught:
        await invitations.accept(await _held(OLA), code_of(letters[0]), tokens=TOKENS, bus=RecordingBus())
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED
    assert (await Permission.get(id=OVER)).email == "late@example.com"


async def test_a_new_database_has_the_same_tables(upgraded: Database, database_location: Database) -> None:
    """What all migrations come to is what the file makes in one step; after a new migration: `make tables`."""
    assert tables(database_location) == tables(upgraded)


@pytest.mark.parametrize("kind", [*FILES])
def test_the_file_knows_every_migration(kind: str) -> None:
    """A new database waits for none of them; after a new migration: `make tables`."""
    text = (Path(domain.migrations.__file__).parent / FILES[kind]).read_text()
    names = {path.stem for path in Path(domain.migrations.__file__).parent.glob("0*.py")}
    assert set(re.findall(r"\('domain', '(\w+)', ", text)) == names
