"""Which commands may go out now, so that no order, loss or repetition of messages puts a line above its capacity.

What a charger may draw is reserved, never what it was last told: per line the largest of its last confirmed offer,
every target sent since, and its measured draw. A command that reserves no more than before goes at once; one that
reserves more goes as far as every circuit still has room for it. A link delivers targets in the order they were sent,
or not at all, and a new link only after the old one is closed (one WebSocket per charger).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from balancing.circuit import NO_CURRENT, Allocation, Fallback, Line, Lines, Vector
from balancing.failsafe import (
    NO_OFFER,
    Offer,
    Reservation,
    must_renew,
    offline_reservation,
    per_line,
    reservation,
)
from balancing.phases import SLACK, line_loads, round_down

FOLLOWS_WITHIN_A = 0.5
"""A draw up to so much above a target follows it (docs/balancing.md §2, reduce before increase)."""

UNMEASURED_CONFIRMATION_S = 15.0
"""10 s for the charger to change its pilot and 5 s for the car to follow it (IEC 61851-1 Annex A)."""

LEAST_CONFIRMATION_S = 5.0
"""What the car alone may take by IEC 61851-1; no model is trusted to be faster."""

MEASUREMENT_COUNTS_S = 60.0
"""Younger measurements bind; a charger whose last one is older counts as one that does not measure."""

REPEAT_S = 30.0
MOST_UNHEARD = 6
"""Repeated offers that are remembered one by one; a charger that never answers must not fill the memory."""

SILENT_S = 120.0
SMALL_INCREASE_WAITS_S = 30.0
SMALL_INCREASE_A = 0.5
SMALL_INCREASE_PART = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """An offer that was sent, by its number on this charger; `acknowledged_s` None: nobody knows whether it arrived."""

    number: int
    offer: Offer
    sent_s: float
    acknowledged_s: float | None = None


@dataclass(frozen=True, slots=True)
class ChargerStage:
    """How one charger stands: its last confirmed offer, the targets since, oldest first, and its measured draw.

    `confirmed` None: what it holds is not known since `confirmed_s`, so its maximum on all wired lines is reserved.
    `fallback` None: nobody knows what it does alone. Instants are seconds of one monotonic clock.
    """

    charger: str
    circuit: str
    wiring: Lines
    max_current: float
    min_current: float = 6.0
    current_step: float = 0.0
    confirmed: Offer | None = None
    confirmed_s: float = -math.inf
    targets: tuple[Target, ...] = ()
    next_number: int = 0
    measured: Vector | None = None
    measured_s: float = -math.inf
    fallback: Fallback | None = None
    is_online: bool = True
    keeps_schedule: bool = True
    confirmation_s: float = UNMEASURED_CONFIRMATION_S
    may_rise: bool = True
    """Whether its kind of charger bears one more increase now."""
    spread: float = 1.0
    """What a line may carry for each ampere that is offered: √3 where two converters of an unknown car may share a line."""

    @property
    def latest(self) -> Offer | None:
        """The last offer that was sent, or is confirmed; None = not known."""
        return self.targets[-1].offer if self.targets else self.confirmed

    @property
    def last_sent_s(self) -> float:
        """When anything was last sent."""
        return self.targets[-1].sent_s if self.targets else self.confirmed_s


@dataclass(frozen=True, slots=True)
class CircuitRoom:
    """A circuit's capacity for all managed chargers below it, offline ones included."""

    id: str
    parent: str | None
    capacity: Vector


@dataclass(frozen=True, slots=True)
class SiteState:
    """Everything that staging depends on; `uses_vectors` as in the instance."""

    circuits: tuple[CircuitRoom, ...]
    chargers: tuple[ChargerStage, ...]
    uses_vectors: bool = False


class StepKind(StrEnum):
    """Why a command goes out."""

    REDUCE = "reduce"
    INCREASE = "increase"
    REPEAT = "repeat"
    RENEW = "renew"
    STOP = "stop"
    TURN = "turn"
    """Nothing, on other lines than before."""


@dataclass(frozen=True, slots=True)
class Step:
    """One offer to send to one charger now; `is_alert`: the charger does not follow its offers."""

    charger: str
    offer: Offer
    kind: StepKind
    reason: str
    is_alert: bool = False


