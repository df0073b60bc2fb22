"""`complete_parts`: completion of observations that no one machine holds."""

import hashlib
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import rankrise.completion.parts._part as tasks
from rankrise._checks import check_whole
from rankrise._cluster import LOCAL, check_workers, open_client
from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.completion._checks import FEWEST_OBSERVED
from rankrise.completion._compiled import load_kernels
from rankrise.completion._model import Baseline, Key, Model, Variant
from rankrise.completion._model_runs import CompletionProgress
from rankrise.completion._path import PENALTIES, Path, PathPoint, Walk
from rankrise.completion._saved_models import from_saved, to_saved
from rankrise.completion._settings import Centering, CompletionSettings
from rankrise.completion.parts._alternation import PartsAlternation
from rankrise.completion.parts._passes import Passes
from rankrise.completion.parts._plan import Plan, make_plan
from rankrise.completion.parts._result import CompletionOfParts
from rankrise.completion.parts._sources import Block, Source, source_of
from rankrise.runs import (
    Checkpoint,
    Ending,
    ShowProgress,
    Watch,
    check_checkpoint,
    counting_seconds,
    showing,
)
from rankrise.tensors import Reading, Standardization, place_of

# What one pass over the parts cannot give, and why.
_REFUSED = {
    "method": "a gradient method needs all observations on one machine",
    "heldout": "whole fibers and blocks lie in several parts, so entries are held out "
    "at random",
    "models": "parts are completed by one model",
    "smooth": "a row does not know its neighbours in other parts",
    "non_negative": "sums of normal equations are solved without that constraint",
    "main_effects": "main effects take many passes, so the mean alone is taken off",
    "loss": "parts are summed as normal equations, which only the squared loss has",
    "loss_threshold": "the loss is the squared one",
}
# Readings of a table that need all of it.
_READ = {
    "layout": ("long",),
    "repeats": ("error",),
    "order": ("natural", "text", "day-first", "month-first"),
    "domain": (),
    "leave_empty": (),
}
_LARGEST_ROUNDING = 1e-12
_DEFAULT_SHARE = 0.1
# Parts that would take a larger share of the workers' memory than this lie on disk.
_MOST_KEPT = 0.25
_MOST_PARTS = 100_000


@counting_seconds()
def complete_parts(
    source: Any,
    *,
    scheduler: Any = LOCAL,
    workers: int | None = None,
    parts: int | None = None,
    values: Hashable | None = None,
    mode_dims: ModeDims | None = None,
    heldout_share: float | None = None,
    center: bool | None = None,
    max_components: int = 64,
    max_seconds: float | None = None,
    penalties: tuple[float, ...] = PENALTIES,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Any], None] = None,
    **reading: Any,
) -> CompletionOfParts:
    """Fill the gaps of a tensor whose observations do not fit one machine.

    The rows of the largest mode are divided into parts that workers of Dask hold, each
    with the observations there. What is found equals `complete` with one model,
    `heldout` random, `smooth` and `main_effects` off, up to rounding, however many
    workers there are. A part that is lost with its worker is read and summed again.

    Parameters
    ----------
    source
        A folder of Parquet files, each a part of one long table; a Dask DataFrame; or
        a Dask array, in which NaN is unobserved.
    scheduler
        `local` starts workers on this machine. Else the address of a scheduler, whose
        workers see the files at the same path, or a client.
    workers
        How many are started on this machine, by default one for every core.
    parts
        How many parts at least; by default as many as there are files, and more where
        a part would have over two million observations.
    values, mode_dims
        The column that holds the values, by default the last, and the dimension of
        every mode, whose columns are then indices counted from 0.
    heldout_share
        Share of the observed entries that is held out, at random; by default a tenth.
    center
        Fit the values less their mean, which is added back; by default, yes.
    max_components, max_seconds, penalties, seed, checkpoint, progress
        As for `complete`.
    reading
        Further fields of `rankrise.tensors.Reading`: `modes`, `missing`, `censored` and
        `order`.

    Raises
    ------
    InputError
        If the input or a setting cannot be used, a part is damaged or gives an entry
        twice, or workers are lost again and again.
    KeyboardInterrupt
        At Ctrl-C, once the state is written where there is a checkpoint.
    """
    settings = CompletionSettings(
        heldout_share=heldout_share,
        center=center,
        max_components=max_components,
        max_seconds=max_seconds,
        penalties=penalties,
        seed=seed,
    )
    options = {"values": values, "mode_dims": mode_dims, **reading}
    return complete_parts_as_set(
        source,
        settings,
        options,
        scheduler=scheduler,
        workers=workers,
        parts=parts,
        checkpoint=checkpoint,
        progress=progress,
    )


