"""Signed meter records of the Open Charge Metering Format (SAFE e.V.): taken out of what a charger sends, and checked. Pure.

A record is `OCMF|payload|signature`, two JSON objects; the signature is over the bytes of the payload as they stand. Whose key may be
believed is not decided here.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

OCMF: Final = "OCMF"
UNKNOWN_FORMAT: Final = "UNKNOWN"
LONGEST_SIGNED: Final = 16_384
"""Characters of a signed reading as it is sent: a record with a session's first and last reading has about 1,000."""
LONGEST_KEY: Final = 1_024
LONGEST_FORMAT: Final = 20
_HEAD = "OCMF|"

_SHA256, _SHA384, _SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
DEFAULT_ALGORITHM: Final = "ecdsa-secp256r1-sha256"
_ALGORITHMS: Final[Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "ecdsa-secp192r1-sha256": (ec.SECP192R1(), _SHA256),
    "ecdsa-secp256r1-sha256": (ec.SECP256R1(), _SHA256),
    "ecdsa-secp256k1-sha256": (ec.SECP256K1(), _SHA256),
    "ecdsa-secp384r1-sha256": (ec.SECP384R1(), _SHA256),
    "ecdsa-secp384r1-sha384": (ec.SECP384R1(), _SHA384),
    "ecdsa-secp521r1-sha256": (ec.SECP521R1(), _SHA256),
    "ecdsa-secp521r1-sha512": (ec.SECP521R1(), _SHA512),
    **{
        f"ecdsa-brainpool{name}r1-{digest}": (curve, algorithm)
        for bits, curve in ((256, ec.BrainpoolP256R1()), (384, ec.BrainpoolP384R1()))
        for name in (bits, f"p{bits}")
        for digest, algorithm in (("sha256", _SHA256), ("sha384", _SHA384))
    },
}
"""OCMF table 22, and the names that meters write for the same; secp192k1 is known to no library that is kept up."""

_POINT_LENGTHS = frozenset({24, 32, 48, 66})
"""Bytes of a coordinate on one of these curves."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a charger sent as a signed reading. `record` is as the meter wrote it, where that can be told."""

    format: str
    record: str
    public_key: str | None
    """As `stored_key` writes it; None where it came without one that can be used."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that can be read. `signed` are the bytes that the signature is over."""

    signed: bytes
    payload: Mapping[str, Any]
    signature: Mapping[str, Any]


def opened(sent: str) -> Signed | None:
    """The record, its format and the key beside it: plain, in base64, or as OCPP 2.0.1's SignedMeterValueType in JSON.

    None for what is empty, longer than LONGEST_SIGNED or no text that can be kept.
    """
    if len(sent) > LONGEST_SIGNED:
        return None
    found = _object(sent)
    envelope = found or {}
    # `signedMeterValue`: how some OCPP 1.6 chargers call it.
    content = _text(envelope.get("signedMeterData")) or _text(envelope.get("signedMeterValue"))
    record = _plain((sent if found is None else content) or "")
    if not record or not _is_text(record):
        return None
    key = _text(envelope.get("publicKey"))
    told = _text(envelope.get("encodingMethod"))
    return Signed(_format_of(record, told), record, None if key is None else stored_key(key))


def read(record: str) -> Record | None:
    """The record's parts; None where it is none."""
    if not record.startswith(_HEAD):
        return None
    decoder = json.JSONDecoder()
    try:
        payload, end = decoder.raw_decode(record, len(_HEAD))
        if record[end : end + 1] != "|":
            return None
        signature, _ = decoder.raw_decode(record, end + 1)
    except (ValueError, RecursionError):
        return None
    if not isinstance(payload, dict) or not isinstance(signature, dict):
        return None
    return Record(record[len(_HEAD) : end].encode(), payload, signature)