def sent(stage: ChargerStage, offer: Offer, now_s: float) -> ChargerStage:
    """The stage once an offer is stored, before it is sent."""
    target = Target(stage.next_number, offer, now_s)
    earlier = stage.targets if len(stage.targets) < MOST_UNHEARD else _without_repeats(stage.targets, offer)
    return replace(stage, targets=(*earlier, target), next_number=stage.next_number + 1)


def _without_repeats(targets: tuple[Target, ...], offer: Offer) -> tuple[Target, ...]:
    """The targets without most of those that made the same offer, which is about to be sent again.

    Since when the charger is unheard stays known, and that it was told twice.
    """
    unheard = [target for target in targets if target.acknowledged_s is None]
    heard = [target for target in targets if target.acknowledged_s is not None and target.offer == offer]
    kept = {target.number for target in (*unheard[:1], *heard[-2:])}
    return tuple(target for target in targets if target.offer != offer or target.number in kept)


def acknowledged(stage: ChargerStage, number: int, now_s: float) -> ChargerStage:
    """The stage once the charger said that it accepted a target; a repeated or late word changes nothing."""
    targets = tuple(
        replace(target, acknowledged_s=now_s) if target.number == number and target.acknowledged_s is None else target
        for target in stage.targets
    )
    return replace(stage, targets=targets)


def refused(stage: ChargerStage, number: int) -> ChargerStage:
    """The stage once the charger said that it rejected a target: what it held before stands."""
    return replace(stage, targets=tuple(target for target in stage.targets if target.number != number))


def measured(stage: ChargerStage, draw: Vector, now_s: float) -> ChargerStage:
    """The stage with a newer measured draw; an older one changes nothing."""
    return replace(stage, measured=draw, measured_s=now_s) if now_s >= stage.measured_s else stage


def settled(stage: ChargerStage, now_s: float) -> ChargerStage:
    """The stage with its newest acknowledged target confirmed, where the car follows it; older targets are past.

    A target that was sent later and is not acknowledged stays reserved.
    """
    newest = _newest_acknowledged(stage)
    if newest is None or not _follows(stage, newest, now_s):
        return stage
    kept = tuple(target for target in stage.targets if target.number >= newest.number)
    return replace(stage, confirmed=newest.offer, confirmed_s=newest.sent_s, targets=kept)


def relined(stage: ChargerStage, lines: Lines) -> ChargerStage:
    """The stage once it is known which of the lines that its charger has closed the car loads: every offer is one on these."""

    def turned(offer: Offer) -> Offer:
        return Offer(offer.current, lines) if offer.current > 0 else offer

    confirmed = None if stage.confirmed is None else turned(stage.confirmed)
    return replace(
        stage, confirmed=confirmed, targets=tuple(replace(one, offer=turned(one.offer)) for one in stage.targets)
    )


def reconnected(stage: ChargerStage, now_s: float) -> ChargerStage:
    """The stage once a charger is back or the portal started anew: what it holds is not known, old targets are dead."""
    return replace(stage, confirmed=None, confirmed_s=now_s, targets=(), is_online=True)


def _newest_acknowledged(stage: ChargerStage) -> Target | None:
    return next((target for target in reversed(stage.targets) if target.acknowledged_s is not None), None)


def _draw(stage: ChargerStage, now_s: float) -> Vector | None:
    return stage.measured if now_s - stage.measured_s <= MEASUREMENT_COUNTS_S else None


def _loading(stage: ChargerStage, offer: Offer) -> Offer:
    """What the lines may carry while that is offered."""
    return Offer(stage.spread * offer.current, offer.lines) if offer.current > 0 else offer


def _is_above(stage: ChargerStage, draw: Vector, offer: Offer) -> bool:
    booked = _loading(stage, offer).vector
    return any(drawn > held + FOLLOWS_WITHIN_A for drawn, held in zip(draw, booked, strict=True))


def _follows(stage: ChargerStage, target: Target, now_s: float) -> bool:
    """Whether an acknowledged target is confirmed: measured after it, or time enough where nothing is measured."""
    if target.acknowledged_s is None:
        return False
    draw = _draw(stage, now_s)
    if draw is None:
        return now_s - target.acknowledged_s >= max(LEAST_CONFIRMATION_S, stage.confirmation_s)
    return stage.measured_s > target.acknowledged_s and not _is_above(stage, draw, target.offer)


def is_silent(stage: ChargerStage, now_s: float) -> bool:
    """Whether a target went without any acknowledgement for so long that the charger counts as offline."""
    newest = _newest_acknowledged(stage)
    unheard = [t.sent_s for t in stage.targets if newest is None or t.number > newest.number]
    return bool(unheard) and now_s - unheard[0] >= SILENT_S