@counting_seconds()
def complete_parts_as_set(
    source: Any,
    settings: CompletionSettings,
    reading: Mapping[str, Any],
    *,
    scheduler: Any = LOCAL,
    workers: int | None = None,
    parts: int | None = None,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Any], None] = None,
) -> CompletionOfParts:
    """The same, as the settings of a completion say.

    Raises
    ------
    InputError
        If they ask for what parts cannot give.
    """
    settings = _of_parts(settings)
    if parts is not None:
        check_whole("`parts`", parts, 1, _MOST_PARTS)
    check_checkpoint(checkpoint)
    check_workers(scheduler, workers)
    given = source_of(source)
    options = _readable(reading, is_array=given.is_array)
    load_kernels()
    with (
        showing(progress) as report,
        open_client(scheduler, workers, steal=False) as opened,
        _large_tasks(),
        Watch(
            checkpoint=checkpoint,
            fingerprint=lambda: run.fingerprint,
            max_seconds=settings.max_seconds,
        ) as watch,
    ):
        run = _Run(Passes(*opened), given, settings, options, parts or given.files)
        model, ending = run.fitted(watch, report)
        facts = run.plan.axes, run.plan.observed, run.hidden, run.plan.parts
        del run
    done = facts, model, ending, watch.seconds
    return _result(settings, *done, split=int(np.argmax(model.rows.dims)))


def _result(
    settings: CompletionSettings,
    facts: tuple[Any, int, int, int],
    model: Model,
    ending: Ending,
    seconds: float,
    split: int,
) -> CompletionOfParts:
    return CompletionOfParts(*facts, split, settings, ending, model, seconds)


def _large_tasks() -> Any:
    """Factors go to workers with the tasks that need them, which Dask warns of."""
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "100GB"})


def _of_parts(settings: CompletionSettings) -> CompletionSettings:
    """The settings that one machine would need for the same result."""
    allowed = {
        "heldout": "random",
        "models": 1,
        "smooth": False,
        "main_effects": False,
        "center": settings.center is not False,
    }
    for name, why in _REFUSED.items():
        if name in settings.changed and getattr(settings, name) != allowed.get(name):
            raise InputError(
                f"`{name}` cannot be chosen for observations in parts: {why}; leave it "
                "out, or complete the tensor on one machine."
            )
    return settings.model_copy(update=allowed)


def _readable(reading: Mapping[str, Any], *, is_array: bool) -> dict[str, Any]:
    """What is said of reading, refused where no part can be read so."""
    found = {name: own for name, own in reading.items() if own not in (None, ())}
    for name, allowed in _READ.items():
        if name in found and found[name] not in allowed:
            raise InputError(
                f"`{name}` {found[name]} cannot be had of observations in parts, which "
                "are read one by one; leave it out, or complete them on one machine."
            )
    found.pop("layout", None)
    others: Any = {**found}
    named = others.pop("values", None), others.pop("mode_dims", None)
    try:
        changed = Reading.of(*named, others).changed
    except InputError as error:
        raise InputError(str(error).replace("`variable`", "`values`")) from error
    if is_array and changed:
        name = min(changed).replace("variable", "values")
        raise InputError(
            f"`{name}` is for tables; leave it out for a Dask array, in which NaN is "
            "unobserved."
        )
    return found


