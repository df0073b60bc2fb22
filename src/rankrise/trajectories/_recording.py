"""What is recorded of runs: when, what, of which components, and under which labels."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from rankrise._errors import InputError, reason
from rankrise.factorizations import AbstractFactorization
from rankrise.problems import AbstractProblem
from rankrise.trajectories._observables import Observable, standard_observables
from rankrise.trajectories._save_at import SaveAt

# Names that a trajectory and its dataset have beside observables.
_TAKEN = {"step", "time", "valid", "component_index", "run", "save", "component"}
_TAKEN |= {"rank", "note", "dataset", "model", "models", "outcomes", "result", "runs"}
_TAKEN |= {"load", "seconds_compile", "seconds_run"}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a `Trajectory` holds.

    Attributes
    ----------
    save_at
        Where a run is measured; 500 times, evenly spaced, by default.
    observables
        What is measured: `Observable`s, or names of standard ones such as "loss"; by
        default all of `standard_observables`.
    select
        Name of an observable: the factorization with its smallest value over the
        saves is kept as the final one, instead of the last.
    kept_components
        How many of the largest components by `component_norms` are kept, or "all".
    run_labels
        Names and values, one per run (seeds, init scales).
    settings
        Stored with the trajectory and the checkpoint; only a run with equal ones is
        resumed.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> target = rr.synthetic.random_target((4, 4, 4), cp_rank=1, seed=0)
    >>> indices = rr.synthetic.sample_indices((4, 4, 4), 40, seed=0)
    >>> seen = rr.synthetic.observe(target, indices, seed=0)
    >>> problem = rr.CompletionProblem.from_observations(seen)
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 4, 4), 3, init_scale=0.1, key=key)
    >>> recording = rr.trajectories.Recording(
    ...     save_at=rr.trajectories.SaveAt.every(50), observables=["loss"]
    ... )
    >>> rr.solve(problem, start, max_steps=100, recording=recording).loss.shape
    (3,)
    """

    save_at: SaveAt | None = None
    observables: Sequence[Observable | str] | None = None
    select: str | None = None
    kept_components: int | np.integer | Literal["all"] = 10
    run_labels: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = self.kept_components
        is_whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if count != "all" and not (is_whole and int(count) >= 1):
            raise InputError(
                f"`kept_components` is {count!r}; give a positive whole number or "
                "'all'."
            )
        if not isinstance(self.save_at, SaveAt | None):
            raise InputError(
                f"`save_at` is {self.save_at!r}; give a `SaveAt`, such as "
                "`SaveAt.every(10)`."
            )
        # They are written when the run is over, which would be too late to fail.
        try:
            json.dumps(dict(self.settings))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"`settings` cannot be stored as JSON ({reason(error)}); give names "
                "with numbers, texts or lists of them."
            ) from error

    @classmethod
    def checked(cls, recording: "Recording | None") -> "Recording":
        """The recording given, or the default one; refuses anything else."""
        if not isinstance(recording, Recording | None):
            raise InputError(
                f"The recording is {recording!r}; give a `Recording`, such as "
                "`Recording(save_at=SaveAt.every(10))`."
            )
        return cls() if recording is None else recording

    def observables_of(
        self, problem: AbstractProblem, starts: Sequence[AbstractFactorization]
    ) -> tuple[Observable, ...]:
        """The observables of these starts; refuses what does not fit them."""
        standard = standard_observables(problem, starts[0])
        known = {each.name: each for each in standard}
        chosen = standard if self.observables is None else self.observables
        chosen = [chosen] if isinstance(chosen, str) else chosen
        observables = []
        for each in chosen:
            observable = known.get(each) if isinstance(each, str) else each
            if not isinstance(observable, Observable):
                raise InputError(
                    f"There is no observable {each!r} of this start; give an "
                    f"`Observable`, or a name among {', '.join(known)}."
                )
            observables.append(observable)
        self._check_names(observables)
        scalars = [o.name for o in observables if not (o.per_component or o.dims)]
        if self.select is not None and self.select not in scalars:
            raise InputError(
                f"There is no observable {self.select!r} to select by; choose among "
                f"{', '.join(scalars)}."
            )
        for name, values in self.run_labels.items():
            if len(values) != len(starts):
                raise InputError(
                    f"The run label {name!r} has {len(values)} value(s) for "
                    f"{len(starts)} run(s); give one per run."
                )
        return tuple(observables)

    def _check_names(self, observables: Sequence[Observable]) -> None:
        dims: dict[str, int] = {}
        for each in observables:
            for name, length in dict(each.dims).items():
                if dims.setdefault(name, length) != length:
                    raise InputError(
                        f"The axis {name!r} has length {dims[name]} in one observable "
                        f"and {length} in {each.name!r}; give it another name there."
                    )
        seen = {*_TAKEN}
        for name in [*(each.name for each in observables), *dims, *self.run_labels]:
            if not str(name).isidentifier() or name in seen:
                raise InputError(
                    f"The name {name!r} of an observable, an axis or a run label is "
                    "given twice, used by every trajectory or no Python name; choose "
                    "another."
                )
            seen.add(name)
