"""An independent judge of allocations, straight from FORMAT.md on plain JSON: H1-H4 and the objective vector.

It shares no code with the allocator, so that neither can hide the other's mistake.
"""

import math
from typing import Any

Document = dict[str, Any]
"""A decoded ev-balance/1 or ev-balance-allocation/1 document."""

ORDER = ("L1", "L2", "L3")
TOLERANCE = 1e-6
SQRT3 = math.sqrt(3)


def _is_it(instance: Document) -> bool:
    return str(instance["installation"]["network"]).startswith("IT")


def _is_vector(instance: Document) -> bool:
    return _is_it(instance) and instance["installation"].get("line_current_model") == "vector"


def _car_phases(charger: Document) -> int:
    return int((charger.get("vehicle") or {}).get("phases") or 3)


def permitted(instance: Document, charger: Document) -> set[frozenset[str]]:
    """Line sets by wiring, switching and car."""
    wiring, switching, phases = charger["wiring"], charger.get("switching", "none"), _car_phases(charger)
    if _is_it(instance):
        if len(wiring) == 2:
            return {frozenset(wiring)}
        found = {frozenset(wiring)} if phases == 3 else {frozenset(wiring[:2])}
        if switching == "three_to_one":
            found.add(frozenset(wiring[:2]))
        if switching == "any_phase":
            found |= {frozenset(ORDER) - {line} for line in ORDER}
        return found
    found = {frozenset(wiring[: min(phases, len(wiring))])}
    if len(wiring) == 3 and switching == "three_to_one":
        found.add(frozenset(wiring[:1]))
    if len(wiring) == 3 and switching == "any_phase":
        found |= {frozenset([line]) for line in wiring}
    return found


def kappa(instance: Document, lines: frozenset[str]) -> float:
    if _is_it(instance):
        return SQRT3 if len(lines) == 3 else 1.0
    return float(len(lines))


def _paths(instance: Document) -> dict[str, list[str]]:
    parents = {circuit["id"]: circuit.get("parent") for circuit in instance["circuits"]}
    paths: dict[str, list[str]] = {}
    for name in parents:
        path, above = [], name
        while above is not None:
            path.append(above)
            above = parents[above]
        paths[name] = path
    return paths


def _reserved(instance: Document, circuit: str) -> list[float]:
    return _all_reserved(instance)[circuit]


def _all_reserved(instance: Document) -> dict[str, list[float]]:
    paths = _paths(instance)
    held = {name: [0.0] * 3 for name in paths}
    for charger in instance["chargers"]:
        if charger["state"] != "offline":
            continue
        fallback = charger.get("fallback") or {"current": charger.get("max_current", 32)}
        for name in paths[charger["circuit"]]:
            for line in fallback.get("phases") or charger["wiring"]:
                held[name][ORDER.index(line)] += fallback["current"]
    return held


def line_currents(instance: Document, loads: list[tuple[float, frozenset[str]]]) -> list[float]:
    """Managed current per line, by plain or phasor sums."""
    if not _is_vector(instance):
        return [sum(current for current, lines in loads if line in lines) for line in ORDER]
    three = sum(current for current, lines in loads if len(lines) == 3)
    pair = {
        frozenset(key): sum(current for current, lines in loads if lines == frozenset(key))
        for key in (("L1", "L2"), ("L2", "L3"), ("L3", "L1"))
    }
    found = []
    for line in ORDER:
        one, two = (current for key, current in pair.items() if line in key)
        found.append(math.hypot(three + SQRT3 / 2 * (one + two), 0.5 * (one - two)))
    return found


def _given(instance: Document, allocation: Document) -> dict[str, tuple[float, frozenset[str]]]:
    given: dict[str, tuple[float, frozenset[str]]] = {}
    for entry in allocation["allocation"]:
        assert entry["charger"] not in given, "a charger is listed twice"
        given[entry["charger"]] = (float(entry["current"]), frozenset(entry["phases"]))
    assert set(given) <= {charger["id"] for charger in instance["chargers"]}
    return given


