"""A meter that signs what it counts (OCMF), with a key of its own."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass
class Meter:
    """Signs as `algorithm` says, by a key on `curve`."""

    curve: ec.EllipticCurve = field(default_factory=ec.SECP256R1)
    algorithm: str | None = None
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)
    encoding: str = "hex"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(self.curve)

    @property
    def key(self) -> bytes:
        """Its public key as DER."""
        return self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def point(self) -> bytes:
        """Its public key as an uncompressed point."""
        return self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def record(self, payload: Mapping[str, Any]) -> str:
        """The payload, signed."""
        text = json.dumps(payload)
        signature = self._key.sign(text.encode(), ec.ECDSA(self.digest))
        data = base64.b64encode(signature).decode() if self.encoding == "base64" else signature.hex().upper()
        section = {"SD": data}
        if self.encoding != "hex":
            section["SE"] = self.encoding
        if self.algorithm is not None:
            section["SA"] = self.algorithm
        return f"OCMF|{text}|{json.dumps(section)}"

    def charge(self, *readings: tuple[str, datetime, str], card: str = "") -> str:
        """A record with (kind, when, kWh) of each reading."""
        return self.record(
            {
                "FV": "1.0",
                "GS": "1",
                "PG": "T1",
                "IS": bool(card),
                "ID": card,
                "RD": [
                    {
                        "TM": f"{at:%Y-%m-%dT%H:%M:%S,000%z} S",
                        "TX": kind,
                        "RV": float(kwh),
                        "RI": "1-b:1.8.0",
                        "RU": "kWh",
                    }
                    for kind, at, kwh in readings
                ],
            }
        )
