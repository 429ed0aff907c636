"""`/alert-mails/…`: what the links in mails about alerts lead to. Nobody signs in; the signature in the link says enough.

GET changes nothing, because programs that look for malice fetch every link of a mail: it shows a button. POST does it, which is also
what mail programs send by themselves (RFC 8058).
"""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.press import Press
from domain.alerting import alert_links
from domain.alerting.alert_links import CONFIRM, UNSUBSCRIBE
from domain.clock import Clock
from domain.ports import Tokens
from domain.roles import Language

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
}
_UNKNOWN: Final = ("This link is not valid", "Copy the whole link from the mail.")

_Words = Mapping[str, tuple[str, str]]
"""`ask`, `done` → (title, text); `button` → (its text, nothing)."""
_WORDS: Final[Mapping[tuple[str, Language], _Words]] = {
    (UNSUBSCRIBE, Language.EN): {
        "ask": ("No more mails?", "You will get no more mails about alerts at {place} by this subscription."),
        "button": ("Unsubscribe", ""),
        "done": ("You are unsubscribed", "No more mails about alerts at {place} are sent by this subscription."),
    },
    (UNSUBSCRIBE, Language.NB): {
        "ask": ("Ingen flere e-poster?", "Du får ikke flere e-poster om varsler på {place} fra dette abonnementet."),
        "button": ("Meld meg av", ""),
        "done": ("Du er meldt av", "Dette abonnementet sender ikke flere e-poster om varsler på {place}."),
    },
    (CONFIRM, Language.EN): {
        "ask": ("Mails about alerts?", "When something is wrong at {place}, a mail is sent to your address."),
        "button": ("Yes, send me these mails", ""),
        "done": ("Thank you", "From now on a mail is sent to your address when something is wrong at {place}."),
    },
    (CONFIRM, Language.NB): {
        "ask": ("E-poster om varsler?", "Når noe er galt på {place}, sendes en e-post til adressen din."),
        "button": ("Ja, send meg disse e-postene", ""),
        "done": ("Takk", "Fra nå av sendes en e-post til adressen din når noe er galt på {place}."),
    },
}


def mail_link_routes(press: Press, *, tokens: Tokens, clock: Clock) -> list[BaseRoute]:
    """The routes of both links."""

    async def answer(request: Request) -> Response:
        """404 for a link that is none of ours, else what it is for, or that it is done."""
        action = str(request.path_params["action"])
        if action not in (UNSUBSCRIBE, CONFIRM):
            return _page(press, "en", *_UNKNOWN, status=404)
        found = await alert_links.subscription_of(action, request.path_params["token"], tokens=tokens)
        if found is None:
            return _page(press, "en", *_UNKNOWN, status=404)
        if request.method == "POST":
            await alert_links.follow(action, found, now=clock.now())
        is_done = (
            request.method == "POST" or (found.ended_at if action == UNSUBSCRIBE else found.verified_at) is not None
        )
        words = _WORDS[(action, found.language)]
        title, text = words["done" if is_done else "ask"]
        button = None if is_done else words["button"][0]
        return _page(
            press, found.language.value.lower(), title, text.format(place=found.installation.name), button=button
        )

    return [Route(f"{alert_links.PATH}/{{action}}/{{token}}", answer, methods=["GET", "POST"])]


def _page(press: Press, lang: str, title: str, text: str, *, button: str | None = None, status: int = 200) -> Response:
    return HTMLResponse(press.page(lang=lang, title=title, text=text, button=button), status, _HEADERS)
