"""What a state on disk belongs to, so that it is not taken for another's."""

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from rankrise.ensembles._ensemble import Member
from rankrise.ensembles._levenberg_marquardt import LevenbergMarquardt
from rankrise.ensembles._training import Training

if TYPE_CHECKING:
    from rankrise.ensembles._fit import Samples


def fingerprint(
    members: tuple[Member, ...],
    training: Training,
    state: Any,
    start: Iterable[npt.NDArray[Any]],
    train: "Samples",
    test: "Samples | None",
) -> dict[str, Any]:
    """Facts by name, the same again after a way through JSON.

    Only the form of its state is known of an optimizer of optax; what it was made with
    is inside functions.
    """
    method = training.method
    second_order = isinstance(method, LevenbergMarquardt)
    fields = {
        field.name: _plain(getattr(training, field.name))
        for field in dataclasses.fields(training)
        if field.name not in ("optimizer", "loss_function", "start", "batches")
    }
    return {
        "members": [
            [_plain(each) for each in dataclasses.astuple(member)] for member in members
        ],
        "samples for training": _digest(train),
        "samples for testing": None if test is None else _digest(test),
        "precision": str(jnp.zeros(0).dtype),
        "optimizer": str(method) if second_order else str(jax.tree.structure(state)),
        "start": training.start and _digest_of(start),
        "batches": training.batches is not None,
        "loss_function": eqx.tree_pformat(training.loss_function, short_arrays=False),
        **fields,
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _digest(samples: "Samples") -> str:
    data = samples.data
    facts = repr((data.cardinalities, data.codes.shape)).encode()
    return _digest_of((data.codes, data.order, samples.targets), facts)


def _digest_of(arrays: Iterable[npt.NDArray[Any]], facts: bytes = b"") -> str:
    digest = hashlib.sha256(facts)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
