"""How long an epoch of an ensemble takes, against plain PyTorch with one-hot samples.

Of the size of the paper's MNIST experiment: 60,000 samples with 784 features of two
values, predictors of rank 1 to 15 for three classes, which are 360 components, Adam,
batches of 5000, float32. The plain way trains model by model: samples one-hot, an
`einsum` with the factors, a product over modes, automatic differentiation. It costs the
same for every batch and every class, so one batch of one class is timed.
"""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from rich.console import RenderableType
from rich.table import Table

from _dense_measurements import torch_version
from _step_tables import goal, goal_table
from _timing import Case, Timing, clocked, interleaved, ratio
from rankrise.ensembles import Member
from rankrise.ensembles._ensemble import Course, side_by_side, start_table
from rankrise.ensembles._packed_epochs import Packed, PackedEpochs
from rankrise.losses import SquaredLoss
from rankrise.tables import CategoricalData

OURS = "rankrise, an epoch of all models"
PLAIN = "PyTorch, one-hot, a batch of one class's models"
FLOOR = "matrix products of an epoch, NumPy"
_LEARNING_RATE = 5e-4
# Products of 784 factors, each rounded by up to 6e-8 of its size, and their sums.
_TOLERANCE = 1e-4

Factors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sizes:
    """How large the data and the ensemble are, and how long is measured."""

    samples: int = 60_000
    features: int = 784
    batch_size: int = 5000
    ranks: tuple[int, ...] = tuple(range(1, 16))
    classes: int = 3
    repeats: int = 5
    seconds: float = 1.0

    @property
    def batches(self) -> int:
        return -(-self.samples // self.batch_size)

    @property
    def components(self) -> int:
        return self.classes * sum(self.ranks)


@dataclass(frozen=True)
class Instance:
    """Samples of random bits, random labels, and a start for every model."""

    sizes: Sizes
    codes: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]
    members: tuple[Member, ...]
    starts: tuple[Factors, ...]

    @classmethod
    def random(cls, sizes: Sizes, seed: int = 0) -> "Instance":
        """What is in the samples does not change how long they take."""
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, 2, (sizes.samples, sizes.features), dtype=np.uint8)
        labels = rng.random((sizes.samples, sizes.classes)) < 1 / 10
        members = [
            Member(rank, task) for task in range(sizes.classes) for rank in sizes.ranks
        ]
        start = partial(
            start_table,
            (2, sizes.features),
            init_mean=1.0,
            init_std=1e-3,
            dtype=np.float32,
        )
        return cls(
            sizes,
            codes,
            np.where(labels, 2, 0).astype("f4"),
            tuple(members),
            tuple(start(member) for member in members),
        )


def run(sizes: Sizes | None = None) -> dict[str, Any]:
    """Check that both ways agree with float64, then time them in turns."""
    sizes = sizes or Sizes()
    with jax.enable_x64(False):
        instance = Instance.random(sizes)
        ours = Ensemble(instance)
        cases = {OURS: Case(clocked(ours.epochs)), FLOOR: _floor(instance)}
        accuracy = {OURS: _checked(OURS, ours.losses_and_gradients(), instance)}
        if torch_version():
            plain = OneHotPyTorch(instance)
            cases[PLAIN] = Case(clocked(plain.batches))
            accuracy[PLAIN] = _checked(PLAIN, plain.losses_and_gradients(), instance)
        times = interleaved(cases, repeats=sizes.repeats, seconds=sizes.seconds)
    return {
        "sizes": asdict(sizes) | {"components": sizes.components},
        "versions": [
            {
                "name": name,
                "installed": name in times,
                "seconds_an_epoch_and_component": _per_component(name, times, sizes),
                "errors": accuracy.get(name),
            }
            for name in (OURS, PLAIN, FLOOR)
        ],
        "goals": _goals(times, sizes),
    }


class Ensemble:
    """All models as columns of one table, by rankrise."""

    def __init__(self, instance: Instance) -> None:
        members = instance.members
        models, self._start = side_by_side(
            list(instance.starts), [member.task for member in members]
        )
        self._members = members
        order = np.tile(np.arange(2, dtype=np.uint8), (instance.sizes.features, 1))
        cardinalities = (2,) * instance.sizes.features
        self._data = CategoricalData(instance.codes, cardinalities, order)
        self._train_epochs = PackedEpochs(self._data)
        optimizer = optax.adam(_LEARNING_RATE)
        self._course = Course(
            jnp.asarray(instance.codes[:0]),
            jnp.asarray(instance.targets),
            models,
            jax.random.key(0),
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.int32),
            optimizer,
            SquaredLoss(),
            min(instance.sizes.batch_size, instance.sizes.samples),
            64,
        )
        self._table, self._state = jnp.copy(self._start), optimizer.init(self._start)

    def epochs(self, count: int) -> None:
        """So many epochs, from where the last ones ended."""
        course = eqx.tree_at(
            lambda course: course.epochs, self._course, jnp.asarray(count, jnp.int32)
        )
        self._table, self._state, losses = self._train_epochs(
            course, self._table, self._state
        )
        jax.block_until_ready(losses)

    def losses_and_gradients(self) -> list[tuple[float, Factors]]:
        """Of every model at its start, on the first batch."""
        course, table = self._course, np.asarray(self._start)
        rows = np.arange(course.batch_size, dtype=np.int32)
        packed = Packed(self._data)
        products = packed.products(course.models, course.batch_size, table.dtype)
        wanted = np.asarray(course.targets)[rows][:, course.models.task]
        residuals = products.forward(table, rows) - wanted
        losses, gradients = np.mean(residuals**2, axis=0), np.zeros_like(table)
        products.backward(2 / len(rows) * residuals, gradients)
        ends = np.cumsum([member.components for member in self._members])
        parts = np.split(gradients, ends, axis=-1)[:-1]
        return [(float(each), part) for each, part in zip(losses, parts, strict=False)]