def is_signed_by(record: Record, key: str) -> bool | None:
    """Whether the holder of that key (`stored_key`) signed it; None where its algorithm is one that cannot be checked."""
    algorithm = _ALGORITHMS.get(str(record.signature.get("SA", DEFAULT_ALGORITHM)).lower())
    if algorithm is None or record.signature.get("SM", "application/x-der") != "application/x-der":
        return None
    curve, digest = algorithm
    found, signature = _loaded(key, curve), _signature_bytes(record.signature)
    if found is None or signature is None:
        return False
    try:
        found.verify(signature, record.signed, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def stored_key(text: str) -> str | None:
    """The public key as it is kept, in hexadecimal: DER, or a point whose curve the signature tells. None where it is no such key.

    Taken are DER and bare points, in hexadecimal or base64, also after `oca:base16:asn1:`.
    """
    content = _key_bytes("".join(text.split())[: LONGEST_KEY + 1])
    if content is None:
        return None
    if len(content) / 2 in _POINT_LENGTHS:
        return f"04{content.hex()}"
    if content[:1] == b"\x04" and (len(content) - 1) / 2 in _POINT_LENGTHS:
        return content.hex()
    try:
        key = load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()


def energy_wh(records: Iterator[Record]) -> int | None:
    """What the meter counted from the first reading of a charge to the last, in Wh; None where the records do not say both."""
    readings = [one for record in records for one in _readings(record.payload)]
    begun = [value for kind, value in readings if kind == "B"]
    ended = [value for kind, value in readings if kind in _ENDS]
    if not begun or not ended:
        return None
    return int((ended[-1] - begun[0]).quantize(Decimal(1), ROUND_HALF_EVEN))


def without_identity(record: str, hide: str) -> str:
    """The record with `hide` for whom it names (`ID`), so that no card can be made after it; "" where that cannot be told."""
    found = read(record)
    if found is None:
        return ""
    named = found.payload.get("ID")
    if named in (None, ""):
        return record
    signed = {**found.payload, "ID": hide}
    return f"{_HEAD}{json.dumps(signed, ensure_ascii=False)}|{json.dumps(dict(found.signature), ensure_ascii=False)}"


_ENDS = frozenset("ELRAP")
"""OCMF table 7: at the end, by whoever or whatever ended it."""
_WH_PER_UNIT = {"Wh": Decimal(1), "kWh": Decimal(1000)}
_IMPORT = "1.8.0"
"""OBIS code of imported energy; other codes of the same record are of other registers."""


def _readings(payload: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    """(kind, Wh) of each reading that is good; what a reading leaves out is as in the one before."""
    known: dict[str, Any] = {}
    listed = payload.get("RD")
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict):
            continue
        known |= {name: one[name] for name in ("RI", "RU", "ST") if name in one}
        scale = _WH_PER_UNIT.get(str(known.get("RU")))
        if scale is None or known.get("ST", "G") != "G" or _IMPORT not in str(known.get("RI", _IMPORT)):
            continue
        try:
            value = Decimal(str(one.get("RV"))) * scale
        except ArithmeticError:  # Also Overflow, of a number that nobody can have charged.
            continue
        if value.is_finite() and abs(value) < _MOST_WH:
            yield str(one.get("TX", "")), value


_MOST_WH = Decimal(10) ** 15


def _object(text: str) -> Mapping[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_text(record: str) -> bool:
    """Whether a database takes it: no half of a surrogate pair, no NUL."""
    try:
        return b"\x00" not in record.encode()
    except UnicodeEncodeError:
        return False


def _plain(content: str) -> str:
    """The record itself where it is one in base64, else the content as it is."""
    text = content.strip()
    if text.startswith(_HEAD):
        return text
    decoded = _base64("".join(text.split()))
    try:
        inner = decoded.decode() if decoded is not None else ""
    except UnicodeDecodeError:
        inner = ""
    return inner.strip() if inner.lstrip().startswith(_HEAD) else text


def _format_of(record: str, told: str | None) -> str:
    if record.startswith(_HEAD):
        return OCMF
    named = "".join(one for one in told or "" if one.isascii() and one.isprintable())[:LONGEST_FORMAT].strip()
    return UNKNOWN_FORMAT if named in ("", OCMF) else named


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _key_bytes(text: str) -> bytes | None:
    if len(text) > LONGEST_KEY:
        return None
    if text.startswith("oca:"):
        *_, encoding, _kind, content = text.split(":") if text.count(":") >= 3 else ("", "", "", "")
        return _hex(content) if encoding == "base16" else _base64(content)
    found = _hex(text) or _base64(text)
    # OCPP 2.0.1 has the key's text once more in base64.
    if found is not None and (found.startswith(b"oca:") or (len(found) > 90 and _hex(found.decode("latin-1")))):
        return _key_bytes(found.decode("latin-1"))
    return found


def _loaded(key: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePublicKey | None:
    """The key on that curve; None where it is of another."""
    content = bytes.fromhex(key)
    try:
        if content[:1] == b"\x04":
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, content)
        found = load_der_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    is_its = isinstance(found, ec.EllipticCurvePublicKey) and found.curve.name == curve.name
    return found if is_its and isinstance(found, ec.EllipticCurvePublicKey) else None


def _signature_bytes(section: Mapping[str, Any]) -> bytes | None:
    data, encoding = section.get("SD"), section.get("SE", "hex")
    if not isinstance(data, str):
        return None
    return _base64(data) if encoding == "base64" else _hex(data) if encoding == "hex" else None
