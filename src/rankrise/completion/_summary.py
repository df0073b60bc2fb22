"""What `summary.json` says of a completion."""

import itertools
from typing import Any

from rankrise._environment import environment
from rankrise._strict import strict
from rankrise.completion._result import Completion

_LISTED = 10


def summarize_completion(
    found: Completion, source: Any, level: float | None = None
) -> dict[str, Any]:
    """Settings, outcome and figures of merit.

    Parameters
    ----------
    source
        Where the entries come from.
    level
        Confidence of the bounds that were written, if they were.
    """
    observations = found.observations
    rank = found.rank_in_time
    slices = itertools.islice(found.unobserved_slices(), _LISTED)
    summary = {
        **_outcome(found),
        "source": source,
        "mode_dims": list(observations.mode_dims),
        "observed_entries": len(observations),
        "entries": observations.entry_count,
        "link_losses": dict(found.link_losses),
        "heldout_modes": [mode + 1 for mode in found.folds.modes],
        "centering": None if found.loss.is_linked else found.centering.value,
        "gaps": found.gaps,
        "heldout_blocks": found.folds.blocks is not None,
        "gaps_unlike_heldout": found.folds.unlike,
        "components": found.components,
        **({"rank": None} if rank is None else rank.facts()),
        "unobserved_slices": [_slice(found, *each) for each in slices],
        "unobserved_slice_count": found.unobserved_slice_count,
        **found.errors(),
        "component_norms": found.component_norms[:_LISTED].tolist(),
        "reproducibility": found.reproducibility[:_LISTED].tolist(),
    }
    if level is not None:
        multiple = found.noise.multiple(level)
        summary["interval"] = {"level": level, "standard_deviations": multiple}
    return strict(summary)


def _slice(found: Completion, mode: int, index: int) -> dict[str, Any]:
    """The mode counts from 1 as everywhere in a summary, the index from 0."""
    axis = found.axis(mode)
    named = {} if axis.name is None else {"name": axis.name}
    labelled = {} if axis.labels is None else {"label": axis.label(index)}
    return {"mode": mode + 1, **named, "index": index, **labelled}


def _outcome(found: Completion) -> dict[str, Any]:
    if found.trajectory is not None:
        from rankrise.trajectories import summarize_trajectory

        return {
            **summarize_trajectory(found.settings, found.trajectory),
            "chosen_run": found.chosen,
            "chosen_step": found.run.outcomes[0].best_step,
        }
    return {
        "settings": found.settings.model_dump(mode="json"),
        **environment(),
        "seed": found.settings.seed,
        "result": found.ending_with_rank,
        "seconds": round(found.seconds, 3),
        "loss": found.loss_name,
        "asked_models": found.folds.count,
        "models": [
            {
                "heldout_part": model.number,
                "components": model.components,
                "smooth": model.smooth,
                "penalty": model.path.best_point.penalty,
                "heldout_loss": model.path.best_point.heldout_loss,
            }
            for model in found.models
        ],
        "path": [point._asdict() for point in found.path],
    }
