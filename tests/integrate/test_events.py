"""Events: where they happen, in which order, what is called off. Answers in closed form.

Times of events are found to the last bits on the continuous output of a step, whose error is that of the tolerance
(1e-10 here); products of a few such numbers are held to 1e-7.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import qspx
from qspx._errors import ModelError, SolveError

PRECISE = {"rtol": 1e-10, "atol": 1e-14}


class Clock(qspx.AbstractModel):
    """States that only events change, beside one that grows with time."""

    time_unit = "1"
    x = qspx.Species("", signed=True)
    a = qspx.Species("", signed=True)
    b = qspx.Species("", signed=True)

    def rates(self, t, y, p):
        return {"x": 1.0}


def run(model, times, *names):
    found = qspx.simulate_events(model, times, **PRECISE)
    return [list(np.round(found[name], 9)) for name in names]


def test_a_bouncing_ball():
    """Falls from 5 m with 10 m/s2 and keeps 0.8 of its speed: hits at 1, 2.6, 3.88 and so on."""

    class Ball(qspx.AbstractModel):
        time_unit = "1"
        h = qspx.Species("", signed=True)
        v = qspx.Species("", signed=True)
        hits = qspx.Species("")

        def initial(self, p):
            return {"h": 5.0}

        def rates(self, t, y, p):
            return {"h": y.v, "v": -10.0}

        def events(self, t, y, p):
            return {"hit": qspx.Event(trigger=y.h < 0, assign={"h": 0.0, "v": -0.8 * y.v, "hits": y.hits + 1})}

    found = qspx.simulate_events(Ball(), [0.5, 1.8, 2.7, 4.0], **PRECISE)
    speed = np.array([0.0, 8.0, 6.4, 5.12])
    since = np.array([0.5, 0.8, 0.1, 0.12])
    np.testing.assert_allclose(found["h"], [3.75, *(speed * since - 5 * since**2)[1:]], rtol=1e-7)
    np.testing.assert_array_equal(found["hits"], [0, 1, 2, 3])


def test_at_a_time_and_right_after_it():
    """A sample at 1 shows what `>=` and `==` have done, and not yet what `>` does."""

    class At(Clock):
        def events(self, t, y, p):
            return {
                "at": qspx.Event(trigger=t >= 1, assign={"a": 1.0}),
                "after": qspx.Event(trigger=t > 1, assign={"b": 1.0}),
            }

    assert run(At(), [0.5, 1.0, 1.5], "a", "b") == [[0, 1, 1], [0, 0, 1]]


def test_doses_at_exact_times():
    class Daily(Clock):
        def events(self, t, y, p):
            now = jnp.logical_or(t == 1.0, jnp.logical_or(t == 2.0, t == 3.0))
            return {"dose": qspx.Event(trigger=now, assign={"a": y.a + 5.0})}

    assert run(Daily(), [0.0, 0.9, 1.0, 1.1, 2.0, 3.5], "a") == [[0, 0, 5, 5, 10, 15]]


def test_delays_and_what_is_called_off():
    """True from 1 to 2: with a delay of 1.5 only the persistent event happens, with the values of 1 or of 2.5."""

    class Late(Clock):
        def events(self, t, y, p):
            window = jnp.logical_and(t >= 1, t < 2)
            return {
                "kept": qspx.Event(trigger=window, assign={"a": y.x}, delay=1.5),
                "off": qspx.Event(trigger=window, assign={"b": 7.0}, delay=1.5, persistent=False),
            }

    class Then(Clock):
        def events(self, t, y, p):
            return {"kept": qspx.Event(trigger=t >= 1, assign={"a": y.x}, delay=1.5, at_trigger=False)}

    assert run(Late(), [2.4, 2.5, 4.0], "a", "b") == [[0, 1, 1], [0, 0, 0]]
    assert run(Then(), [2.4, 2.5, 4.0], "a") == [[0, 2.5, 2.5]]


def test_priorities_and_one_event_setting_off_another():
    class Order(Clock):
        def events(self, t, y, p):
            return {
                "last": qspx.Event(trigger=t >= 1, assign={"a": y.a * 10}, at_trigger=False),
                "second": qspx.Event(trigger=t >= 1, assign={"a": y.a + 2}, priority=1.0, at_trigger=False),
                "first": qspx.Event(trigger=t >= 1, assign={"a": 1.0}, priority=y.x + 5),
                "set off": qspx.Event(trigger=y.a > 2.5, assign={"b": y.a}, priority=2.0),
            }

    assert run(Order(), [0.9, 1.0], "a", "b") == [[0, 30], [0, 3]]


def test_a_trigger_that_holds_at_the_start():
    class Start(Clock):
        def events(self, t, y, p):
            return {
                "no": qspx.Event(trigger=y.x > -1, assign={"a": 1.0}),
                "yes": qspx.Event(trigger=y.x > -1, assign={"b": 1.0}, initially=False),
            }

    assert run(Start(), [0.0, 1.0], "a", "b") == [[0, 0], [1, 1]]


def test_a_factor_is_taken_after_the_change():
    class Scaled(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=t >= 1, assign={"a": 3.0, "b": 4.0}, factors={"a": y.b})}

    assert run(Scaled(), [0.0, 1.0], "a") == [[0, 12]]


def test_a_saw_tooth_does_not_drift():
    """x grows from 0 and falls back at 1: after 50 teeth it is where it should be."""

    class Saw(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=y.x >= 1, assign={"x": 0.0, "a": y.a + 1})}

    found = qspx.simulate_events(Saw(), [50.5], **PRECISE)
    assert found["a"][0] == 50 and found["x"][0] == pytest.approx(0.5, abs=1e-7)


def test_a_short_window_of_a_fast_wave_is_seen():
    class Wave(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=jnp.sin(20 * t) > 0.99, assign={"a": y.a + 1})}

    assert run(Wave(), np.linspace(0, 10, 51)[1:], "a")[0][-1] == 32  # crests of sin(20 t) up to 10


def test_a_pulse_between_long_steps_is_not_stepped_over():
    """100 per time for 0.01 after long rest, from nothing: the integral is 1."""

    class Pulse(Clock):
        def rates(self, t, y, p):
            return {"a": jnp.where(jnp.logical_and(t > 3.01, t < 3.02), 100.0, 0.0)}

    assert run(Pulse(), [3.0, 3.015, 10.0], "a") == [[0, 0.5, 1]]


def test_rates_that_switch_with_a_state():
    """x grows to 1; from then on a grows from nothing, ten times as fast."""

    class Switch(Clock):
        def rates(self, t, y, p):
            return {"x": 1.0, "a": jnp.where(y.x > 1, 10.0, 0.0)}

    assert run(Switch(), [1.0, 1.5, 2.0], "a") == [[0, 5, 10]]


def test_a_branch_without_a_value_beyond_its_switch():
    """da/dt = -2 sqrt(a) from 1 reaches nothing at 1 and stays there: (1 - t)^2."""

    class Empty(Clock):
        def initial(self, p):
            return {"a": 1.0}

        def rates(self, t, y, p):
            return {"a": jnp.where(y.a > 1e-12, -2 * jnp.sqrt(y.a), 0.0)}

    found = qspx.simulate_events(Empty(), [0.5, 0.9, 2.0], **PRECISE)
    np.testing.assert_allclose(found["a"], [0.25, 0.01, 0.0], atol=1e-9)


def test_events_without_end_are_named():
    class Circle(Clock):
        def events(self, t, y, p):
            return {
                "up": qspx.Event(trigger=y.a < 1, assign={"a": 2.0}, initially=False),
                "down": qspx.Event(trigger=y.a > 1, assign={"a": 0.0}),
            }

    with pytest.raises(SolveError, match="set each other off without end at 0"):
        qspx.simulate_events(Circle(), [1.0])


def test_a_negative_delay_is_refused():
    class Early(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=t >= 1, assign={"a": 2.0}, delay=-y.x)}

    with pytest.raises(SolveError, match="event `e` of Early: its delay must be >= 0, but is -1"):
        qspx.simulate_events(Early(), [2.0])


def test_integrators_of_cohorts_refuse_a_model_with_events():
    class Some(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=t >= 1, assign={"a": 2.0})}

    with pytest.raises(SolveError, match="model Some has events.*simulate_events"):
        qspx.simulate(Some(), qspx.Regimen((qspx.Dose(1.0, "", "a"),), time_unit="1"), [1.0])


def test_an_event_that_changes_nothing_known():
    class Wrong(Clock):
        def events(self, t, y, p):
            return {"e": qspx.Event(trigger=t >= 1, assign={"c": 2.0})}

    with pytest.raises(ModelError, match="event `e` of Wrong changes `c`"):
        Wrong()


def test_events_belong_to_the_identity_of_a_model():
    def made(value):
        class Same(Clock):
            def events(self, t, y, p):
                return {"e": qspx.Event(trigger=t >= 1, assign={"a": value})}

        return Same()

    assert made(1.0) == made(1.0) != made(2.0)