def reserved(stage: ChargerStage, now_s: float) -> Reservation:
    """What this charger may draw now."""
    offers = [_loading(stage, target.offer) for target in stage.targets]
    confirmed = None if stage.confirmed is None else _loading(stage, stage.confirmed)
    most = stage.spread * stage.max_current
    if not stage.is_online or is_silent(stage, now_s):
        offers.append(Offer(most, stage.wiring) if confirmed is None else confirmed)
        return offline_reservation(
            offers,
            _draw(stage, now_s),
            fallback=stage.fallback,
            max_current=stage.max_current,
            wiring=stage.wiring,
            since_last_sent_s=now_s - stage.last_sent_s,
            keeps_schedule=stage.keeps_schedule,
        )
    if not stage.keeps_schedule:
        # What it does alone it may do at any time.
        alone = stage.max_current if stage.fallback is None else stage.fallback.current
        offers.append(Offer(alone, stage.wiring))
    return reservation(confirmed, offers, _draw(stage, now_s), max_current=most, wiring=stage.wiring)


def beyond(stage: ChargerStage, now_s: float) -> Vector:
    """Ampere per line that are drawn beyond every offer that may be in force: the car, or its charger, does not obey.

    A draw that follows within tolerance counts as none, and so does one of a charger that cannot be controlled: all that
    it may draw is reserved in another way.
    """
    draw = _draw(stage, now_s)
    if draw is None or not stage.is_online or is_silent(stage, now_s):
        return NO_CURRENT
    booked = reserved(replace(stage, measured=None), now_s).vector
    return per_line(lambda drawn, held: drawn - held if drawn > held + FOLLOWS_WITHIN_A else 0.0, draw, booked)


def plan(state: SiteState, wanted: Allocation, now_s: float) -> list[Step]:
    """The commands that may go out now, reductions first; at most one a charger.

    Every stage is settled first. Nothing that these steps reserve passes a capacity that held before.
    """
    site = _Site(state, now_s)
    targets = {setpoint.charger: Offer(setpoint.current, setpoint.phases) for setpoint in wanted.setpoints}
    steps: list[Step] = []
    rises: list[tuple[ChargerStage, Offer]] = []
    for stage in site.stages:
        if not stage.is_online:
            continue
        if is_silent(stage, now_s):
            # It may answer again on this very connection; saying the same again reserves no more than before.
            steps.extend(_upkeep(stage, now_s))
            continue
        goal = targets.get(stage.charger, NO_OFFER)
        if goal.current <= 0:
            goal = NO_OFFER
        step = _disobedience(stage, now_s) or site.reduction(stage, goal)
        if step is not None:
            steps.append(step)
        elif stage.latest is not None and _is_same(stage.latest, goal):
            steps.extend(_upkeep(stage, now_s))
        else:
            rises.append((stage, goal))
    for step in steps:
        site.take(step)
    rises.sort(key=lambda rise: (rise[0].latest.current if rise[0].latest else 0.0, rise[0].charger))
    for stage, goal in rises:
        for step in (site.increase(stage, goal) if stage.may_rise else None) or _upkeep(stage, now_s):
            site.take(step)
            steps.append(step)
    return steps


def _disobedience(stage: ChargerStage, now_s: float) -> Step | None:
    """What a charger gets that acknowledged its target and goes on drawing more: the target again, then nothing."""
    newest, draw = _newest_acknowledged(stage), _draw(stage, now_s)
    if newest is None or newest.acknowledged_s is None or draw is None or newest is not stage.targets[-1]:
        return None
    heard_s = newest.acknowledged_s
    if stage.measured_s <= heard_s or not _is_above(stage, draw, newest.offer) or now_s - heard_s < REPEAT_S:
        return None
    times = sum(t.offer == newest.offer and t.acknowledged_s is not None for t in stage.targets)
    if newest.offer == NO_OFFER:
        return Step(stage.charger, NO_OFFER, StepKind.REPEAT, "draws current although paused", is_alert=True)
    if times < 2:
        return Step(stage.charger, newest.offer, StepKind.REPEAT, "draws more than it is offered")
    return Step(stage.charger, NO_OFFER, StepKind.STOP, "draws more than it is offered, twice told", is_alert=True)