def violations(instance: Document, allocation: Document) -> list[str]:
    """What of H1-H4 does not hold, in words."""
    given, found = _given(instance, allocation), []
    for charger in instance["chargers"]:
        current, lines = given.get(charger["id"], (0.0, frozenset()))
        if current:
            found += [f"{charger['id']}: {problem}" for problem in _set_point(instance, charger, current, lines)]
    paths = _paths(instance)
    below: dict[str, list[tuple[float, frozenset[str]]]] = {circuit["id"]: [] for circuit in instance["circuits"]}
    for charger in instance["chargers"]:
        if charger["id"] in given:
            for name in paths[charger["circuit"]]:
                below[name].append(given[charger["id"]])
    reserved = _all_reserved(instance)
    for circuit in instance["circuits"]:
        flowing, held = line_currents(instance, below[circuit["id"]]), reserved[circuit["id"]]
        for index, line in enumerate(ORDER):
            other = max(0.0, circuit.get("other_load", [0, 0, 0])[index])
            if flowing[index] > max(0.0, circuit["fuse"][index] - other - held[index]) + TOLERANCE:
                found.append(f"{circuit['id']} {line}: {flowing[index]} A is too much")
    return found


def _set_point(instance: Document, charger: Document, current: float, lines: frozenset[str]) -> list[str]:
    if charger["state"] not in ("charging", "queued"):
        return ["has current although it wants none"]
    found = []
    if lines not in permitted(instance, charger):
        found.append(f"{sorted(lines)} is no mode of it")
    modes = charger.get("modes")
    if modes is not None and lines not in [frozenset(mode) for mode in modes]:
        found.append(f"{sorted(lines)} is not allowed now")
    most = [charger.get("max_current", 32), (charger.get("vehicle") or {}).get("max_current")]
    if len(lines) == (2 if _is_it(instance) else 1):
        most.append(charger.get("max_current_1p"))
    if current < charger.get("min_current", 6) - TOLERANCE:
        found.append(f"{current} A is below its minimum")
    if current > min(cap for cap in most if cap is not None) + TOLERANCE:
        found.append(f"{current} A is above its maximum")
    step = charger.get("current_step")
    if step and abs(current / step - round(current / step)) > TOLERANCE:
        found.append(f"{current} A is no whole number of {step} A")
    return found


def objective(instance: Document, allocation: Document) -> dict[str, list[float]]:
    """The five levels by name, larger is better everywhere."""
    given = _given(instance, allocation)
    wanting = [charger for charger in instance["chargers"] if charger["state"] in ("charging", "queued")]
    on = [charger for charger in wanting if given.get(charger["id"], (0.0, frozenset()))[0] > 0]
    classes = sorted({_class(charger) for charger in wanting}, reverse=True)
    served: list[float] = []
    for each in classes:
        members = [charger for charger in on if _class(charger) == each]
        served += [float(len(members)), sum(charger.get("credit", 0) for charger in members)]
    shares, power = [], 0.0
    for charger in on:
        current, lines = given[charger["id"]]
        best = max(kappa(instance, mode) for mode in permitted(instance, charger))
        shares.append(kappa(instance, lines) * current / (best * charger.get("weight", 1.0)))
        power += kappa(instance, lines) * current
    return {
        "served": served,
        "shares": sorted(shares),
        "power": [power],
        "imbalance": [-_imbalance(instance, [given[charger["id"]] for charger in on])],
        "changes": _changes(wanting, given),
    }


def _class(charger: Document) -> tuple[int, int]:
    return (charger.get("priority", 0), charger.get("tier", 0))


def _imbalance(instance: Document, loads: list[tuple[float, frozenset[str]]]) -> float:
    if _is_vector(instance) or instance["installation"]["network"] in ("TN_1", "IT_1"):
        return 0.0
    root = next(circuit for circuit in instance["circuits"] if circuit.get("parent") is None)
    other = [max(0.0, load) for load in root.get("other_load", [0, 0, 0])]
    total = [load + flowing for load, flowing in zip(other, line_currents(instance, loads), strict=True)]
    return float(max(total) - min(total))


def _changes(wanting: list[Document], given: dict[str, tuple[float, frozenset[str]]]) -> list[float]:
    changed, difference = 0, 0.0
    for charger in wanting:
        previous = charger.get("previous")
        if previous is None:
            continue
        current, lines = given.get(charger["id"], (0.0, frozenset()))
        lines_before = frozenset(previous.get("phases") or ["on, nobody knows where"])
        was = lines_before if previous["current"] > 0 else frozenset()
        changed += was != (lines if current > 0 else frozenset())
        difference += abs(current - previous["current"])
    return [float(-changed), -difference]


def first_difference(mine: dict[str, list[float]], other: dict[str, list[float]], *, within: float = 0.02) -> str:
    """The first level on which two objective vectors differ by more than a judge forgives, or nothing."""
    for level, values in mine.items():
        if len(values) != len(other[level]):
            return level
        allowed = 1e-6 if level == "served" else within
        for left, right in zip(values, other[level], strict=True):
            if abs(left - right) > allowed * max(1.0, abs(left) if level == "served" else 1.0):
                return f"{level}: {left} and {right}"
    return ""
