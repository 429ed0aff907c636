"""Whose network addresses are: what limits count by. Pure."""

import ipaddress


def network_of(address: str) -> str:
    """Whose address it is: whoever has one IPv6 address has its whole /64. What is no address stands for itself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False).network_address)