def _upkeep(stage: ChargerStage, now_s: float) -> list[Step]:
    """The newest offer again where nobody acknowledged it, or before it runs out."""
    offer = stage.latest
    if offer is None:
        return []
    age_s = now_s - stage.last_sent_s
    if stage.targets and stage.targets[-1].acknowledged_s is None:
        again = age_s >= REPEAT_S
        return [Step(stage.charger, offer, StepKind.REPEAT, "not acknowledged")] if again else []
    return [Step(stage.charger, offer, StepKind.RENEW, "runs out")] if must_renew(age_s) else []


UNKNOWN = "what it holds is not known"

UNKNOWN_WAITS_S = 60.0
"""A charger reports its draw every 30 s while it charges, and the first report may be too early to count.

A pause would cost its car more than this wait.
"""

SAME_A = 1e-6
"""Offers that differ by less are the same offer; no charger takes finer ones."""

BISECTIONS = 40
"""Halvings of a set-point: 80 A to below 1e-10 A."""


def _is_same(one: Offer, other: Offer) -> bool:
    return abs(one.current - other.current) <= SAME_A and (one.lines == other.lines or not other.current)


def _has_followed(stage: ChargerStage) -> bool:
    """Whether the newest measurement was taken after the car had time to follow what its charger holds."""
    return stage.measured_s >= stage.confirmed_s + stage.confirmation_s


def _may_close(stage: ChargerStage, lines: Lines) -> bool:
    """Whether no other lines than these may still be closed under load."""
    if stage.confirmed is None:
        return False
    offers = [stage.confirmed, *(target.offer for target in stage.targets)]
    return all(not offer.current or offer.lines == lines for offer in offers)


class LineSums:
    """What reservations add up to on the lines of one circuit; parts of unknown angle add plainly."""

    __slots__ = ("_across", "_along", "_plain", "_uses_vectors")

    def __init__(self, *, uses_vectors: bool) -> None:
        self._uses_vectors = uses_vectors
        self._along = [0.0] * 3
        self._across = [0.0] * 3
        self._plain = [0.0] * 3

    def add(self, held: Reservation, times: int = 1) -> None:
        """One more reservation counts; times -1 takes it away."""
        for line, (x, y) in line_loads(held.lines, is_vector=self._uses_vectors):
            self._along[line.place] += times * held.current * x
            self._across[line.place] += times * held.current * y
        for place, current in enumerate(held.extra):
            self._plain[place] += times * current

    def with_change(self, before: Reservation, after: Reservation) -> "LineSums":
        """The sums with one reservation replaced by another; these stay as they are."""
        changed = LineSums(uses_vectors=self._uses_vectors)
        changed._along, changed._across, changed._plain = self._along[:], self._across[:], self._plain[:]
        changed.add(before, -1)
        changed.add(after)
        return changed

    def line_currents(self) -> Vector:
        """Ampere per line."""
        sums = zip(self._along, self._across, self._plain, strict=True)
        first, second, third = (math.hypot(x, y) + plain for x, y, plain in sums)
        return (first, second, third)


