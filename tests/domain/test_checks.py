"""What people write is looked at before it is kept."""

import pytest

from domain.checks import Problems
from domain.errors import ValidationError


@pytest.mark.parametrize(
    "address",
    [
        "a<b@example.org",
        "<victim@example.org",
        "a:b@example.org",
        "evil@example.org>",
        "ok@example.org,bcc",
        "root,x@example.org",
        '"a"@example.org',
        "a(b)@example.org",
        "a;b@example.org",
        "a@b\r\nTo: c@d.e",
    ],
)
def test_an_address_means_one_mailbox_and_the_one_that_is_written(address: str) -> None:
    """Signs that group, quote or comment addresses would send mail to another one."""
    problems = Problems()
    problems.email("email", address)
    with pytest.raises(ValidationError):
        problems.raise_any()


@pytest.mark.parametrize("address", ["kari@example.org", "o'hara+ev@sub.example.co", "jürgen@büro.example"])
def test_ordinary_addresses_are_taken(address: str) -> None:
    """Also with letters of other languages."""
    problems = Problems()
    problems.email("email", address)
    problems.raise_any()
