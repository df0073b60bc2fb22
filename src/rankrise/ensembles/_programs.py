"""The programs that train and measure an ensemble, with its samples where they look."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._devices import on_all
from rankrise.ensembles._ensemble import (
    Models,
    Table,
    mean_losses,
    rounded,
    train_epochs,
)
from rankrise.ensembles._levenberg_marquardt import (
    LevenbergMarquardt,
    levenberg_marquardt_steps,
)
from rankrise.ensembles._packed_epochs import (
    Packed,
    PackedEpochs,
    can_be_packed,
    packed_mean_losses,
)
from rankrise.ensembles._training import Training

if TYPE_CHECKING:
    from rankrise.ensembles._fit import Samples

# Samples up to which a program is compiled for a few more than there are.
_MOST_FILLED = 8192


class Programs:
    """Those of one fit: second order, or epochs with samples as bits or as bytes.

    Attributes
    ----------
    train
        Codes (none where they are held as bits) and targets, with rows to spare.
    batch
        Samples of a step, or those that are held at a time.
    train_epochs
        What takes a `Course`, a table and an optimizer's state through epochs.
    """

    def __init__(
        self, train: Samples, test: Samples | None, training: Training
    ) -> None:
        second_order = isinstance(training.method, LevenbergMarquardt)
        is_packed = not second_order and all(
            can_be_packed(some.data) for some in (train, test) if some is not None
        )
        # Batches are made of samples alone.
        self.train = _placed(train, fill=second_order, as_bits=is_packed)
        self.batch = min(training.batch_size, len(self.train[1]))
        self.train_epochs: Callable[..., Any] = train_epochs
        if second_order:
            self.train_epochs = levenberg_marquardt_steps
        elif is_packed:
            self.train_epochs = PackedEpochs(train.data)
        self._training, self._test, self._packed_test = training, None, None
        if test is not None:
            self._test = _placed(test, fill=True, as_bits=is_packed)
            self._packed_test = Packed(test.data) if is_packed else None
            self._count = jnp.asarray(test.data.samples, jnp.int32)

    @property
    def is_measured(self) -> bool:
        """Whether there are samples for testing."""
        return self._test is not None

    def test_losses(self, models: Models, table: Table) -> jax.Array:
        """Mean loss of every model on the samples for testing."""
        assert self._test is not None
        loss, largest = self._training.loss_function, self._training.largest_loss
        rest = models, table, loss, jnp.asarray(largest, table.dtype)
        if self._packed_test is not None:
            return packed_mean_losses(self._packed_test, self._test[1], *rest)
        return mean_losses(*on_all((self._test, *rest, self._count)))


def _placed(
    samples: Samples, *, fill: bool, as_bits: bool
) -> tuple[jax.Array, jax.Array]:
    codes, targets = samples.data.codes, samples.targets
    count = samples.data.samples
    if fill and count <= _MOST_FILLED:
        # Copies of the first sample, which weigh nothing: tables of about equally
        # many samples share their programs.
        room = rounded(count) - count
        codes, targets = (
            np.concatenate([each, np.repeat(each[:1], room, axis=0)])
            for each in (codes, targets)
        )
    placed: tuple[jax.Array, jax.Array] = on_all(
        (jnp.asarray(codes[:0] if as_bits else codes), jnp.asarray(targets, float))
    )
    return placed
