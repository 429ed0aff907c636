"""Certificates as reverse proxies pass them on name whom they were made out to, and what is none names nobody."""

import base64
import random
from urllib.parse import quote

import pytest

from app.client_certificates import UnreadableCertificateError, names_in
from tests.certificates import a_certificate, der, pem


@pytest.mark.parametrize(
    "written",
    [
        lambda one: quote(pem(one), safe=""),
        lambda one: quote(pem(one), safe="/+="),
        lambda one: base64.b64encode(der(one)).decode(),
        lambda one: f":{base64.b64encode(der(one)).decode()}:",
        lambda one: quote(base64.b64encode(der(one)).decode(), safe=""),
        lambda one: f"  {base64.b64encode(der(one)).decode()},{base64.b64encode(der(a_certificate('CA'))).decode()}",
        lambda one: pem(one) + pem(a_certificate("CA")),
    ],
    ids=[
        "nginx",
        "PEM with few escapes",
        "Caddy, HAProxy",
        "RFC 9440",
        "Traefik 2",
        "Traefik with its chain",
        "a chain in PEM",
    ],
)
def test_each_proxys_way_of_writing_is_read(written: object) -> None:
    """The first certificate is the client's."""
    assert callable(written)
    assert names_in(written(a_certificate("GARAGE-07"))) == {"GARAGE-07"}


def test_all_names_of_the_owner_are_read() -> None:
    """Common names and DNS names, sign by sign; other alternative names and the issuer are not among them."""
    certificate = a_certificate("GARAGE-07", "Second", dns=("garage-07.example", "G7"), mail="kari@example.com")
    assert names_in(base64.b64encode(der(certificate)).decode()) == {"GARAGE-07", "Second", "garage-07.example", "G7"}
    assert names_in(base64.b64encode(der(a_certificate())).decode()) == frozenset()


def test_no_certificate_names_nobody() -> None:
    """A proxy may send an empty header where there was none."""
    assert names_in("") == names_in("  ") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "::",
        ":",
        ",",
        "GARAGE-07",
        "CN=GARAGE-07",
        "%",
        "%ff%fe",
        "AAAA",
        "-----BEGIN CERTIFICATE-----",
        "A" * 17_000,
        "\u00e6",
    ],
)
def test_what_is_no_certificate_is_told(text: str) -> None:
    """Whatever it is instead."""
    with pytest.raises(UnreadableCertificateError):
        names_in(text)


def test_a_damaged_certificate_is_told_or_names_somebody() -> None:
    """A flipped bit anywhere raises nothing else."""
    whole, dice = der(a_certificate("GARAGE-07", dns=("garage-07.example",))), random.Random(7)
    told = 0
    for _ in range(2_000):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        try:
            names_in(base64.b64encode(bytes(damaged)).decode())
        except UnreadableCertificateError:
            told += 1
    assert told > 0
