"""Runs that fit models, several at a time, each without a part of the observations."""

import math
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rankrise._environment import usable_cores
from rankrise._typing import Values
from rankrise.completion._alternating import Alternation
from rankrise.completion._arrangement import Arrangement, Rows
from rankrise.completion._holdout import Folds
from rankrise.completion._model import Baseline, Key, Model, Variant, fit_baseline
from rankrise.completion._path import Path, PathPoint, Walk, WalkState
from rankrise.completion._plain_fit import of_mean_one
from rankrise.completion._saved_models import from_saved, to_saved
from rankrise.completion._settings import CompletionSettings
from rankrise.losses import SquaredLoss
from rankrise.runs import Ending, Watch
from rankrise.tensors import Observations

# With more observations one model at a time takes all cores.
_SHARED = 500_000
# Seconds between two looks at what threads report.
_LOOK = 0.05
# Most that is said to be done of a model before it is.
_NEARLY = 0.9

Report = Callable[["CompletionProgress"], None]


class CompletionProgress(NamedTuple):
    """How far a completion is; given to `progress` at every point of a path.

    Attributes
    ----------
    model, models
        Which of how many, from 1; models are fitted several at a time.
    point
        Where its path is.
    share
        What is done of all models, as far as it can be told.
    heldout_error
        Root of the held-out loss, where that is a mean square: relative to the root
        mean square of the values, less their mean where it was taken off.
    """

    model: int
    models: int
    point: PathPoint
    share: float = 0.0
    heldout_error: float | None = None

    @property
    def words(self) -> str:
        """Where the completion is, for a person to read."""
        if not self.model:
            return f"{self.models} model{'s' if self.models > 1 else ''} to fit"
        count = self.point.components
        told = f"held-out loss {self.point.heldout_loss:.3g}"
        if self.heldout_error is not None:
            told = f"held-out error {self.heldout_error:.3g}"
        components = f"{count} component{'s' if count != 1 else ''}"
        return f"model {self.model} of {self.models}, {components}, {told}"


