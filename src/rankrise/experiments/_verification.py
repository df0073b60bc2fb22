"""Every claim of the paper, predicted against measured."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._html import html_of
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted
from rankrise.experiments._precision import precision
from rankrise.experiments._verification_config import (
    CLAIM_NAMES,
    LARGEST_ENTRIES,
    VerificationConfig,
)
from rankrise.factorizations import (
    CPFactorization,
    DenseTensor,
    end_gradient,
    leading_component,
    near_zero,
)
from rankrise.losses import loss_named
from rankrise.problems import AbstractProblem, CompletionProblem, SensingProblem
from rankrise.runs import Ending, Pool, ShowProgress, Watch, showing
from rankrise.synthetic import (
    cp_entries,
    gaussian_measurements,
    measure,
    random_target,
    rank_k_measurements,
    sample_indices,
)
from rankrise.tensors import Observations, Standardization
from rankrise.theory import (
    Claim,
    Verdict,
    check_conservation,
    check_corollary,
    check_escape,
    check_growth,
    check_growth_bounds,
    check_matrix_growth,
    check_rank_one_trajectory,
)

# The leading component is the best pulled of so many random ones; other components'
# vectors are nearly as long as the theorem allows.
_CANDIDATES = 20
_MARGIN = 0.9


@dataclass(frozen=True, eq=False)
class VerificationResult(Plotted):
    """Claims in the order they were put to the test, and how long each took.

    Attributes
    ----------
    interrupted
        Whether some are missing because the run was, under `keeping_interrupted`.
    """

    config: VerificationConfig
    claims: tuple[Claim, ...]
    seconds: Mapping[str, float]
    interrupted: bool

    @property
    def violated(self) -> list[str]:
        """Names of claims that do not hold."""
        return self._names("violated")

    @property
    def untested(self) -> list[str]:
        """Names of claims that were not put to the test."""
        return self._names("not tested")

    def drawing(self) -> Drawing:
        """Errors of all claims beside their tolerances, in one panel `claims`."""
        from rankrise.experiments._plot import draw_verification

        return draw_verification(self)

    def _repr_html_(self) -> str:
        table = [
            {
                "claim": claim.theorem.name,
                "verdict": claim.verdict,
                "error": "" if claim.error is None else f"{claim.error:.2g}",
                "tolerance": f"{claim.tolerance:.2g}",
                "found": claim.explanation,
            }
            for claim in self.claims
        ]
        warning = Ending.INTERRUPTED.warning if self.interrupted else ""
        return html_of("VerificationResult", {}, table, warning)

    def __repr__(self) -> str:
        told = ", ".join(f"{c.theorem.name} {c.verdict}" for c in self.claims)
        cut = " (interrupted: some are missing)" if self.interrupted else ""
        return f"<VerificationResult of {len(self.claims)} claims{cut}: {told}>"

    def _names(self, verdict: Verdict) -> list[str]:
        return [c.theorem.name for c in self.claims if c.verdict == verdict]


@dataclass(frozen=True)
class ClaimProgress:
    """Which claim is checked, from 0, of how many; given to `progress`."""

    name: str
    place: int
    count: int

    @property
    def words(self) -> str:
        """Which it is, for a person to read."""
        return f"claim {self.place + 1} of {self.count}, {self.name}"

    @property
    def share(self) -> float:
        """What is done of the claims."""
        return self.place / self.count


def run_verification(
    config: VerificationConfig,
    claims: tuple[str, ...] = CLAIM_NAMES,
    *,
    observations: Observations | None = None,
    done: Mapping[str, tuple[Claim, float]] | None = None,
    progress: ShowProgress | Callable[[ClaimProgress], None] = None,
    finished: Callable[[Claim, float], None] | None = None,
    pool: Pool | None = None,
) -> VerificationResult:
    """Put claims to the test, in float64, on one problem.

    Parameters
    ----------
    observations
        Entries of a tensor to complete, instead of a synthetic problem.
    done
        Claims of an earlier run, with their seconds, by name; they are not repeated.
    progress
        True shows which claim is checked; a function is called before each.
    finished
        Told every claim that was put to the test now.
    pool
        Processes that put a claim to the test each.
    """
    kept = dict(done or {})
    if pool is not None:
        return _verified_apart(
            config, claims, observations, kept, pool, progress, finished
        )
    results: list[Claim] = []
    seconds: dict[str, float] = {}
    with precision("float64"), showing(progress) as report, Watch() as watch:
        checks = _checks(config, _Problems(config, observations))
        for place, name in enumerate(claims):
            if name not in kept:
                if watch.ending():
                    break
                if report is not None:
                    report(ClaimProgress(name, place, len(claims)))
                begin = time.perf_counter()
                claim = checks[name]()
                kept[name] = (claim, time.perf_counter() - begin)
                if finished is not None:
                    finished(*kept[name])
            results.append(kept[name][0])
            seconds[name] = kept[name][1]
    return VerificationResult(
        config, tuple(results), seconds, interrupted=len(results) < len(claims)
    )


def _verified_apart(
    config: VerificationConfig,
    claims: tuple[str, ...],
    observations: Observations | None,
    kept: dict[str, tuple[Claim, float]],
    pool: Pool,
    progress: ShowProgress | Callable[[ClaimProgress], None],
    finished: Callable[[Claim, float], None] | None,
) -> VerificationResult:
    """The same, each claim in another process."""
    missing = [name for name in claims if name not in kept]
    with showing(progress) as report, Watch() as watch:
        tasks = [(config, name, observations) for name in missing]
        for done in pool.each(_verified, tasks, lambda: watch.ending() is not None):
            if done.error is not None:
                raise done.error
            kept[missing[done.place]] = done.value
            if finished is not None:
                finished(*done.value)
            if report is not None:
                at = sum(name in kept for name in claims)
                name, place = missing[done.place], min(at, len(claims) - 1)
                report(ClaimProgress(name, place, len(claims)))
    there = [name for name in claims if name in kept]
    return VerificationResult(
        config,
        tuple(kept[name][0] for name in there),
        {name: kept[name][1] for name in there},
        interrupted=len(there) < len(claims),
    )


def _verified(
    config: VerificationConfig, name: str, observations: Observations | None
) -> tuple[Claim, float]:
    found = run_verification(config, (name,), observations=observations)
    return found.claims[0], found.seconds[name]


def _checks(
    config: VerificationConfig, problems: "_Problems"
) -> dict[str, Callable[[], Claim]]:
    """How each claim is checked with these settings."""
    limit: dict[str, Any] = (
        {} if config.tolerance is None else {"tolerance": config.tolerance}
    )

    def along_the_flow(check: Callable[..., Claim]) -> Claim:
        return check(problems.given, problems.start, **limit)

    def from_the_sphere(check: Callable[..., Claim]) -> Claim:
        huber = problems.huber
        # In order two nothing leads, which the check says.
        leads = len(huber.mode_dims) > 2
        return check(
            huber,
            problems.leading_start if leads else problems.start,
            alphas=config.alphas,
            radius=config.radius,
            horizon=config.horizon,
            **limit,
        )

    return {
        "conservation": partial(along_the_flow, check_conservation),
        "growth": partial(along_the_flow, check_growth),
        "growth-bounds": partial(along_the_flow, check_growth_bounds),
        "escape": lambda: check_escape(problems.given, seed=config.seed, **limit),
        "rank-one": partial(from_the_sphere, check_rank_one_trajectory),
        "corollary": partial(from_the_sphere, check_corollary),
        "matrix-growth": lambda: check_matrix_growth(
            problems.given, depths=config.depths, seed=config.seed, **limit
        ),
    }


class _Problems:
    """The problem of the settings, with the loss asked for and with Huber loss."""

    def __init__(
        self, config: VerificationConfig, observations: Observations | None
    ) -> None:
        self._config = config
        if observations is None:
            self._entries = None
            if config.task == "completion":
                self._entries = _synthetic_entries(config)
        else:
            _check_size(observations)
            fit = Standardization.fit(observations.values, center=config.center)
            self._entries = fit.apply(observations)

    @cached_property
    def given(self) -> AbstractProblem:
        """With the loss of the settings."""
        return self._problem(self._config.loss)

    @cached_property
    def huber(self) -> AbstractProblem:
        """With Huber loss, which the claims on rank-one trajectories are about."""
        return self._problem("huber")

    @cached_property
    def start(self) -> CPFactorization:
        """A start for the claims along the flow, which balance it if they need to."""
        return near_zero(
            self.given.mode_dims,
            self._config.components,
            init_scale=self._config.init_scale,
            key=jax.random.key(self._config.seed),
        )

    @cached_property
    def leading_start(self) -> CPFactorization:
        """Directions with a leading component, the best pulled of some random ones."""
        zero = DenseTensor(jnp.zeros(self.huber.mode_dims, self.huber.values.dtype))
        gradient = end_gradient(self.huber.loss, zero)
        keys = jax.random.split(jax.random.key(self._config.seed), _CANDIDATES)
        starts = [
            leading_component(
                gradient,
                self._config.components,
                init_scale=1.0,
                margin=_MARGIN,
                key=key,
            )
            for key in keys
        ]

        def against(start: CPFactorization) -> float:
            leader = CPFactorization(tuple(w[:, :1] for w in start.factor_matrices))
            return float(jnp.sum(gradient * leader.end_tensor()))

        return min(starts, key=against)

    def _problem(self, loss: str) -> AbstractProblem:
        config = self._config
        if self._entries is not None:
            function = loss_named(loss, _threshold(config, self._entries.values))
            return CompletionProblem.from_observations(self._entries, function)
        target = _target(config)
        if config.task == "sensing":
            dense = gaussian_measurements(
                config.dims, config.observations, seed=config.seed, dtype=np.float64
            )
            values = measure(target, dense, seed=config.seed)
            function = loss_named(loss, _threshold(config, values))
            return SensingProblem.from_dense(dense, values, function)
        factored = rank_k_measurements(
            config.dims, config.observations, seed=config.seed
        )
        values = measure(target, factored, seed=config.seed)
        function = loss_named(loss, _threshold(config, values))
        return SensingProblem.from_factored(factored, values, function)


def _target(config: VerificationConfig) -> tuple[Values, ...]:
    norm = float(np.sqrt(np.prod(config.dims)))
    return random_target(
        config.dims, config.target_rank, frobenius_norm=norm, seed=config.seed
    )


def _synthetic_entries(config: VerificationConfig) -> Observations:
    target = _target(config)
    if config.observed == "random":
        indices = sample_indices(config.dims, config.observations, seed=config.seed)
    else:
        everywhere = np.argwhere(np.ones(config.dims))
        sizes = np.abs(cp_entries(target, everywhere))
        largest = np.argsort(-sizes, kind="stable")[: config.observations]
        indices = everywhere[np.sort(largest)]
    return Observations.from_coordinates(
        indices, cp_entries(target, indices), mode_dims=config.dims
    )


def _threshold(config: VerificationConfig, values: Values) -> float:
    if config.loss_threshold is not None:
        return config.loss_threshold
    smallest = float(np.min(np.abs(values)))
    # An observed zero leaves no room; the claims that need some will say so.
    return 0.5 * smallest if smallest > 0 else 0.5


def _check_size(observations: Observations) -> None:
    entries = observations.entry_count
    if entries > LARGEST_ENTRIES:
        raise InputError(
            f"The tensor has {entries} entries; verify forms the whole end tensor and "
            f"takes {LARGEST_ENTRIES} at most, so give it a part."
        )
