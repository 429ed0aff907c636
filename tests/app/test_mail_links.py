"""What links in mails lead to: a page that asks, and a deed that a mail program can do by itself."""

from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette

from app.auth import SignedTokens
from app.mail_links import mail_link_routes
from app.press import Press
from domain.alerting import alert_links
from domain.models import AlertSubscription, AuditEntry
from tests.factories import NOW, Town, a_subscription, a_town
from tests.fakes import HandClock

pytestmark = pytest.mark.usefixtures("database")

TOKENS = SignedTokens("a secret for tests")
PORTAL = "https://lade.example"


async def _asked(method: str, url: str, **more: str) -> httpx.Response:
    app = Starlette(routes=mail_link_routes(Press(), tokens=TOKENS, clock=HandClock(NOW)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PORTAL) as client:
        return await client.request(method, url, data=more or None)


def _unsubscribe(subscription: UUID) -> str:
    return alert_links.unsubscribe_url(PORTAL, subscription, tokens=TOKENS)


@pytest.fixture
async def town() -> Town:
    return await a_town()


async def test_looking_at_the_link_changes_nothing(town: Town) -> None:
    """Scanners of mail follow every link: they get a page with a button, which nobody may put into a frame."""
    subscription = await a_subscription(town.site.id, town.people["SERVICE"])
    for method in ("GET", "HEAD"):
        page = await _asked(method, _unsubscribe(subscription))
        assert page.status_code == 200
    page = await _asked("GET", _unsubscribe(subscription))
    assert '<form method="post"><button>Unsubscribe</button></form>' in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert (await AlertSubscription.get()).ended_at is None


async def test_a_mail_program_unsubscribes_with_one_click(town: Town) -> None:
    """A POST without a sign-in (RFC 8058); again it says the same, and the log has it once."""
    subscription = await a_subscription(town.site.id, town.people["SERVICE"])
    other = await a_subscription(town.site.id, town.people["OWNER of installation"])
    for _ in range(2):
        done = await _asked("POST", _unsubscribe(subscription), **{"List-Unsubscribe": "One-Click"})
        assert (done.status_code, "You are unsubscribed" in done.text) == (200, True)
    assert (await AlertSubscription.get(id=subscription)).ended_at == NOW
    assert (await AlertSubscription.get(id=other)).ended_at is None
    assert [one.action for one in await AuditEntry.all()] == ["alertSubscription.unsubscribe"]
    assert "button" not in (await _asked("GET", _unsubscribe(subscription))).text.partition("<body>")[2]


async def test_an_address_says_yes_by_its_own_link(town: Town) -> None:
    """Looking is no yes; the link is good for that address only."""
    subscription = await a_subscription(town.site.id, town.people["SERVICE"], email="janitor@example.com")
    url = alert_links.confirm_url(PORTAL, subscription, "janitor@example.com", tokens=TOKENS)
    assert "Yes, send me these mails" in (await _asked("GET", url)).text
    assert (await AlertSubscription.get()).verified_at is None
    await AlertSubscription.all().update(email="other@example.com")
    assert (await _asked("POST", url)).status_code == 404
    await AlertSubscription.all().update(email="janitor@example.com")
    assert "Thank you" in (await _asked("POST", url)).text
    assert (await AlertSubscription.get()).verified_at == NOW


async def test_links_that_are_not_ours_do_nothing(town: Town) -> None:
    """Of another deed, of another subscription, cut off, or of nothing."""
    mine = await a_subscription(town.site.id, town.people["SERVICE"], email="janitor@example.com")
    theirs = await a_subscription(town.site.id, town.people["OWNER of installation"])
    good = _unsubscribe(mine)
    sign = good.rpartition(".")[2]
    for url in (
        good[:-1],
        good.replace("unsubscribe", "confirm"),
        good.replace("unsubscribe", "erase"),
        good.replace(mine.hex, theirs.hex),
        f"{PORTAL}{alert_links.PATH}/unsubscribe/nothing.{sign}",
        f"{PORTAL}{alert_links.PATH}/unsubscribe/{UUID(int=1).hex}.{sign}",
        f"{PORTAL}{alert_links.PATH}/unsubscribe/{mine.hex}.\u00e5",
    ):
        assert (await _asked("POST", url)).status_code == 404
    rows = await AlertSubscription.all()
    assert [(one.ended_at, one.verified_at) for one in rows if one.id == mine] == [(None, None)]
