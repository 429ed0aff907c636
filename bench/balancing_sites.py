"""Sites to balance, made from a seed: trees of a given depth whose fuses carry 1/tightness of what all cars together could take."""

import random
from typing import Any, Final

Document = dict[str, Any]
"""A decoded ev-balance/1 instance."""

LINES: Final = ("L1", "L2", "L3")
ROTATIONS: Final = (["L1", "L2", "L3"], ["L2", "L3", "L1"], ["L3", "L1", "L2"])
SWITCHINGS: Final = ("none", "three_to_one", "any_phase")
TIGHTNESSES: Final = (1.2, 2.5, 6.0)
DEPTHS: Final = (1, 2, 3, 4)
NETWORKS: Final = (("TN_3", "arithmetic"), ("TN_3", "arithmetic"), ("IT_3", "arithmetic"), ("IT_3", "vector"))
A_LEAF: Final = 10
"""Chargers on one circuit of the lowest level, about."""


def site(
    seed: int,
    chargers: int,
    *,
    switchings: tuple[str, ...] = SWITCHINGS,
    networks: tuple[tuple[str, str], ...] = NETWORKS,
) -> Document:
    """The site of a seed: depth, tightness and network are drawn too."""
    rng = random.Random(seed)
    network, model = rng.choice(networks)
    circuits = _tree(rng, rng.choice(DEPTHS), chargers)
    leaves = [name for name in circuits if name not in circuits.values()]
    found = [
        _charger(rng, f"c{number:05}", _circuit_of(rng, leaves, list(circuits)), switchings, is_it=network == "IT_3")
        for number in range(chargers)
    ]
    return {
        "format": "ev-balance/1",
        "id": f"seed {seed}",
        "installation": {"id": "site", "name": "site", "network": network, "line_current_model": model},
        "circuits": _with_fuses(rng, circuits, found, rng.choice(TIGHTNESSES)),
        "chargers": found,
    }


def _tree(rng: random.Random, depth: int, chargers: int) -> dict[str, str | None]:
    """Circuit → parent, parents first."""
    found: dict[str, str | None] = {"k": None}
    level = ["k"]
    leaves = max(2, chargers // A_LEAF)
    for below in range(1, depth):
        width = max(2, round(leaves ** (below / (depth - 1))))
        level = [_hang(found, rng.choice(level), number) for number in range(width)]
    return found


def _hang(tree: dict[str, str | None], parent: str, number: int) -> str:
    name = f"{parent}.{number}"
    tree[name] = parent
    return name


def _circuit_of(rng: random.Random, leaves: list[str], every: list[str]) -> str:
    return rng.choice(leaves) if rng.random() < 0.95 else rng.choice(every)


def _charger(rng: random.Random, name: str, circuit: str, switchings: tuple[str, ...], *, is_it: bool) -> Document:
    wiring = list(rng.choice(ROTATIONS))
    if rng.random() < 0.2:
        wiring = wiring[: 2 if is_it else 1]
    found: Document = {
        "id": name,
        "circuit": circuit,
        "wiring": wiring,
        "switching": rng.choice(switchings),
        "min_current": 6,
        "max_current": rng.choice([16, 20, 32, 32]),
        "max_current_1p": None,
        "state": rng.choices(["charging", "queued", "idle", "finished", "offline"], [45, 45, 5, 2, 3])[0],
        "vehicle": {
            "phases": rng.choices([1, 2, 3, None], [35, 10, 45, 10])[0],
            "max_current": rng.choice([10, 16, 16, 20, 32, None]),
        },
        "priority": rng.choices([0, 1], [9, 1])[0],
        "tier": rng.choices([0, 1, 2], [6, 2, 2])[0],
        "weight": rng.choices([1.0, 2.0], [9, 1])[0],
        "credit": rng.randrange(0, 3600),
        "fallback": {"current": 6, "phases": wiring},
    }
    if rng.random() < 0.5:
        found["previous"] = {"current": rng.choice([0, 6, 10.5]), "phases": wiring}
    return found


def _with_fuses(
    rng: random.Random, tree: dict[str, str | None], chargers: list[Document], tightness: float
) -> list[Document]:
    demand = {name: [0.0, 0.0, 0.0] for name in tree}
    for charger in chargers:
        phases = charger["vehicle"]["phases"] or 3
        most = min(charger["max_current"], charger["vehicle"]["max_current"] or 99)
        above: str | None = charger["circuit"]
        while above is not None:
            for line in charger["wiring"][:phases]:
                demand[above][LINES.index(line)] += most
            above = tree[above]
    found = []
    for name, parent in tree.items():
        fuse = max(16.0, round(max(demand[name]) / tightness * rng.uniform(0.85, 1.3)))
        other = [round(rng.uniform(0, 0.1) * fuse, 1) if rng.random() < 0.5 else 0.0 for _ in LINES]
        found.append({"id": name, "parent": parent, "fuse": [fuse] * 3, "other_load": other})
    return found
