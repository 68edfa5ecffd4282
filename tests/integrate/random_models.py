"""Random models for property tests, each beside its right-hand side in plain numpy, written from the same draw.

Networks keep what keeps a real one finite: every species has a mass, reactions conserve it, elimination takes it out
and inputs bring it in at a bounded rate. Models of random expressions are bounded because each species decays linearly
and what drives it is the hyperbolic tangent of an expression.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as hs

from qspx import AbstractModel, Observable, Parameter, Species
from qspx.binding import Binding, BindingArm, Site
from qspx.network import Network
from qspx.reaction import MassAction, Reaction


@dataclasses.dataclass(frozen=True)
class Case:
    """A model beside what it computes, in numpy; `p` is a dictionary of parameters.

    rates (t, y, p) -> (species,), initial (p) -> (species,), outputs by name (t, y, p) -> number; `dose_unit` of a dose
    into any species (the first one declares every role); `jumps` (p) -> times at which the rates jump; `adds`: whether
    steady states may be added to what is there (where initial values are not at rest, that can be less than nothing).
    """

    model: AbstractModel
    rates: Callable
    initial: Callable
    outputs: dict[str, Callable]
    dose_unit: str
    jumps: Callable = lambda p: []
    adds: bool = True


def decades(low: float, high: float) -> hs.SearchStrategy[float]:
    """Ten to a power between `low` and `high`, eight to a decade."""
    return hs.integers(round(8 * low), round(8 * high)).map(lambda i: 10 ** (i / 8))


class _Declared(dict):
    """Parameters by name; `new` declares one and gives its name."""

    def new(self, name: str, value: float, unit: str) -> str:
        self[name] = Parameter(value, unit, scale="lin")
        return name


def _roles(p: _Declared, draw, amount: str) -> dict[str, str]:
    """What may act on doses into the first species."""
    p.new("F", draw(hs.sampled_from([0.25, 0.75, 1.0])), "")
    p.new("LAG", draw(hs.sampled_from([0.0, 0.25, 0.4])), "day")
    p.new("D1", draw(hs.sampled_from([0.3, 1.5, 3.0])), "day")
    p.new("R1", draw(decades(1, 2)), f"{amount}/day")
    return {"bioavailability": "F", "lag": "LAG", "duration": "D1", "rate": "R1"}


# networks ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Flow:
    """One reaction: names of reactants and products, and its rate (t, y, p) with y and p indexed by name."""

    reactants: Counter
    products: Counter
    rate: Callable


def _mass_action(k: str, reactants: Counter) -> Callable:
    return lambda t, y, p: p[k] * np.prod([y[s] ** n for s, n in reactants.items()])


@hs.composite
def networks(draw, steady: bool = False, smooth: bool = False, most: int = 5) -> Case:
    """Mass action of up to third order, saturable rates, an indirect response, inputs that may oscillate, and binding
    of the first species. `steady`: every species is eliminated, nothing oscillates; `smooth`: no kinks."""
    p, flows, reactions = _Declared(), [], []
    n = draw(hs.integers(2, most))
    mass = [draw(hs.integers(1, 3)) for _ in range(n)]
    names = [f"S{i}" for i in range(n)]
    volume = {s: p.new(f"V{s}", draw(decades(-0.5, 0.75)), "L") if draw(hs.booleans()) else None for s in names}
    binds = draw(hs.booleans())
    if binds:
        volume["S0"] = p.new("VS0", 3.0, "L")
    unit_of = {s: "nM" if volume[s] else "nmol" for s in names}
    own = {s: Species(unit_of[s], volume=volume[s], parts={"m": mass[i]}) for i, s in enumerate(names)}
    own["S0"] = dataclasses.replace(own["S0"], **_roles(p, draw, "nmol"))

    def constant(low, high, reactants=()) -> str:
        unit = "nmol/day" + "".join(f"/{unit_of[s]}" for s in Counter(reactants).elements())
        return p.new(f"k{len(p)}", draw(decades(low, high)), unit)

    def add(reactants, products, law=None, low=-2.0, high=1.5, **words):
        """Mass action unless there is a `law` (t, y, p, xp)."""
        a, b = Counter(reactants), Counter(products)
        if law:
            here, rate = (lambda t, y, p: law(t, y, p, np)), (lambda t, y, p: law(t, y, p, jnp))
        else:
            k = constant(low, high - 0.75 * (a.total() - 1), a)
            here, rate = _mass_action(k, a), MassAction(k)
        flows.append(_Flow(a, b, here))
        reactions.append(Reaction(f"r{len(reactions)}", dict(a), dict(b), rate, **words))

    def saturable(s: str) -> Callable:
        top, half = constant(-1, 2), p.new(f"K{len(p)}", draw(decades(-1, 1.5)), unit_of[s])
        if smooth:
            h = draw(hs.integers(1, 3))
            return lambda t, y, p, xp: p[top] * y[s] ** h / (p[half] ** h + y[s] ** h)
        power = p.new(f"h{len(p)}", draw(hs.sampled_from([1.0, 1.5, 2.5])), "")

        def law(t, y, p, xp):
            x = xp.maximum(y[s] / p[half], 0.0) ** p[power]
            return p[top] * x / (1.0 + x)

        return law

    sides = [c for k in (1, 2, 3) for c in itertools.combinations_with_replacement(range(n), k)]
    weigh = lambda side: sum(mass[i] for i in side)  # noqa: E731
    pairs = [(a, b) for a, b in itertools.permutations(sides, 2) if weigh(a) == weigh(b)]
    if steady:  # no species makes itself, so that there is one steady state
        pairs = [(a, b) for a, b in pairs if not set(a) & set(b)]
    for a, b in draw(hs.lists(hs.sampled_from(pairs), max_size=4, unique=True)) if pairs else []:
        one = len(set(a)) == 1
        law = saturable(names[a[0]]) if one and not steady and draw(hs.booleans()) else None
        add([names[i] for i in a], [names[i] for i in b], law)
    for s in names:
        if steady or draw(hs.booleans()):
            add([s], [], low=0.3 if volume[s] else -0.2, elimination=True)
        if draw(hs.integers(0, 3)) == 0:
            add([s], [], saturable(s), elimination=True)
    driven = not steady and draw(hs.booleans())
    if draw(hs.booleans()) or driven:
        k, w = constant(-1, 1), p.new("w", draw(decades(-0.5, 1)), "1/day")
        wave = 0.8 if driven else 0.0
        add([], [draw(hs.sampled_from(names))], lambda t, y, p, xp: p[k] * (1 + wave * xp.sin(p[w] * t)),
            elimination=True)  # fmt: skip
    if draw(hs.booleans()):  # indirect response
        s = draw(hs.sampled_from(names))
        own["R"], unit_of["R"], volume["R"] = Species("nmol"), "nmol", None
        k, half = constant(-1, 1), p.new("IC50", draw(decades(-1, 1)), unit_of[s])
        add([], ["R"], lambda t, y, p, xp: p[k] * (1 - 0.9 * y[s] / (p[half] + y[s])), elimination=True)
        add(["R"], [], low=0.0, elimination=True)
    bound = _binding(draw, p) if binds else None
    start = {s: p.new(f"{s}_0", draw(decades(-1, 1)), unit_of[s]) for s in own if draw(hs.booleans())}
    model = Network(
        "random", own, p, tuple(reactions), (bound,) if bound else (),
        {s: (lambda p, k=k: p[k]) for s, k in start.items()}, tracked=("m",),
    )  # fmt: skip
    return _case_of(model, flows, bound, start, volume, dict(zip(names, mass, strict=True)))


def _binding(draw, p: _Declared) -> Binding:
    sites = draw(hs.sampled_from([(("A",),), (("A", "B"),), (("A",), ("C",))]))
    arms = []
    for i, held in enumerate(sites):
        kon = p.new(f"kon{i}", draw(decades(-1, 1.5)), "1/nM/day")
        arms.append(BindingArm(f"arm{i}", held, kon, p.new(f"koff{i}", draw(decades(-0.5, 1.5)), "1/day")))
        for s in held:
            p.new(f"T{s}", draw(decades(-1, 1.5)), "nM")
    total = [Site(s, lambda p, s=s: p[f"T{s}"]) for held in sites for s in held]
    loss = {"A": p.new("kint", draw(decades(-0.5, 0.5)), "1/day")} if draw(hs.booleans()) else {}
    return Binding("b", "S0", tuple(arms), tuple(total), loss=loss)


def _case_of(model, flows, bound, start, volume, mass) -> Case:
    order = list(model.species)
    choices = itertools.product(*[(None, *arm.sites) for arm in bound.arms]) if bound else []
    held = {"b_" + "".join(s for s in c if s): frozenset(s for s in c if s) for c in choices if any(c)}
    named = {c: name for name, c in held.items()} | {frozenset(): "S0"}
    arm_of = {s: i for i, arm in enumerate(bound.arms) for s in arm.sites} if bound else {}

    def rates(t, vector, p):
        y, dy = dict(zip(order, vector, strict=True)), dict.fromkeys(order, 0.0)
        for flow in flows:
            v = flow.rate(t, y, p)
            for s in {*flow.reactants, *flow.products}:
                change = flow.products[s] - flow.reactants[s]
                dy[s] += change * v / (p[volume[s]] if volume[s] else 1.0)
        free = {s: p[f"T{s}"] - sum(y[k] for k, c in held.items() if s in c) for s in arm_of}
        for name, c in held.items():
            for s in c:
                small, arm = named[c - {s}], arm_of[s]
                v = p[f"kon{arm}"] * y[small] * free[s] - p[f"koff{arm}"] * y[name]
                dy[name] += v
                dy[small] -= v
        if bound and bound.loss:
            dy["b_A"] -= p["kint"] * y["b_A"]
        return np.array([dy[s] for s in order])

    def amount(t, vector, p):
        y = dict(zip(order, vector, strict=True))
        own = sum(m * y[s] * (p[volume[s]] if volume[s] else 1.0) for s, m in mass.items())
        return own + sum(mass["S0"] * y[k] * p["VS0"] for k in held)

    def eliminated(t, vector, p):
        y, total = dict(zip(order, vector, strict=True)), 0.0
        for flow in flows:
            lost = sum(
                mass.get(s, 0) * (flow.reactants[s] - flow.products[s]) for s in {*flow.reactants, *flow.products}
            )
            total += lost * flow.rate(t, y, p)
        return total + (mass["S0"] * p["kint"] * y["b_A"] * p["VS0"] if bound and bound.loss else 0.0)

    return Case(
        model, rates, lambda p: np.array([p[start[s]] if s in start else 0.0 for s in order]), 
        {"amount_m": amount, "elimination_m": eliminated}, "nmol", adds=not start,
    )  # fmt: skip


# expressions -------------------------------------------------------------------------------------------------------

_ONE: dict[str, Callable] = {
    "tanh": lambda x, xp: xp.tanh(x),
    "bell": lambda x, xp: xp.exp(-(x**2)),
    "root": lambda x, xp: xp.sqrt(1.0 + x**2),
    "log": lambda x, xp: xp.log1p(x**2),
    "atan": lambda x, xp: xp.arctan(x),
    "logistic": lambda x, xp: 1.0 / (1.0 + xp.exp(-3.0 * xp.tanh(x))),
    "power": lambda x, xp: xp.sqrt(1.0 + x**2) ** 1.3,
}
_ONE_KINKED: dict[str, Callable] = {
    "abs": lambda x, xp: xp.abs(x),
    "where": lambda x, xp: xp.where(x > 0.1, x - 0.1, 0.0),
    "clip": lambda x, xp: xp.minimum(xp.maximum(x, -0.5), 1.5),
}
_TWO: dict[str, Callable] = {
    "add": lambda a, b, xp: a + b,
    "sub": lambda a, b, xp: a - b,
    "mul": lambda a, b, xp: a * b,
    "ratio": lambda a, b, xp: a / (1.0 + b**2),
}
_TWO_KINKED: dict[str, Callable] = {
    "min": lambda a, b, xp: xp.minimum(a, b),
    "max": lambda a, b, xp: xp.maximum(a, b),
    "ramp": lambda a, b, xp: xp.where((a > b) & xp.logical_not(b > 1.0), a, xp.where(b > 1.0, xp.maximum(a, b), b)),
}


def _expressions(species: int, parameters: int, driven: bool, smooth: bool) -> hs.SearchStrategy[Callable]:
    """Functions (t, y, p, xp) of a list of states and a dictionary of parameters."""
    one, two = (_ONE, _TWO) if smooth else (_ONE | _ONE_KINKED, _TWO | _TWO_KINKED)
    state = hs.integers(0, species - 1).map(lambda i: lambda t, y, p, xp: y[i])
    constant = hs.integers(0, parameters - 1).map(lambda i: lambda t, y, p, xp: p[f"c{i}"])
    leaves = [state, state, constant]
    if driven:
        leaves += [hs.just(lambda t, y, p, xp: xp.sin(p["w"] * t))]
    if driven and not smooth:
        leaves += [hs.just(lambda t, y, p, xp: xp.where(t < p["switch"], 0.0, 1.0))]

    def grown(inner):
        unary = hs.tuples(hs.sampled_from(sorted(one)), inner).map(
            lambda x: lambda t, y, p, xp: one[x[0]](x[1](t, y, p, xp), xp)
        )
        binary = hs.tuples(hs.sampled_from(sorted(two)), inner, inner).map(
            lambda x: lambda t, y, p, xp: two[x[0]](x[1](t, y, p, xp), x[2](t, y, p, xp), xp)
        )
        return unary | binary

    return hs.recursive(hs.one_of(leaves), grown, max_leaves=6)


@hs.composite
def expression_models(draw, steady: bool = False, smooth: bool = False, trouble: bool = False) -> Case:
    """x' = -k x + c tanh(expression). `trouble`: beside them x, u and v of `systems.Trouble`, for failures."""
    p = _Declared()
    n = draw(hs.integers(2, 4))
    driven = not steady and draw(hs.booleans())
    names = [f"x{i}" for i in range(n)]
    for i in range(3):
        p.new(f"c{i}", draw(decades(-1, 0.5)), "")
    p.new("w", draw(decades(-0.5, 0.5)), "1/day")
    p.new("switch", draw(decades(0, 1)) + 0.01, "day")
    for s in names:
        p.new(f"k{s}", draw(decades(-0.2 if steady else -1, 1.5)), "1/day")
        p.new(f"a{s}", draw(decades(-1, 0.5)), "1/day")
    trees = draw(hs.lists(_expressions(n, 3, driven, smooth), min_size=n, max_size=n))
    if steady:  # each drives the next, so that there is one steady state
        trees = [lambda t, y, p, xp, tree=tree, i=i: tree(t, [*y[:i]] + [0.3] * (n - i), p, xp)
                 for i, tree in enumerate(trees)]  # fmt: skip
    seen = draw(_expressions(n, 3, False, smooth))
    species = {s: Species("", signed=True) for s in names}
    species["x0"] = dataclasses.replace(species["x0"], **_roles(p, draw, "1"))
    started = [s for s in names if draw(hs.booleans())]

    def rates(t, y, p, xp):
        return [-p[f"k{s}"] * y[i] + p[f"a{s}"] * xp.tanh(trees[i](t, y, p, xp)) for i, s in enumerate(names)]

    def of_model(self, t, y, p):
        found = dict(zip(names, rates(t, [y[s] for s in names], p, jnp), strict=True))
        if trouble:
            found |= {"x": p.b * y.x**2 - p.k * y.x, "u": -p.turn * y.v, "v": p.turn * y.u}
        return found

    def start(self, p):
        return {s: p.c0 for s in started} | ({"x": 1.0, "u": 1.0} if trouble else {})

    if trouble:
        species |= {"x": Species("")} | {s: Species("", signed=True) for s in ("u", "v")}
        for name, value in (("b", 0.0), ("k", 0.5), ("turn", 1.0)):
            p.new(name, value, "1/day")
    seen_by_model = lambda self, t, y, p: {"seen": seen(t, [y[s] for s in names], p, jnp)}  # noqa: E731
    body = species | p | {"seen": Observable(""), "rates": of_model, "initial": start, "observables": seen_by_model}
    return Case(
        type("Random", (AbstractModel,), body)(),
        lambda t, y, p: np.array(rates(t, y, p, np), float),
        lambda p: np.array([p["c0"] if s in started else 0.0 for s in names]),
        {"seen": lambda t, y, p: seen(t, y, p, np)},
        "",
        lambda p: [p["switch"]],
    )


def models(steady: bool = False, smooth: bool = False) -> hs.SearchStrategy[Case]:
    return hs.one_of(networks(steady, smooth), expression_models(steady, smooth))


def subjects(model: AbstractModel, rows: int, seed: int, spread: float = 0.15) -> np.ndarray:
    """Parameters that vary by a factor of about ten to the `spread`, shape (rows, parameters); the first is typical. F
    stays at most 1, and powers h of what eliminates a species at least 1: x' = -x^h with h < 1 reaches zero in finite
    time, where its slope is infinite."""
    theta = model.theta * 10 ** (spread * np.random.default_rng(seed).uniform(-1, 1, (rows, len(model.theta))))
    theta[0] = model.theta
    f = model.parameter_index("F")
    theta[:, f] = np.minimum(theta[:, f], 1.0)
    powers = [name.startswith("h") for name in model.parameters]
    theta[:, powers] = np.maximum(theta[:, powers], 1.0)
    return theta