class ModelRuns:
    """Fits the models of one completion, and keeps what was found of each.

    Attributes
    ----------
    arrangement
        The observations, in the order of the first mode's rows.
    models
        Finished models.
    workers
        Threads that models are fitted by.
    """

    workers: Executor

    def __init__(
        self,
        observations: Observations,
        folds: Folds,
        settings: CompletionSettings,
        watch: Watch,
        progress: Report | None,
    ) -> None:
        self.observations, self.settings, self.folds = observations, settings, folds
        self.watch, self._progress = watch, progress
        rows = Rows.of(observations.indices, observations.mode_dims)
        self.arrangement = Arrangement.of(observations.indices, rows)
        self._parts = self.arrangement.spread(folds.part.astype(np.uint8))
        self.losses = settings.loss_functions
        self.models: dict[Key, Model] = {}
        self._baselines: dict[Key, Baseline] = {}
        self._walks: dict[Key, WalkState] = {}
        self._pool: Executor | None = None
        self._threads = ExitStack()
        self._lock = threading.Lock()
        self._reports: queue.SimpleQueue[tuple[Key, int, float, PathPoint]]
        self._reports = queue.SimpleQueue()
        # Of every model that was begun or is to be: what is done of it.
        self._shares: dict[Key, float] = {}
        self._leave_off = False
        saved = watch.load()
        if saved is not None:
            self.models, self._walks = from_saved(*saved, self._model)

    def __enter__(self) -> "ModelRuns":
        if self._progress is not None:
            # Now all input is known to fit, and nothing is written yet.
            nothing = PathPoint(math.inf, 0, math.nan, math.nan, ())
            self._progress(CompletionProgress(0, self.folds.count, nothing))
        cores = usable_cores()
        if len(self.arrangement) > _SHARED:
            self._pool = self._threads.enter_context(ThreadPoolExecutor(cores))
            cores = 1
        self.workers = self._threads.enter_context(ThreadPoolExecutor(cores))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()

    def run(self, numbers: Iterable[int], *variants: Variant) -> Ending | None:
        """Fit these models of each variant; what ended it early, if something did."""
        keys = [(number, variant) for number in numbers for variant in variants]
        new = [key for key in keys if key not in self.models]
        self._shares |= {key: self._shares.get(key, 0.0) for key in new}
        pending = {self.workers.submit(self._fit, key) for key in new}
        endings = []
        try:
            while pending:
                done, pending = wait(pending, _LOOK, FIRST_EXCEPTION)
                endings += [each.result() for each in done]
                self._report()
        finally:
            self._leave_off = True
            wait(pending)
        self._leave_off = False
        return next((each for each in endings if each is not None), None)

    def of(self, variant: Variant) -> list[Model]:
        """Finished models of a variant, by number."""
        return [self.models[key] for key in sorted(self.models) if key[1] == variant]

    def unfinished(self) -> tuple[Model, Variant]:
        """What the first path found before it was ended."""
        key = min(self._walks)
        return self._model(key, self._walked(key).path), key[1]

    def baseline(self, key: Key) -> Baseline:
        """What is taken off the values before components of a model are learned."""
        if key not in self._baselines:
            self._baselines[key] = self._fitted_baseline(*key)
        return self._baselines[key]

    @cached_property
    def weights(self) -> Values | None:
        """Weights of the observations, with mean one."""
        weights = self.observations.weights
        return None if weights is None else of_mean_one(weights)

    def save(self) -> None:
        """Write what was found to the checkpoint, if there is one."""
        self.watch.save(*to_saved(self.models, self._walks))

    def _report(self) -> None:
        # In the caller's thread, where its callback may do what it likes.
        for _ in range(self._reports.qsize()):
            key, points, share, last = self._reports.get()
            if self._progress is None or self.watch.ending() is not None:
                continue
            with self._lock:
                done = list(self.models.items())
            if done:
                # Paths end before the last penalty, about where others did.
                usual = sum(len(model.path.points) for _, model in done) / len(done)
                share = min(points / usual, _NEARLY)
            self._shares |= {**dict.fromkeys(self.models, 1.0), key: share}
            is_square = isinstance(self.losses[key[1].loss], SquaredLoss)
            error = math.sqrt(last.heldout_loss) if is_square else None
            self._progress(
                CompletionProgress(
                    key[0] + 1, self.folds.count, last, self._share, error
                )
            )

    @property
    def _share(self) -> float:
        """What is done of the models that are begun or will be, of one variant all."""
        of_one = Counter(variant for _, variant in self._shares)
        still = self.folds.count - max(of_one.values())
        return sum(self._shares.values()) / (len(self._shares) + still)

    def _fit(self, key: Key) -> Ending | None:
        walk, reported = self._walked(key), 0
        while not walk.is_over:
            points = walk.path.points
            if len(points) > reported:
                reported, last = len(points), points[-1]
                self._reports.put((key, reported, walk.share, last))
            ending = self.watch.ending()
            if ending or self._leave_off or self.watch.is_due:
                with self._lock:
                    self._walks[key] = walk.state()
                    self.save()
            if ending or self._leave_off:
                return ending
            walk.move()
        with self._lock:
            self.models[key] = self._model(key, walk.path)
            self._walks.pop(key, None)
        return None

    def _model(self, key: Key, path: Path) -> Model:
        rows, baseline = self.arrangement.rows, self.baseline(key)
        return Model.at_best(rows, path, baseline, key[0], key[1].smooth)

    def _fitted_baseline(self, number: int, variant: Variant) -> Baseline:
        return fit_baseline(
            self.arrangement.indices,
            self.observations.values,
            self.folds.part != number,
            self.arrangement.rows.dims,
            self.losses[variant.loss],
            center=variant.centering.has_offset,
            main_effects=variant.centering.has_effects,
        )

    def _walked(self, key: Key) -> Walk:
        """A model's path, from where it was left off."""
        number, variant = key
        dims = self.arrangement.rows.dims
        settings, baseline = self.settings, self.baseline(key)
        loss = self.losses[variant.loss]
        alternation = Alternation(
            self.arrangement,
            # Without a name: the model keeps no more of them than it needs.
            self.observations.values
            if loss.is_linked
            else baseline.taken_off(self.arrangement.indices, self.observations.values),
            self.weights,
            self._parts,
            number,
            loss=loss,
            offset=baseline.offset if loss.is_linked else 0.0,
            non_negative=settings.non_negative or loss.is_additive,
            pool=self._pool,
        )
        return Walk(
            alternation,
            penalties=settings.penalties,
            # No tensor of these dimensions needs more.
            max_components=min(settings.max_components, math.prod(dims) // max(dims)),
            smooth=variant.smooth,
            seed=settings.seed + number,
            state=self._walks.get(key),
        )