class OneHotPyTorch:
    """The models of the first class, one after another."""

    def __init__(self, instance: Instance) -> None:
        import torch

        self._torch: Any = torch
        rows = slice(instance.sizes.batch_size)
        self._codes = torch.from_numpy(instance.codes[rows])
        self._targets = torch.from_numpy(
            np.ascontiguousarray(instance.targets[rows, 0])
        )
        firsts = instance.starts[: len(instance.sizes.ranks)]
        self._tables = [torch.tensor(table, requires_grad=True) for table in firsts]
        self._optimizers = [
            torch.optim.Adam([table], lr=_LEARNING_RATE) for table in self._tables
        ]

    def batches(self, count: int) -> None:
        """So many batches for each model."""
        for _ in range(count):
            for table, optimizer in zip(self._tables, self._optimizers, strict=True):
                optimizer.zero_grad()
                self._loss(table).backward()
                optimizer.step()

    def losses_and_gradients(self) -> list[tuple[float, Factors]]:
        """Of every model at its start, on the first batch."""
        found = []
        for table in self._tables:
            loss = self._loss(table)
            loss.backward()
            found.append((loss.item(), table.grad.numpy().copy()))
            table.grad = None
        return found

    def _loss(self, table: Any) -> Any:
        samples = self._torch.nn.functional.one_hot(self._codes.long(), 2).float()
        rows = self._torch.einsum("snv,vnr->snr", samples, table)
        predictions = rows.prod(dim=1).sum(dim=1)
        return ((predictions - self._targets) ** 2).mean()


def _checked(
    name: str, found: list[tuple[float, Factors]], instance: Instance
) -> dict[str, float]:
    """Largest relative errors against float64; a wrong version is not timed."""
    rows = slice(instance.sizes.batch_size)
    codes = instance.codes[rows]
    errors = {"loss": 0.0, "gradient": 0.0}
    for k, (loss, gradient) in enumerate(found):
        table = instance.starts[k].astype("f8")
        targets = instance.targets[rows, instance.members[k].task].astype("f8")
        products = np.ones((len(codes), table.shape[-1]))
        for mode in range(table.shape[1]):
            products *= table[codes[:, mode], mode]
        residuals = products.sum(axis=1) - targets
        slopes = 2 / len(codes) * residuals[:, None] * products
        # No factor of the start is zero: the others' product is a quotient.
        right = np.stack([(codes == v).T.astype("f8") @ slopes for v in (0, 1)]) / table
        off = np.linalg.norm(gradient - right) / np.linalg.norm(right)
        errors["gradient"] = max(errors["gradient"], float(off))
        mean = float(np.mean(residuals**2))
        errors["loss"] = max(errors["loss"], abs(loss - mean) / mean)
    if not max(errors.values()) < _TOLERANCE:
        raise RuntimeError(
            f"{name} computes something else: relative error {errors['loss']:.1g} in "
            f"the loss, {errors['gradient']:.1g} in the gradient."
        )
    return errors


def _floor(instance: Instance) -> Case:
    """A product forward and one backward, of as many operations, for every batch."""
    sizes = instance.sizes
    rng = np.random.default_rng(0)
    samples, table, slopes = (
        rng.random(shape, np.float32)
        for shape in (
            (sizes.batch_size, sizes.features),
            (sizes.features, sizes.components),
            (sizes.batch_size, sizes.components),
        )
    )

    def epochs(count: int) -> None:
        for _ in range(count * sizes.batches):
            samples @ table
            samples.T @ slopes

    return Case(clocked(epochs))


def _per_component(name: str, times: dict[str, Timing], sizes: Sizes) -> float | None:
    """Seconds for one component in one epoch."""
    if name not in times:
        return None
    if name == PLAIN:
        return times[name].median * sizes.batches * sizes.classes / sizes.components
    return times[name].median / sizes.components


def _goals(times: dict[str, Timing], sizes: Sizes) -> list[dict[str, Any]]:
    above = ratio(times[OURS], times[FLOOR])
    goals = [goal("an epoch / its matrix products", above, 1.0, 0.6, above <= 1.0)]
    if PLAIN in times:
        ahead = ratio(times[PLAIN], times[OURS]) * sizes.batches * sizes.classes
        name = "plain PyTorch / rankrise, an epoch and component"
        goals.append(goal(name, ahead, 250, 400, ahead >= 250))
    return goals


def tables(result: dict[str, Any]) -> list[RenderableType]:
    """The result for people to read."""
    sizes = result["sizes"]
    table = Table(
        title=f"An epoch of {sizes['samples']} samples, {sizes['features']} features, "
        f"{sizes['components']} components",
        title_justify="left",
    )
    table.add_column("version")
    table.add_column("ms a component", justify="right")
    for row in result["versions"]:
        seconds = row["seconds_an_epoch_and_component"]
        shown = "not installed" if seconds is None else f"{1e3 * seconds:.3f}"
        table.add_row(row["name"], shown)
    return [table, goal_table(result)]


if __name__ == "__main__":
    from run import main

    main(["ensemble_epoch"])
