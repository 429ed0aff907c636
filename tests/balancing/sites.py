"""Random ev-balance/1 documents: small trees, every switching, other load that differs per line."""

import random
from typing import Any

from hypothesis import strategies as st

Document = dict[str, Any]
WIRINGS = (["L1", "L2", "L3"], ["L2", "L3", "L1"], ["L3", "L1", "L2"], ["L2", "L1", "L3"])


def charger(
    rng: random.Random, name: str, circuits: list[str], *, switchings: tuple[str, ...], is_it: bool
) -> Document:
    wiring = rng.choice(WIRINGS)
    if rng.random() < 0.15:
        wiring = wiring[:2] if is_it else wiring[:1]
    found: Document = {
        "id": name,
        "circuit": rng.choice(circuits),
        "wiring": wiring,
        "switching": rng.choice(switchings),
        "min_current": rng.choice([6, 6, 6, 8, 40]) if rng.random() < 0.3 else 6,
        "max_current": rng.choice([16, 32]),
        "max_current_1p": rng.choice([None, None, 20]),
        "state": rng.choice(["charging", "charging", "queued", "queued", "queued", "idle", "offline"]),
        "vehicle": {"phases": rng.choice([1, 1, 2, 3, 3, None]), "max_current": rng.choice([10, 16, 20, 32, None])},
        "priority": rng.choice([0, 0, 0, 1]),
        "tier": rng.choice([0, 0, 1]),
        "weight": rng.choice([1.0, 1.0, 2.0]),
        "credit": rng.choice([0, 100, rng.randrange(1000)]),
    }
    if rng.random() < 0.3:
        found["fallback"] = {"current": rng.choice([0, 6]), "phases": wiring}
    return found


def site(
    rng: random.Random,
    *,
    most: int,
    switchings: tuple[str, ...] = ("none",),
    networks: tuple[tuple[str, str], ...] = (("TN_3", "arithmetic"),),
) -> Document:
    """A site with up to `most` chargers."""
    network, model = rng.choice(networks)
    circuits: list[Document] = []
    for number in range(rng.choice([1, 1, 2, 3])):
        size = rng.choice([10, 16, 20, 25, 32, 40, 63])
        circuits.append(
            {
                "id": f"k{number}",
                "parent": None if number == 0 else f"k{rng.randrange(number)}",
                "fuse": [size, size, size + rng.choice([0, 0, 3.7])],
                "other_load": [rng.choice([0, 0, 5.3, 12.1, -4]) for _ in range(3)],
            }
        )
    names = [circuit["id"] for circuit in circuits]
    chargers = [
        charger(rng, f"c{number}", names, switchings=switchings, is_it=network == "IT_3")
        for number in range(rng.randrange(most + 1))
    ]
    return {
        "format": "ev-balance/1",
        "id": "site",
        "installation": {"id": "site", "name": "site", "network": network, "line_current_model": model},
        "circuits": circuits,
        "chargers": chargers,
    }


ALL_NETWORKS = (("TN_3", "arithmetic"), ("TN_3", "arithmetic"), ("IT_3", "arithmetic"), ("IT_3", "vector"))
ALL_SWITCHINGS = ("none", "three_to_one", "any_phase")

seeds = st.integers(min_value=0, max_value=2**32 - 1)
any_site = st.builds(
    lambda seed: site(random.Random(seed), most=7, switchings=ALL_SWITCHINGS, networks=ALL_NETWORKS), seeds
)
small_site = st.builds(
    lambda seed: site(random.Random(seed), most=4, switchings=ALL_SWITCHINGS, networks=ALL_NETWORKS), seeds
)
fixed_site = st.builds(lambda seed: site(random.Random(seed), most=9, networks=ALL_NETWORKS), seeds)
