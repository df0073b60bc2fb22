"""How many programs the limit of a vanishing init scale needs."""

import jax
import numpy as np

import rankrise as rr

_PROGRAM = "/jax/core/compile/backend_compile_duration"
_programs: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **facts: _programs.append(event)
)


def programs(delta: float, components: int, key: int) -> int:
    indices = np.argwhere(np.ones((5, 4, 2)))
    observed = rr.Observations(indices, np.sin(np.arange(40.0)), (5, 4, 2))
    problem = rr.CompletionProblem.from_observations(observed, rr.HuberLoss(delta))
    start = rr.near_zero((5, 4, 2), components, init_scale=0.1, key=jax.random.key(key))
    before = len(_programs)
    trajectory = rr.solve_limit(problem, start, rr.Limit(max_components=3))
    assert trajectory.outcomes[0].steps >= 3
    return _programs[before:].count(_PROGRAM)


def test_few_programs_are_compiled_and_fewer_for_another_start():
    # Seven large ones, and conversions of a few arrays.
    assert programs(0.5, 6, 0) <= 14
    # Another start and threshold need none, and another width only what measures it.
    assert programs(0.4, 6, 1) == 0
    assert programs(0.4, 9, 0) <= 6
