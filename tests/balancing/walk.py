"""A site whose messages are lost, late, doubled and out of order, with the truth about every charger beside what is known of it."""

import random
from dataclasses import replace

from balancing.allocate import allocate
from balancing.circuit import (
    Allocation,
    ChargerInput,
    Circuit,
    Fallback,
    Instance,
    Line,
    LineCurrentModel,
    Lines,
    Network,
    Vehicle,
)
from balancing.failsafe import NO_OFFER, OFFER_HOLDS_S, Offer
from balancing.staging import (
    ChargerStage,
    CircuitRoom,
    LineSums,
    SiteState,
    acknowledged,
    measured,
    plan,
    reconnected,
    reserved,
    sent,
    settled,
    violations,
)

L1, L2, L3 = Line
ALL = (L1, L2, L3)


class Truth:
    """One charger as it really is: what it applied, what its car draws, and its link."""

    def __init__(self, wiring: Lines, *, measures: bool) -> None:
        self.wiring = wiring
        self.measures = measures
        self.offer = NO_OFFER
        self.draw = NO_OFFER
        self.late_s = 0.0
        self.sent_s = 0.0
        self.inbox: list[tuple[int, Offer, float]] = []
        self.outbox: list[int] = []

    def apply(self, number: int, offer: Offer, sent_s: float, now_s: float) -> None:
        # The car has followed what came before as far as there was time, whether somebody looked or not.
        self.most(now_s)
        if offer != self.offer:
            self.late_s = now_s + 4.0
        self.offer, self.sent_s = offer, sent_s
        self.outbox.append(number)

    def most(self, now_s: float) -> Offer:
        """What may flow: the offer until it ran out, or the old draw while the car has not followed yet."""
        if now_s >= self.sent_s + OFFER_HOLDS_S:
            self.offer = NO_OFFER
        if now_s >= self.late_s or self.draw.current <= self.offer.current:
            self.draw = self.offer
        return self.draw if self.draw.current > self.offer.current else self.offer


class Walk:
    """A site by seed; every step asserts that what may flow is reserved, and below every capacity."""

    def __init__(self, seed: int, chargers: int = 5) -> None:
        self.rng = random.Random(seed)
        self.is_vector = seed % 4 == 0
        scale = chargers / 5
        self.now_s = 0.0
        self.circuits = (
            Circuit("root", None, (40.0 * scale, 34.0 * scale, 46.0 * scale), (3.0, 0.0, 7.0)),
            Circuit("k", "root", (20.0 * scale, 20.0 * scale, 20.0 * scale)),
        )
        self.rooms = tuple(
            CircuitRoom(
                c.id, c.parent, (c.fuse[0] - c.other_load[0], c.fuse[1] - c.other_load[1], c.fuse[2] - c.other_load[2])
            )
            for c in self.circuits
        )
        self.truth: dict[str, Truth] = {}
        self.stages: dict[str, ChargerStage] = {}
        for number in range(chargers):
            wiring = self.rng.choice([(L1, L2), (L2, L3), ALL] if self.is_vector else [(L1,), (L2,), (L3,), ALL, ALL])
            name = f"c{number}"
            self.truth[name] = Truth(wiring, measures=self.rng.random() < 0.7)
            self.stages[name] = ChargerStage(
                name,
                self.rng.choice(["root", "k"]),
                wiring,
                32.0,
                confirmed=NO_OFFER,
                confirmed_s=0.0,
                fallback=Fallback(0.0, wiring),
            )
        self.wanted = self.choose()

    def choose(self) -> Allocation:
        chargers = tuple(
            ChargerInput(
                s.charger,
                s.circuit,
                s.wiring,
                credit=self.rng.random(),
                weight=self.rng.choice([1.0, 3.0]),
                vehicle=Vehicle(3, self.rng.choice([8.0, 16.0, 32.0])),
            )
            for s in self.stages.values()
            if self.rng.random() < 0.7
        )
        network = Network.IT_3 if self.is_vector else Network.TN_3
        model = LineCurrentModel.VECTOR if self.is_vector else LineCurrentModel.ARITHMETIC
        return allocate(Instance("walk", self.circuits, chargers, network, model))

    def state(self) -> SiteState:
        return SiteState(self.rooms, tuple(self.stages.values()), self.is_vector)

    def step(self) -> None:
        self.now_s += self.rng.choice([0.1, 1.0, 5.0, 5.0, 16.0])
        self.rng.choice(
            [
                self.command,
                self.command,
                self.deliver,
                self.deliver,
                self.answer,
                self.answer,
                self.meter,
                self.meter,
                self.turn,
                self.lose,
            ]
        )()
        self.check()

    def command(self) -> None:
        before = {(circuit, line): excess for circuit, line, excess in violations(self.state(), self.now_s)}
        self.stages = {name: settled(stage, self.now_s) for name, stage in self.stages.items()}
        for step in plan(self.state(), self.wanted, self.now_s):
            name = step.charger
            self.truth[name].inbox.append((self.stages[name].next_number, step.offer, self.now_s))
            self.stages[name] = sent(self.stages[name], step.offer, self.now_s)
        for circuit, line, excess in violations(self.state(), self.now_s):
            assert excess <= before.get((circuit, line), 0.0) + 1e-6

    def deliver(self) -> None:
        for truth in self.truth.values():
            while truth.inbox and self.rng.random() < 0.8:
                number, offer, sent_s = truth.inbox.pop(0)
                if self.rng.random() < 0.8:
                    for _ in range(self.rng.choice([1, 1, 2])):
                        truth.apply(number, offer, sent_s, self.now_s)

    def answer(self) -> None:
        for name, truth in self.truth.items():
            self.rng.shuffle(truth.outbox)
            while truth.outbox and self.rng.random() < 0.8:
                number = truth.outbox.pop()
                for _ in range(self.rng.choice([0, 1, 1, 2])):
                    self.stages[name] = acknowledged(self.stages[name], number, self.now_s)

    def meter(self) -> None:
        for name, truth in self.truth.items():
            if truth.measures and self.rng.random() < 0.7:
                self.stages[name] = measured(self.stages[name], truth.most(self.now_s).vector, self.now_s)

    def turn(self) -> None:
        self.wanted = self.choose()

    def lose(self) -> None:
        """A link breaks: what was under way is gone, and the charger is back with an unknown offer."""
        if self.rng.random() < 0.2:
            name = self.rng.choice(list(self.truth))
            self.truth[name].inbox.clear()
            self.truth[name].outbox.clear()
            self.stages[name] = reconnected(self.stages[name], self.now_s)

    def check(self) -> None:
        for room in self.rooms:
            sums = LineSums(uses_vectors=self.is_vector)
            for name, truth in self.truth.items():
                if room.id in ("root", self.stages[name].circuit):
                    most = truth.most(self.now_s)
                    held = reserved(self.stages[name], self.now_s).vector
                    assert all(m <= h + 1e-6 for m, h in zip(most.vector, held, strict=True)), name
                    sums.add(
                        reserved(replace(self.stages[name], confirmed=most, targets=(), measured=None), self.now_s)
                    )
            for flowing, capacity in zip(sums.line_currents(), room.capacity, strict=True):
                assert flowing <= capacity + 1e-6