class _Site:
    """Reservations summed per circuit, kept current while steps are chosen."""

    def __init__(self, state: SiteState, now_s: float) -> None:
        self.now_s = now_s
        self.stages = [settled(s, now_s) for s in sorted(state.chargers, key=lambda stage: stage.charger)]
        self.held = {stage.charger: reserved(stage, now_s) for stage in self.stages}
        self.stage_of = {stage.charger: stage for stage in self.stages}
        self.capacity = {circuit.id: circuit.capacity for circuit in state.circuits}
        parents = {circuit.id: circuit.parent for circuit in state.circuits}
        self.sums = {circuit.id: LineSums(uses_vectors=state.uses_vectors) for circuit in state.circuits}
        self.path: dict[str, list[str]] = {}
        for stage in self.stages:
            above: str | None = stage.circuit
            self.path[stage.charger] = []
            while above is not None:
                self.sums[above].add(self.held[stage.charger])
                self.path[stage.charger].append(above)
                above = parents[above]

    def take(self, step: Step) -> None:
        """The step's offer is reserved, whether or not it arrives."""
        before, after = self.held[step.charger], self._with(step.charger, step.offer)
        for name in self.path[step.charger]:
            self.sums[name].add(before, -1)
            self.sums[name].add(after)
        self.held[step.charger] = after

    def _with(self, charger: str, offer: Offer) -> Reservation:
        return reserved(sent(self.stage_of[charger], offer, self.now_s), self.now_s)

    def reduction(self, stage: ChargerStage, goal: Offer) -> Step | None:
        """The step that lowers a charger, or turns it off before it changes lines."""
        latest = stage.latest
        if latest is None:
            return None if goal.current else Step(stage.charger, goal, StepKind.REDUCE, "less is wanted")
        if goal.current and latest.current and goal.lines != latest.lines:
            return Step(stage.charger, NO_OFFER, StepKind.REDUCE, "off before it changes lines")
        if goal.current < latest.current - SAME_A:
            return Step(stage.charger, goal, StepKind.REDUCE, "less is wanted")
        return None

    def increase(self, stage: ChargerStage, goal: Offer) -> list[Step]:
        """The step that raises a charger as far as there is room; none while it has to wait."""
        latest = stage.latest
        if latest is None:
            return self._first_offer(stage, goal)
        if stage.targets and stage.targets[-1].acknowledged_s is None:
            return []
        draw = _draw(stage, self.now_s)
        if draw is not None and _is_above(stage, draw, latest):
            return []
        if latest.current == 0 and not _may_close(stage, goal.lines):
            return []
        current = round_down(self._most(stage, goal), stage.current_step)
        if current < stage.min_current - SLACK or current <= latest.current:
            return []
        rise = current - latest.current
        is_small = latest.current > 0 and rise < max(SMALL_INCREASE_A, SMALL_INCREASE_PART * latest.current)
        if is_small and self.now_s - stage.last_sent_s < SMALL_INCREASE_WAITS_S:
            return []
        reason = "as wanted" if current >= goal.current - SLACK else "as far as there is room"
        return [Step(stage.charger, Offer(current, goal.lines), StepKind.INCREASE, reason)]

    def _first_offer(self, stage: ChargerStage, goal: Offer) -> list[Step]:
        """What a charger gets whose offer is not known: what fits, or no more than its car draws already.

        It may hold less than either, so an offer without room beside the others could be an increase. For a short
        while a measurement is waited for; nobody else gains in that time, because its maximum is reserved.
        """
        most = round_down(max(self._most(stage, goal), self._drawn(stage, goal)), stage.current_step)
        if most >= stage.min_current - SLACK:
            return [Step(stage.charger, Offer(most, goal.lines), StepKind.INCREASE, UNKNOWN)]
        is_seen = _draw(stage, self.now_s) is not None and _has_followed(stage)
        if not is_seen and self.now_s - stage.confirmed_s < UNKNOWN_WAITS_S:
            return []
        return [Step(stage.charger, NO_OFFER, StepKind.REDUCE, UNKNOWN)]

    def _drawn(self, stage: ChargerStage, goal: Offer) -> float:
        """What the car draws on the goal's lines, once it had time to follow what its charger holds."""
        draw = _draw(stage, self.now_s)
        if draw is None or not _has_followed(stage):
            return 0.0
        return min(goal.current, *(draw[line.place] for line in goal.lines))

    def _most(self, stage: ChargerStage, goal: Offer) -> float:
        """The largest current up to the goal that fits."""
        if self._fits(stage, goal):
            return goal.current
        low, high = 0.0, goal.current
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if self._fits(stage, Offer(middle, goal.lines)):
                low = middle
            else:
                high = middle
        return low

    def _fits(self, stage: ChargerStage, offer: Offer) -> bool:
        """Whether every line on which the offer is above the newest one keeps all reservations within capacity.

        Where reservations pass a capacity already, nothing rises, not even to what is reserved.
        """
        before = self.held[stage.charger]
        if stage.latest is None:
            latest, after = NO_CURRENT, Reservation(stage.spread * offer.current, offer.lines)
        else:
            latest, after = stage.latest.vector, self._with(stage.charger, offer)
        rising = [line for line in offer.lines if offer.current > latest[line.place]]
        for name in self.path[stage.charger]:
            flowing = self.sums[name].with_change(before, after).line_currents()
            if any(flowing[line.place] > self.capacity[name][line.place] + SLACK for line in rising):
                return False
        return True


def violations(state: SiteState, now_s: float) -> Iterator[tuple[str, Line, float]]:
    """Circuit, line and ampere by which reservations pass a capacity now."""
    site = _Site(state, now_s)
    for circuit in state.circuits:
        flowing = site.sums[circuit.id].line_currents()
        for line in Line:
            excess = flowing[line.place] - circuit.capacity[line.place]
            if excess > SLACK:
                yield circuit.id, line, excess
