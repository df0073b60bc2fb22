"""How many programs the limit of a vanishing init scale needs."""

import jax
import numpy as np

import rankrise as rr
from rankrise.synthetic import observe, random_target

_PROGRAM = "/jax/core/compile/backend_compile_duration"
_programs: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **facts: _programs.append(event)
)


def programs(delta: float, components: int, key: int) -> int:
    target = random_target((5, 4, 3), 2, frobenius_norm=1.0, seed=0)
    observed = observe(target, np.argwhere(np.ones((5, 4, 3))), seed=0)
    problem = rr.CompletionProblem.from_observations(
        observed, rr.losses.HuberLoss(delta)
    )
    start = rr.factorizations.near_zero(
        (5, 4, 3), components, init_scale=0.1, key=jax.random.key(key)
    )
    before = len(_programs)
    trajectory = rr.solve_limit(problem, start, rr.Limit(max_components=2))
    assert trajectory.outcomes[0].steps == 2
    return _programs[before:].count(_PROGRAM)


def test_few_programs_are_compiled_and_fewer_for_another_start():
    # Seven large ones, and single operations on a few arrays.
    assert programs(0.5, 6, 0) <= 20
    # Another start and threshold need none, and another width only what measures it.
    assert programs(0.4, 6, 1) == 0
    assert programs(0.4, 9, 0) <= 6
