"""Signed meter records: read in every spelling, checked with every curve that the format names, and bounded."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from domain.equipment import ocmf
from tests.factories import NOW
from tests.meters import Meter

KEBA = (
    'OCMF|{"FV":"1.0","GI":"KEBA_KCP30","GS":"17619300","GV":"2.8.5","PG":"T32","IS":false,"IL":"NONE","IF":["RFID_NONE","OCPP_NONE",'
    '"ISO15118_NONE","PLMN_NONE"],"IT":"NONE","ID":"","RD":[{"TM":"2019-08-13T10:03:15,000+0000 I","TX":"B","EF":"","ST":"G",'
    '"RV":0.2596,"RI":"1-b:1.8.0","RU":"kWh"},{"TM":"2019-08-13T10:03:36,000+0000 R","TX":"E","EF":"","ST":"G","RV":0.2597,'
    '"RI":"1-b:1.8.0","RU":"kWh"}]}|{"SD":"304502200E2F107C987A300AC1695CA89EA149A8CDFA16188AF0A33EE64B67964AA943F9022100889A72B6'
    'D65364BEA8562E7F6A0253157ACFF84FE4929A93B5964D23C4265699"}'
)
KEBA_KEY = (
    "3059301306072A8648CE3D020106082A8648CE3D030107034200043AEEB45C392357820A58FDFB0857BD77ADA31585C61C430531DFA53B440AFBFDD95AC887C658"
    "EA55260F808F55CA948DF235C2108A0D6DC7D4AB1A5E1A7955BE"
)
"""A charge of a real wallbox, as SAFE e.V. publishes it beside its transparency software."""


def checked(record: str, key: bytes | str) -> bool | None:
    found, stored = ocmf.read(record), ocmf.stored_key(key if isinstance(key, str) else key.hex())
    assert found is not None
    assert stored is not None
    return ocmf.is_signed_by(found, stored)


def test_a_real_wallboxs_record_holds() -> None:
    """And one digit of it changed does not."""
    assert checked(KEBA, KEBA_KEY) is True
    assert checked(KEBA.replace("0.2597", "0.2598"), KEBA_KEY) is False
    assert checked(KEBA, Meter().key) is False


CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "ECDSA-secp192r1-SHA256": (ec.SECP192R1(), hashes.SHA256()),
    "ECDSA-secp256k1-SHA256": (ec.SECP256K1(), hashes.SHA256()),
    "ECDSA-secp256r1-SHA256": (ec.SECP256R1(), hashes.SHA256()),
    "ECDSA-secp384r1-SHA256": (ec.SECP384R1(), hashes.SHA256()),
    "ECDSA-brainpool256r1-SHA256": (ec.BrainpoolP256R1(), hashes.SHA256()),
    "ECDSA-brainpool384r1-SHA256": (ec.BrainpoolP384R1(), hashes.SHA256()),
    "ECDSA-brainpoolP384r1-SHA256": (ec.BrainpoolP384R1(), hashes.SHA256()),
    "ECDSA-secp384r1-SHA384": (ec.SECP384R1(), hashes.SHA384()),
    "ECDSA-secp521r1-SHA512": (ec.SECP521R1(), hashes.SHA512()),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_every_algorithm_of_the_format_is_checked(name: str, encoding: str) -> None:
    """By the key as DER and as a bare point, in both encodings of the signature."""
    curve, digest = CURVES[name]
    meter = Meter(curve, name, digest, encoding)
    record = meter.charge(("B", NOW, "1"), ("E", NOW, "2"))
    assert checked(record, meter.key) is True
    assert checked(record, meter.point) is True
    assert checked(record, meter.point[1:]) is True
    assert checked(record, Meter(curve).key) is False
    assert checked(record, Meter(ec.SECP224R1()).key) is False


@pytest.mark.parametrize("algorithm", ["ECDSA-secp192k1-SHA256", "RSA", ""])
def test_an_algorithm_that_cannot_be_checked_says_so(algorithm: str) -> None:
    """It is neither right nor wrong."""
    meter = Meter(algorithm=algorithm)
    assert checked(meter.charge(("B", NOW, "1")), meter.key) is None


@pytest.mark.parametrize(
    "written",
    [
        KEBA_KEY,
        KEBA_KEY.lower(),
        f" {KEBA_KEY[:60]}\n{KEBA_KEY[60:]} ",
        f"oca:base16:asn1:{KEBA_KEY}",
        base64.b64encode(bytes.fromhex(KEBA_KEY)).decode(),
        base64.b64encode(KEBA_KEY.encode()).decode(),
        base64.b64encode(f"oca:base16:asn1:{KEBA_KEY}".encode()).decode(),
    ],
)
def test_a_key_is_the_same_however_it_is_written(written: str) -> None:
    """In hexadecimal, base64 or both, with or without the words of the Open Charge Alliance."""
    assert ocmf.stored_key(written) == KEBA_KEY.lower()


@pytest.mark.parametrize(
    "written",
    [
        "",
        "no key",
        "00",
        KEBA_KEY[:-2],
        "oca:",
        "oca:base16:asn1:zz",
        "A" * 2000,
        pytest.param(
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            .hex(),
            id="of no curve",
        ),
    ],
)
def test_what_is_no_key_of_a_curve_is_not_kept(written: str) -> None:
    """Empty, cut off, too long, or of another kind."""
    assert ocmf.stored_key(written) is None


def sent_as(record: str, key: str | None) -> dict[str, str]:
    encoded = base64.b64encode(record.encode()).decode()
    with_key = {} if key is None else {"publicKey": key}
    return {
        "plain": record,
        "base64": encoded,
        "2.0.1": json.dumps({"signedMeterData": encoded, "signingMethod": "", "encodingMethod": "OCMF", **with_key}),
        "1.6 with a key": json.dumps({"signedMeterValue": record, "encodingMethod": "OCMF", **with_key}),
    }


@pytest.mark.parametrize("way", ["plain", "base64", "2.0.1", "1.6 with a key"])
def test_a_record_is_found_in_what_a_charger_sends(way: str) -> None:
    """To the letter, with the key beside it where one is."""
    found = ocmf.opened(sent_as(KEBA, KEBA_KEY)[way])
    assert found == ocmf.Signed("OCMF", KEBA, None if way in ("plain", "base64") else KEBA_KEY.lower())


@pytest.mark.parametrize(
    ("sent", "format_", "record"),
    [
        ("<signed>EDL</signed>", "UNKNOWN", "<signed>EDL</signed>"),
        (json.dumps({"signedMeterData": "AP8A", "encodingMethod": "EDL\u202e 40"}), "EDL 40", "AP8A"),
        (json.dumps({"signedMeterData": "AP8A", "encodingMethod": "OCMF"}), "UNKNOWN", "AP8A"),
    ],
)
def test_other_formats_are_kept_as_they_are(sent: str, format_: str, record: str) -> None:
    """What is not a record of this format is not called one."""
    assert ocmf.opened(sent) == ocmf.Signed(format_, record, None)


@pytest.mark.parametrize(
    "sent",
    ["", "  ", "{}", '{"signedMeterData": "a\\u0000"}', '{"signedMeterData": "\\ud800"}', "x" * 16_385],
)
def test_what_cannot_be_kept_is_left_out(sent: str) -> None:
    """Nothing, more than is kept, or no text."""
    assert ocmf.opened(sent) is None


@given(st.text(max_size=60), st.sampled_from(["", "OCMF|", "OCMF|{}|", 'OCMF|{"RD":[{"TX":"B","RV":']))
def test_nothing_that_is_sent_breaks_the_reader(text: str, before: str) -> None:
    """Whatever stands in a record, it is read or it is not."""
    found = ocmf.opened(before + text)
    record = ocmf.read(found.record) if found else None
    if record is not None:
        assert ocmf.is_signed_by(record, KEBA_KEY.lower()) in (None, False)
        ocmf.energy_wh(iter([record]))
    ocmf.stored_key(text)


def test_the_energy_is_the_last_less_the_first_reading() -> None:
    """Over both records where start and end were signed apart, in whole Wh; of a start alone nothing is known."""
    meter = Meter()
    begun = ocmf.read(meter.charge(("B", NOW, "10.0004")))
    ended = ocmf.read(meter.charge(("E", NOW, "22.3456")))
    assert begun is not None
    assert ended is not None
    assert ocmf.energy_wh(iter([begun, ended])) == 12_345
    assert ocmf.energy_wh(iter([begun])) is None
    assert ocmf.energy_wh(iter([])) is None


@pytest.mark.parametrize(
    "reading",
    [
        {"TX": "E", "RV": "NaN", "RU": "kWh"},
        {"TX": "E", "RV": 1e300, "RU": "kWh"},
        {"TX": "E", "RV": 5, "RU": "mOhm"},
        {"TX": "E", "RV": 5, "RU": "kWh", "ST": "M"},
        {"TX": "E", "RV": 5, "RU": "kWh", "RI": "1-b:2.8.0"},
        {"TX": "E", "RU": "kWh"},
        "no reading",
    ],
)
def test_a_reading_that_is_not_good_counts_for_nothing(reading: object) -> None:
    """No number, another unit or register, or one that the meter itself doubts."""
    payload = {"RD": [{"TX": "B", "RV": 1, "RU": "kWh", "RI": "1-b:1.8.0"}, reading]}
    found = ocmf.read(Meter().record(payload))
    assert found is not None
    assert ocmf.energy_wh(iter([found])) is None


def test_a_card_is_not_in_what_others_are_shown() -> None:
    """A record that names nobody stays as it is; one that cannot be read is not shown."""
    meter = Meter()
    named = meter.charge(("B", NOW, "1"), card="04A1B2C3D4E5F6")
    assert "04A1B2C3D4E5F6" not in ocmf.without_identity(named, "…")
    assert '"ID": "…"' in ocmf.without_identity(named, "…")
    assert ocmf.without_identity(KEBA, "…") == KEBA
    assert ocmf.without_identity("04A1B2C3D4E5F6", "…") == ""
