"""Runs of `dynamics` in a sweep: one init scale and one start seed each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rankrise.experiments import DynamicsConfig, ExpectedTime
from rankrise.runs import Checkpoint
from rankrise.sweeps._command import (
    TRIED_SECONDS,
    AbstractCommand,
    Given,
    Merit,
    Produced,
)

_STEPS_TRIED = 200
_LATER = ("second", "third", "fourth", "fifth")


class DynamicsCommand(AbstractCommand):
    """Components that rise one after another on a synthetic target."""

    name = "dynamics"
    model = DynamicsConfig
    outputs = ("trajectory.nc", "factors.npz")
    single: ClassVar[Mapping[str, str]] = {
        "init_scales": "init_scale",
        "start_seeds": "start_seed",
    }
    merits: ClassVar[Mapping[str, Merit]] = {
        "first_rise": Merit("iterations to the first rise", True),
        **{
            f"{nth}_rise": Merit(f"iterations to the {nth} rise", True)
            for nth in _LATER
        },
        "reconstruction_error": Merit("reconstruction error"),
        "components_risen": Merit("components that rose"),
        "last_rise": Merit("iterations to the last rise", True),
        "first_rise_time": Merit("time to the first rise", True),
        "last_rise_time": Merit("time to the last rise", True),
        "steps_taken": Merit("iterations"),
        "gradient_evaluations": Merit("gradients of the loss"),
        "train_loss": Merit("training loss", True),
        "train_error": Merit("relative error of the observations"),
        "largest_norm": Merit("largest component norm"),
        "final_time": Merit("time at the end"),
    }

    def complete(self, given: Given) -> dict[str, Any]:
        found = super().complete(given)
        if found["start_seed"] is None:
            found["start_seed"] = found["seed"]
        if found["solver"] == "limit":
            found["init_scale"] = 0.0
        return found

    def shape(self, given: Given) -> Any:
        """Runs on one problem, which differ in their start alone."""
        rest = {k: v for k, v in self.identity(given).items() if k not in self.single}
        return tuple(sorted((name, repr(value)) for name, value in rest.items()))

    def run(
        self, batch: Sequence[Given], checkpoint: Checkpoint | None
    ) -> list[Produced]:
        from rankrise.experiments import run_dynamics_together, summarize_dynamics

        configs = [self.checked(given) for given in batch]
        results = run_dynamics_together(configs, checkpoint=checkpoint)  # type: ignore[arg-type]

        def writing(result: Any) -> Any:
            def write(folder: Path) -> None:
                from rankrise.trajectories import save_factors

                trajectory = result.trajectory
                trajectory.save(folder / "trajectory.nc")
                labels = {
                    name: [trajectory.dataset[name].item()]
                    for name in ("init_scale", "start_seed")
                }
                save_factors(folder / "factors.npz", trajectory.models, labels)

            return write

        return [Produced(summarize_dynamics(r), writing(r)) for r in results]

    def expected(self, given: Given) -> ExpectedTime:
        from rankrise.experiments import run_dynamics

        config: Any = self.checked(given)
        if config.solver == "limit":
            few = config.model_copy(update={"max_seconds": TRIED_SECONDS})
            seconds = run_dynamics(few).trajectory.seconds_run
            return ExpectedTime(seconds, f"by {TRIED_SECONDS:g} s of a run at most")
        limit = config.steps or (10_000 if config.solver == "flow" else 40_000)
        steps = min(limit, _STEPS_TRIED)
        few = config.model_copy(update={"steps": steps, "max_seconds": TRIED_SECONDS})
        trajectory = run_dynamics(few).trajectory
        taken = max(1, trajectory.outcomes[0].steps)
        return ExpectedTime(
            trajectory.seconds_run * limit / taken,
            f"at most {limit} iterations a run, by the pace of {taken}",
        )

    def figures(self, summary: Given) -> dict[str, Any]:
        (run,) = summary["runs"]
        # What was there from the start did not rise.
        rises = sorted(step for step in run["rises"] if step)
        times = [time for time in run["rise_times"] if time]
        return {
            "components_risen": len(rises),
            "first_rise": min(rises, default=None),
            **{
                f"{nth}_rise": rises[place] if place < len(rises) else None
                for place, nth in enumerate(_LATER, start=1)
            },
            "last_rise": max(rises, default=None),
            "first_rise_time": min(times, default=None),
            "last_rise_time": max(times, default=None),
            "steps_taken": run["steps"],
            "gradient_evaluations": run["gradient_evaluations"],
            "train_loss": run["train_loss"],
            "train_error": run["train_error"],
            "reconstruction_error": run["reconstruction_error"],
            "largest_norm": max(run["component_norms"], default=None),
            "final_time": run["time"],
        }

    def ended(self, summary: Given) -> tuple[str, str]:
        (run,) = summary["runs"]
        return str(run["result"]), str(run["reason"])

    def seconds(self, summary: Given) -> float:
        return float(summary["seconds_run"] + summary["seconds_compile"])