class _Run:
    """Observations divided among workers, what is held out, and the model's path.

    Attributes
    ----------
    hidden
        How many entries are held out.
    """

    def __init__(
        self,
        passes: Passes,
        source: Source,
        settings: CompletionSettings,
        options: Mapping[str, Any],
        parts: int,
    ) -> None:
        self._passes, self._settings, self._source = passes, settings, source
        self._options = self._with_modes(dict(options))
        self.plan = self._planned(parts)
        gathered = self._gathered()
        try:
            most = self._held_out(gathered)
        except tasks.RepeatedEntryError as error:
            raise InputError(
                f"The entry {place_of(self.plan.axes, error.indices)} is given twice, "
                "in one part or in two; leave one of them out."
            ) from None
        baseline, self.fingerprint = self._standardized(gathered, most)
        self._baseline = baseline
        needed = self.plan.observed * tasks.bytes_of(len(self.plan.axes))
        is_on_disk = needed > _MOST_KEPT * passes.memory()
        scale = baseline.offset, baseline.scale
        standard = settings.seed, most, *scale, is_on_disk
        count, ready = len(gathered), list[Any]()
        while gathered:
            # Here its last name goes: once a part is ready, what it is made of can.
            near = len(ready) / count
            ready.append(
                passes.submit(tasks.ready, gathered.pop(0), *standard, near=near)
            )
        passes.results(passes.each(tasks.is_ready, ready))
        self._alternation = PartsAlternation(passes, self.plan, ready, self.hidden)

    # Reading.

    def _with_modes(self, options: dict[str, Any]) -> dict[str, Any]:
        """The columns that are modes, told once for all blocks."""
        for block in self._source.blocks if "modes" not in options else []:
            names = self._passes.result(
                self._of_block(tasks.names_of_modes, block, options)
            )
            if names is not None and None not in names:
                return {**options, "modes": names}
            if names is not None or self._source.is_array:
                break
        return options

    def _planned(self, parts: int) -> Plan:
        surveys = [
            self._of_block(tasks.surveyed, block, self._options)
            for block in self._source.blocks
        ]
        survey = None
        if surveys:
            total = self._passes.summed(surveys, tasks.surveyed_together)
            survey = self._passes.result(total)
        observed = 0 if survey is None else survey.observed
        if survey is None or observed < FEWEST_OBSERVED:
            raise InputError(
                f"Only {observed} entries are observed in {self._source.words}; at "
                f"least {FEWEST_OBSERVED} are needed to learn from some and check on "
                "others."
            )
        return make_plan(survey, self._options.get("order"), parts)

    def _gathered(self) -> list[Any]:
        passes, plan = self._passes, self.plan
        division = passes.shared(plan.division())
        divided = [
            self._of_block(tasks.divided, block, self._options, division)
            for block in self._source.blocks
        ]
        found = passes.results(
            [passes.submit(tasks.parts_in, pieces) for pieces in divided]
        )
        pieces: list[list[Any]] = [[] for _ in range(plan.parts)]
        for block, numbers in zip(divided, found, strict=True):
            for number in numbers:
                pieces[number].append(passes.submit(tasks.piece, block, number))
        return [
            passes.submit(
                tasks.gathered,
                tasks.Place.of(plan, number),
                *own,
                near=number / plan.parts,
            )
            for number, own in enumerate(pieces)
        ]

    def _of_block(
        self, function: Callable[..., Any], block: Block, *arguments: Any
    ) -> Any:
        bare = replace(block, content=None)
        return self._passes.submit_with(function, bare, block.content, *arguments)

    # Preparing.

    def _held_out(self, gathered: list[Any]) -> np.uint64:
        """The largest number drawn for an entry that is held out."""
        observed, seed = self.plan.observed, self._settings.seed
        share = self._settings.heldout_share or _DEFAULT_SHARE
        self.hidden = min(max(1, round(share * observed)), observed // 2)
        passes = self._passes
        counted = passes.summed(
            [passes.submit(tasks.counted, each, seed) for each in gathered]
        )
        before = np.cumsum(passes.result(counted))
        first = int(np.searchsorted(before, self.hidden))
        rest = self.hidden - (int(before[first - 1]) if first else 0)
        drawn = passes.summed(
            [passes.submit(tasks.drawn_in, each, seed, first) for each in gathered],
            tasks.joined,
        )
        return np.uint64(np.sort(passes.result(drawn))[rest - 1])

    def _standardized(
        self, gathered: list[Any], most: np.uint64
    ) -> tuple[Baseline, dict[str, Any]]:
        passes, seed = self._passes, self._settings.seed
        totals = [passes.submit(tasks.total, each, seed, most) for each in gathered]
        count, total, largest = passes.result(passes.summed(totals, tasks.totals_of))
        Standardization.check_range(np.array([largest, -largest]))
        offset = float(total / count) if self._settings.center else 0.0
        each = [passes.submit(tasks.squares, g, seed, most, offset) for g in gathered]
        scale = math.sqrt(float(passes.result(passes.summed(each))) / count)
        if scale <= _LARGEST_ROUNDING * largest:
            raise InputError(
                f"All observed values are {total / count:g}; there is nothing to learn."
            )
        content = hashlib.sha256(np.array([total, largest, scale]).tobytes())
        for names in self.plan.rows.names:
            content.update(np.ascontiguousarray(names).data)
        settings = self._settings.model_dump(mode="json")
        told = {
            **{name: repr(value) for name, value in settings.items()},
            "mode_dims": list(self.plan.rows.mode_dims),
            "observations": content.hexdigest(),
            "parts": self.plan.parts,
        }
        return Baseline(offset, scale), told

    # Learning.

    def fitted(
        self, watch: Watch, report: Callable[[Any], None] | None
    ) -> tuple[Model, Ending]:
        """The best point of the path, as far as it came."""
        dims, settings = self.plan.rows.dims, self._settings
        centering = Centering.of(has_offset=bool(settings.center), has_effects=False)
        key: Key = (0, Variant(False, "squared", centering))
        saved = watch.load()
        walks = {} if saved is None else from_saved(*saved, self._model)[1]
        walk = Walk(
            self._alternation,
            penalties=settings.penalties,
            max_components=min(settings.max_components, math.prod(dims) // max(dims)),
            smooth=False,
            seed=settings.seed,
            state=walks.get(key),
        )
        if report is not None:
            nothing = PathPoint(math.inf, 0, math.nan, math.nan, ())
            report(CompletionProgress(0, 1, nothing))
        ending: Ending | None = None
        while not walk.is_over and ending is None:
            if report is not None:
                last = walk.path.points[-1]
                error = math.sqrt(last.heldout_loss)
                report(CompletionProgress(1, 1, last, walk.share, error))
            ending = watch.ending()
            if ending is not None or watch.is_due:
                watch.save(*to_saved({}, {key: walk.state()}))
            if ending is None:
                walk.move()
        return self._model(key, walk.path), ending or Ending.CONVERGED

    def _model(self, key: Key, path: Path) -> Model:
        return Model.at_best(self.plan.rows, path, self._baseline, key[0], False)
