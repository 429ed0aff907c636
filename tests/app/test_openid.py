"""ID tokens of an outside provider: its own, for us, for now, and nothing else."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.openid import OpenIdConnect
from domain.errors import ErrorCode, UnavailableError, ValidationError
from tests.factories import NOW
from tests.fakes import HandClock
from tests.servers import free_port

AUDIENCE = "lade-app"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


class Provider:
    """A provider with real documents over HTTP. Counts how often its keys were fetched."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.fetched = 0
        self.calls_itself = self.issuer

    def document(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.calls_itself, "jwks_uri": f"{self.issuer}/keys"}
        if path == "/keys":
            self.fetched += 1
            rsa_key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
            curve_key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(CURVE_KEY.public_key()))
            return {"keys": [{**rsa_key, "kid": "one", "use": "sig"}, {**curve_key, "kid": "two", "use": "sig"}]}
        return None

    def token(
        self, *, key: Any = KEY, kid: str = "one", algorithm: str = "RS256", without: str = "", **claims: Any
    ) -> str:
        given = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "subject-1",
            "iat": int(NOW.timestamp()),
            "exp": int((NOW + timedelta(minutes=5)).timestamp()),
            "nonce": "n-1",
            "email": "kari@example.com",
            "email_verified": True,
            **claims,
        }
        given.pop(without, None)
        return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid})


@pytest.fixture
def provider() -> Iterator[Provider]:
    """It answers."""
    port = free_port()
    found = Provider(port)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = found.document(self.path)
            content = json.dumps(document or {}).encode()
            self.send_response(200 if document else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_token_for_us_says_who_it_is(provider: Provider) -> None:
    """With either kind of key; the keys are fetched once."""
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        for token in (provider.token(), provider.token(key=CURVE_KEY, kid="two", algorithm="ES256")):
            found = await reader.verified(token, nonce="n-1", now=NOW)
            assert (found.issuer, found.subject) == (provider.issuer, "subject-1")
            assert (found.email, found.is_email_verified) == ("kari@example.com", True)
    assert provider.fetched == 1


def _wrong(provider: Provider) -> dict[str, str]:
    seconds = int(NOW.timestamp())
    return {
        "expired": provider.token(exp=seconds - 61),
        "from the future": provider.token(iat=seconds + 61),
        "for another": provider.token(aud="another-app"),
        "for several": provider.token(aud=[AUDIENCE, "another-app"]),
        "of another issuer": provider.token(iss="https://other.example"),
        "another nonce": provider.token(nonce="n-2"),
        "a nonce beyond ASCII": provider.token(nonce="ñ-1"),
        "without a subject": provider.token(sub=""),
        "a subject that is too long": provider.token(sub="s" * 256),
        "another key": provider.token(key=OTHER_KEY),
        "of another kind than its key": provider.token(key=CURVE_KEY, kid="one", algorithm="ES256"),
        "unknown key": provider.token(kid="three"),
        "no signature": jwt.encode({"sub": "subject-1"}, "", algorithm="none"),
        "signed with the public key": provider.token(key="a" * 64, algorithm="HS256"),
        "words": "not a token",
        "empty": "",
    }


@pytest.mark.parametrize("trouble", [*_wrong(Provider(1))])
async def test_every_other_token_is_refused(provider: Provider, trouble: str) -> None:
    """With the same words whatever is wrong."""
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        with pytest.raises(ValidationError) as caught:
            await reader.verified(_wrong(provider)[trouble], nonce="n-1", now=NOW)
    assert caught.value.code is ErrorCode.WRONG_CREDENTIALS


async def test_a_nonce_may_be_of_any_letters(provider: Provider) -> None:
    """It is the app's own; another one of such letters is another one."""
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        await reader.verified(provider.token(nonce="ñ-1"), nonce="ñ-1", now=NOW)
        with pytest.raises(ValidationError):
            await reader.verified(provider.token(nonce="ñ-1"), nonce="ø-1", now=NOW)


@pytest.mark.parametrize(("said", "asked"), [("n-1", None), (None, "n-1"), (None, ""), ("", None), (7, "7")])
async def test_a_nonce_on_one_side_only_is_refused(provider: Provider, said: Any, asked: str | None) -> None:
    """A stolen token that was asked for with a nonce is good with it only."""
    token = provider.token(without="nonce") if said is None else provider.token(nonce=said)
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        with pytest.raises(ValidationError):
            await reader.verified(token, nonce=asked, now=NOW)


async def test_a_token_without_a_nonce_is_taken_without_one(provider: Provider) -> None:
    """An app need not ask for one."""
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        assert (await reader.verified(provider.token(without="nonce"), nonce=None, now=NOW)).subject == "subject-1"


@pytest.mark.parametrize(("methods", "is_several"), [(["pwd", "mfa"], True), (["pwd", "otp"], False), ("mfa", False)])
async def test_a_provider_says_whether_it_asked_for_several_proofs(
    provider: Provider, methods: Any, is_several: bool
) -> None:
    """By `mfa` in `amr` (RFC 8176), and by nothing else."""
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        found = await reader.verified(provider.token(amr=methods), nonce="n-1", now=NOW)
    assert found.is_by_several_proofs is is_several


async def test_a_minute_of_difference_between_clocks_is_forgiven(provider: Provider) -> None:
    """Either way."""
    seconds = int(NOW.timestamp())
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        await reader.verified(provider.token(iat=seconds + 59), nonce="n-1", now=NOW)
        await reader.verified(provider.token(exp=seconds - 59), nonce="n-1", now=NOW)


async def test_unknown_keys_do_not_make_us_ask_all_day(provider: Provider) -> None:
    """Once a minute at most, however many tokens name keys that are not there."""
    clock = HandClock(NOW)
    async with OpenIdConnect(provider.issuer, AUDIENCE, clock) as reader:
        for _ in range(2):
            for number in range(20):
                with pytest.raises(ValidationError):
                    await reader.verified(provider.token(kid=f"unknown-{number}"), nonce="n-1", now=NOW)
            clock.advance(timedelta(seconds=60))
    assert provider.fetched == 2


async def test_a_provider_that_is_away_is_told_so() -> None:
    """It is not the person's fault."""
    away = Provider(free_port())
    async with OpenIdConnect(away.issuer, AUDIENCE, HandClock(NOW)) as reader:
        with pytest.raises(UnavailableError):
            await reader.verified(away.token(), nonce="n-1", now=NOW)


async def test_a_provider_by_another_name_is_not_ours(provider: Provider) -> None:
    """Its documents must be the issuer's that was set."""
    provider.calls_itself = "https://other.example"
    async with OpenIdConnect(provider.issuer, AUDIENCE, HandClock(NOW)) as reader:
        with pytest.raises(UnavailableError):
            await reader.verified(provider.token(), nonce="n-1", now=NOW)
