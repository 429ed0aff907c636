"""Client certificates for tests: signed by themselves, since a proxy has verified what reaches us."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.factories import NOW


def a_certificate(*names: str, dns: tuple[str, ...] = (), mail: str | None = None) -> x509.Certificate:
    """Made out to these common names, by "An authority"."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=365))
    )
    others: list[x509.GeneralName] = [x509.DNSName(one) for one in dns]
    if mail is not None:
        others.append(x509.RFC822Name(mail))
    if others:
        builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
    return builder.sign(key, hashes.SHA256())


def pem(certificate: x509.Certificate) -> str:
    """As a file has it."""
    return certificate.public_bytes(Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    """As the wire has it."""
    return certificate.public_bytes(Encoding.DER)
