"""Complete a tensor by several models, each of which is not shown a part of it."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise._typing import Indices
from rankrise.completion._alternating import CompletionData, completion_data
from rankrise.completion._baseline import LINKED, Baseline, fit_baseline
from rankrise.completion._completion import Completion, Member, member_of
from rankrise.completion._gaps import Folds, HeldOut, make_folds
from rankrise.completion._kept import Kept, fingerprint
from rankrise.completion._layout import lay_out
from rankrise.completion._noise import fit_noise
from rankrise.completion._path import PathPoint, PathSettings, Walk, follow_path
from rankrise.completion._ways import loss_of_mean, unseen_indices
from rankrise.data import Observations, Standardization
from rankrise.problems import AbstractLoss, SquaredLoss
from rankrise.runs import Checkpoint, Watch

# Fewer observed entries than this leave nothing to hold out and learn from.
_FEWEST_OBSERVED = 10
# Models by default: with many observations one tells little that another does not.
_MODELS = ((20_000, 8), (200_000, 5), (2_000_000, 2))
# A way that is worse after this many models is given up.
_TRIED = 3


@dataclass(frozen=True, kw_only=True)
class Completing:
    """How a tensor is completed; the defaults ask for no rank.

    Attributes
    ----------
    models
        How many, each of which has another part held out; the completed entries are
        their mean. By default up to eight, fewer for many observations.
    heldout
        Whether entries or whole fibers are held out: `auto` looks which of them the
        gaps are.
    heldout_share
        Of the observations that each model is not shown; by default all are held out
        once, but at most a fifth by a model, and a tenth for a single model.
    smooth
        Whether neighbouring rows of a mode may be alike; by default what is better on
        held-out entries.
    main_effects
        Take a number for every slice off first.
    """

    models: int | None = None
    heldout: HeldOut = "auto"
    heldout_share: float | None = None
    loss: AbstractLoss = field(default_factory=SquaredLoss)
    smooth: bool | None = None
    non_negative: bool = False
    center: bool = True
    main_effects: bool = False
    penalties: tuple[float, ...] = PathSettings().penalties
    max_components: int = PathSettings().max_components
    max_seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("models", "max_components"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        share = self.heldout_share
        if share is not None and not 0 < share < 1:
            raise InputError(
                f"The held-out share is {share}; it must lie between 0 and 1."
            )
        falling = all(a > b for a, b in itertools.pairwise(self.penalties))
        if not self.penalties or not falling or not 0 < self.penalties[-1] < math.inf:
            raise InputError(
                f"The penalties are {self.penalties}; give positive numbers that fall."
            )

    def models_for(self, observed: int) -> int:
        """How many models so many observations are completed by."""
        if self.models is not None:
            return self.models
        return next((count for most, count in _MODELS if observed <= most), 1)


class CompletingProgress(NamedTuple):
    """How far it is; given to `progress` at every point of a path."""

    model: int
    models: int
    point: PathPoint


def complete_observations(
    observations: Observations,
    completing: Completing | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[CompletingProgress], None] | None = None,
) -> Completion:
    """Complete a tensor from its observed entries; no rank is asked for.

    Each model walks a path of penalties from large to small on which components enter
    one by one along the largest pull, and rests where its held-out loss is smallest.

    Parameters
    ----------
    checkpoint
        Where the state is kept: models that are made, and the path under way.
    progress
        Called at every point of a path.

    Raises
    ------
    InputError
        Where there are too few entries, a value is none of the loss, or the
        checkpoint is of other observations or settings.
    """
    completing = completing or Completing()
    check_enough(observations)
    completing.loss.check_values(observations.values)
    if not isinstance(completing.loss, LINKED):
        # Refuses what never varies, or leaves the range of floating point squared.
        Standardization.fit(observations.values, center=True)
    # Which entries are held out must not depend on how they came in.
    observations = observations.in_order()
    with jax.enable_x64(True):
        return _complete(observations, completing, checkpoint, progress)


def _complete(
    observations: Observations,
    completing: Completing,
    checkpoint: Checkpoint | None,
    progress: Callable[[CompletingProgress], None] | None,
) -> Completion:
    with Watch(max_seconds=completing.max_seconds) as watch:
        run = _Run(observations, completing, checkpoint, progress)
        members, result = run.members(watch.ending)
    return completion_of(
        observations, completing, run.folds, members, result, watch.seconds
    )


class _Run:
    """Models one after another, on one layout of the observations."""

    def __init__(
        self,
        observations: Observations,
        completing: Completing,
        checkpoint: Checkpoint | None,
        progress: Callable[[CompletingProgress], None] | None,
    ) -> None:
        self._observations, self._completing = observations, completing
        self._progress = progress
        settings = {} if checkpoint is None else fingerprint(observations, completing)
        self._kept = Kept(checkpoint, settings, observations.order)
        count = min(completing.models_for(len(observations)), len(observations) // 2)
        self.folds: Folds = make_folds(
            observations,
            count,
            share=completing.heldout_share,
            heldout=completing.heldout,
            seed=completing.seed,
        )
        self._layout, self._places = lay_out(
            observations.indices, observations.mode_dims
        )

    def members(self, stop: Callable[[], str | None]) -> tuple[list[Member], str]:
        """The models of the better way, as far as they went.

        Parameters
        ----------
        stop
            What ends it early, asked at every point of a path.
        """
        smooth = self._completing.smooth
        ways = [False, True] if smooth is None else [smooth]
        found: dict[bool, list[Member]] = {way: [] for way in ways}
        for number in range(self.folds.count):
            for way in ways:
                member, ended = self._kept.members.get((number, way)), None
                if member is None:
                    member, ended = self._member(number, way, stop)
                # What a path found before it was ended counts only if nothing else.
                if ended is None or not found[ways[0]]:
                    found[way].append(member)
                if ended is not None:
                    return self._better(found), ended
            if number + 1 == _TRIED:
                ways = [min(ways, key=lambda way: self._loss(found[way]))]
        return self._better(found), "finished"

    def _better(self, found: dict[bool, list[Member]]) -> list[Member]:
        """Models of the way that has most, and of those with equally many the best."""
        most = max(map(len, found.values()))
        tied = [each for each in found.values() if len(each) == most]
        return tied[0] if len(tied) == 1 else min(tied, key=self._loss)

    @cached_property
    def _unseen(self) -> Indices:
        """Where ways are compared; nobody asks where only one is tried."""
        return unseen_indices(self._observations, self._completing.seed)

    def _loss(self, members: Sequence[Member]) -> float:
        return loss_of_mean(
            members, self.folds.count, self._unseen, self._completing.loss
        )

    def _member(
        self, number: int, smooth: bool, stop: Callable[[], str | None]
    ) -> tuple[Member, str | None]:
        observations, completing = self._observations, self._completing
        shown = self.folds.part != number
        baseline = fit_baseline(
            observations.indices[shown],
            observations.values[shown],
            observations.mode_dims,
            completing.loss,
            center=completing.center and not completing.non_negative,
            main_effects=completing.main_effects,
        )
        ended: str | None = None
        key, kept = (number, smooth), self._kept

        def go_on(walk: Walk) -> bool:
            nonlocal ended
            if self._progress is not None:
                point = walk.path.points[-1]
                self._progress(CompletingProgress(number + 1, self.folds.count, point))
            ended = stop()
            if ended or kept.is_due:
                kept.walk = key, walk.state()
                kept.write()
            return ended is None

        path = follow_path(
            self._data(shown, baseline),
            observations.mode_dims,
            PathSettings(
                penalties=completing.penalties,
                max_components=completing.max_components,
                smooth=smooth,
            ),
            seed=completing.seed + number,
            go_on=go_on,
            state=kept.state_of(key),
        )
        member = member_of(path, baseline, number, smooth)
        if ended is None:
            kept.members[key], kept.walk = member, None
        return member, ended

    def _data(self, shown: npt.NDArray[np.bool_], baseline: Baseline) -> CompletionData:
        observations, loss = self._observations, self._completing.loss
        values, offset = observations.values, 0.0
        if isinstance(loss, LINKED):
            offset = baseline.offset
        else:
            values = (values - baseline.at(observations.indices)) / baseline.scale
        weights = observations.weights
        weights = np.ones(len(values)) if weights is None else weights
        weights = weights / np.mean(weights)
        return completion_data(
            self._layout,
            self._places,
            values,
            weights=weights * shown,
            heldout=weights * ~shown,
            offset=offset,
            loss=loss,
            non_negative=self._completing.non_negative,
        )


def completion_of(
    observations: Observations,
    completing: Completing,
    folds: Folds,
    members: Sequence[Member],
    result: str,
    seconds: float = math.nan,
) -> Completion:
    """What models say, with the noise of each on the part that it was not shown."""
    predictions = np.full(len(observations), np.nan)
    for member in members:
        hidden = folds.part == member.number
        predictions[hidden] = member.predictions(
            observations.indices[hidden], completing.loss
        )
    known = ~np.isnan(predictions)
    noise = fit_noise(
        observations.indices[known],
        (observations.values - predictions)[known],
        observations.mode_dims,
    )
    return Completion(
        observations,
        completing,
        folds,
        tuple(members),
        noise,
        predictions,
        result,
        seconds,
    )


def check_enough(observations: Observations) -> None:
    """Refuse too few observations to hold some out."""
    observed, entries = len(observations), observations.entry_count
    if observed < _FEWEST_OBSERVED:
        raise InputError(
            f"Only {observed} of {entries} entries are observed; at least "
            f"{_FEWEST_OBSERVED} are needed to learn from some and check on others."
        )
