"""Whom a client certificate names: as a reverse proxy passes it on that has verified it."""

import base64
import binascii
from typing import Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509.oid import NameOID

_LONGEST: Final = 16 * 1024
_PEM: Final = "-----BEGIN CERTIFICATE-----"

NOBODY: frozenset[str] = frozenset()


class UnreadableCertificateError(ValueError):
    """What was passed on is no certificate."""


def names_in(header: str) -> frozenset[str]:
    """The names of the certificate's owner: its common names, and the DNS names among its alternative names. None for an empty header.

    Understood are PEM with `%` escapes (nginx), and DER in base64, bare (Caddy, HAProxy, Traefik) or between colons (RFC 9440); of several
    the first is the client's. Raises UnreadableCertificateError.
    """
    text = header.strip()
    if not text:
        return NOBODY
    if len(text) > _LONGEST:
        raise UnreadableCertificateError("longer than any certificate")
    try:
        return _names(_certificate(unquote(text)))
    except (
        ValueError,
        binascii.Error,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise UnreadableCertificateError("no certificate") from error


def _certificate(text: str) -> x509.Certificate:
    if text.startswith(_PEM):
        return x509.load_pem_x509_certificate(text.encode())
    first = text.split(",", maxsplit=1)[0].strip()
    if len(first) > 1 and first.startswith(":") and first.endswith(":"):
        first = first[1:-1]
    return x509.load_der_x509_certificate(base64.b64decode(first, validate=True))


def _names(certificate: x509.Certificate) -> frozenset[str]:
    common = {str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset(common)
    return frozenset(common | set(alternative.get_values_for_type(x509.DNSName)))
