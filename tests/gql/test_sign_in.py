"""Signing in, refreshing and signing out through the API."""

import pytest

from domain.access import Access
from tests.factories import NOW, a_person, a_town
from tests.gql.asking import TOKENS, Api

pytestmark = pytest.mark.usefixtures("database")

NOBODY = Access.nobody(NOW)
SIGNED_IN = "... on SignInSuccess { accessToken refreshToken expiresAt viewer { user { name email } } }"


async def test_a_sign_in_answers_with_tokens_and_the_viewer() -> None:
    """The access token is good for a quarter of an hour."""
    person = await a_person("Kari", email="kari@example.com", password="correct horse")
    api = Api()
    result = await api.mutate(NOBODY, "signIn", {"email": "Kari@example.com", "password": "correct horse"}, SIGNED_IN)
    assert result["viewer"] == {"user": {"name": "Kari", "email": "kari@example.com"}}
    assert result["expiresAt"] == "2026-03-01T12:15:00Z"
    assert TOKENS.verify(result["accessToken"], now=NOW).user_id == person
    again = await api.mutate(NOBODY, "refreshSignIn", {"refreshToken": result["refreshToken"]}, SIGNED_IN)
    assert again["viewer"] == result["viewer"]
    spent = await api.mutate(NOBODY, "refreshSignIn", {"refreshToken": result["refreshToken"]})
    assert (spent["__typename"], spent["code"], spent["path"]) == ("ValidationError", "TOKEN_EXPIRED", ["refreshToken"])


@pytest.mark.parametrize("email", ["kari@example.com", "nobody@example.com"])
async def test_a_wrong_address_and_a_wrong_password_look_the_same(email: str) -> None:
    """One error, one code, no path."""
    await a_person(email="kari@example.com", password="correct horse")
    result = await Api().mutate(NOBODY, "signIn", {"email": email, "password": "wrong"})
    assert result == {
        "__typename": "ValidationError",
        "code": "WRONG_CREDENTIALS",
        "path": None,
        "message": "The e-mail address or the password is wrong.",
    }


async def test_signing_out_ends_the_sign_in() -> None:
    """The token that did it gives nobody's access afterwards."""
    await a_person(email="kari@example.com", password="correct horse")
    api = Api()
    result = await api.mutate(NOBODY, "signIn", {"email": "kari@example.com", "password": "correct horse"}, SIGNED_IN)
    engine = api.engine()
    caller = await engine.caller(result["accessToken"], address="192.0.2.1")
    done = await api.mutate(caller.access, "signOut", {"everywhere": True}, "... on DoneSuccess { isDone }")
    assert done["isDone"] is True
    with pytest.raises(Exception, match="This sign-in has ended"):
        await engine.caller(result["accessToken"], address="192.0.2.1")


async def test_nobody_sees_nothing_without_an_error() -> None:
    """Null, empty lists, a count of zero."""
    await a_town()
    data = await Api().data(
        NOBODY,
        "{ viewer { user { name } } installations(first: 5) { totalCount nodes { id } }"
        " chargers(first: 5) { totalCount nodes { id } } }",
    )
    assert data == {
        "viewer": None,
        "installations": {"totalCount": 0, "nodes": []},
        "chargers": {"totalCount": 0, "nodes": []},
    }
