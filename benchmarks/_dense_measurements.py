r"""A gradient step the way the paper's runs took it: with dense measurement tensors.

Every observation is an inner product $\langle \mathcal{A}_i, \mathcal{W}_e \rangle$
with a measurement tensor held in full, here one that is 1 at the observed entry and 0
elsewhere. A step forms the whole end tensor, applies all measurement tensors, and goes
back through the same products. They are applied by a *broadcast*, as in the paper's
public code: all measurement tensors times the end tensor, entry by entry, then summed.
Or by a *matrix product*: a measurement tensor a row, times the end tensor as a vector.

Both are written plainly but not carelessly: in NumPy the end tensor is one matrix
product of two Khatri-Rao products, as in rankrise.
"""

import functools as ft
import importlib.util
from typing import Any, Literal

import numpy as np

from _instance import LEARNING_RATE, FactorMatrices, FloatArray, Instance

Application = Literal["broadcast", "kept broadcast", "matrix product"]


def one_hot_measurements(instance: Instance) -> FloatArray:
    """One measurement tensor per observation, in float32."""
    count = len(instance.indices)
    measurements = np.zeros((count, *instance.mode_dims), np.float32)
    measurements[(np.arange(count), *instance.indices.T)] = 1
    return measurements


class DenseNumPy:
    """NumPy, with the backward pass written by hand.

    A *kept broadcast* multiplies into memory that is kept from step to step, which
    spares the operating system from handing it out anew.
    """

    def __init__(
        self, instance: Instance, measurements: FloatArray, application: Application
    ) -> None:
        self._measurements = measurements
        self._values = instance.values
        self._application = application
        self._start = instance.starts[0]
        kept = application == "kept broadcast"
        self._scratch = np.empty_like(self._measurements) if kept else None
        self.held_bytes = self._measurements.nbytes + self._values.nbytes
        self.kept_bytes = self._measurements.nbytes if kept else 0

    def steps(self, count: int) -> None:
        """Take so many steps from the start."""
        matrices = self._start
        for _ in range(count):
            _, gradient = self.loss_and_gradient(matrices)
            matrices = tuple(
                matrix - np.float32(LEARNING_RATE) * slope
                for matrix, slope in zip(matrices, gradient, strict=True)
            )

    def loss_and_gradient(
        self, matrices: FactorMatrices
    ) -> tuple[float, FactorMatrices]:
        """Mean squared residual, and its gradient by every factor matrix."""
        half = len(matrices) // 2
        left, right = _khatri_rao(matrices[:half]), _khatri_rao(matrices[half:])
        tensor = (left @ right.T).reshape(self._measurements.shape[1:])
        residuals = self._apply(tensor) - self._values
        slopes = residuals * np.float32(2 / len(residuals))
        unfolded = self._apply_transposed(slopes).reshape(len(left), len(right))
        return float(np.mean(residuals**2)), (
            *_khatri_rao_back(unfolded @ right, matrices[:half]),
            *_khatri_rao_back(unfolded.T @ left, matrices[half:]),
        )

    def _apply(self, tensor: FloatArray) -> FloatArray:
        rows = self._measurements.reshape(len(self._measurements), -1)
        if self._application == "matrix product":
            return rows @ tensor.reshape(-1)
        products = np.multiply(self._measurements, tensor, out=self._scratch)
        return products.reshape(rows.shape).sum(axis=1)

    def _apply_transposed(self, slopes: FloatArray) -> FloatArray:
        if self._application == "matrix product":
            return slopes @ self._measurements.reshape(len(slopes), -1)
        spread = slopes.reshape(-1, *[1] * (self._measurements.ndim - 1))
        return np.multiply(self._measurements, spread, out=self._scratch).sum(axis=0)


def _khatri_rao(matrices: FactorMatrices) -> FloatArray:
    def pair(left: FloatArray, right: FloatArray) -> FloatArray:
        return (left[:, None] * right[None]).reshape(-1, left.shape[1])

    return ft.reduce(pair, matrices)


def _khatri_rao_back(gradient: FloatArray, matrices: FactorMatrices) -> FactorMatrices:
    """Gradient by the matrices, from that by their Khatri-Rao product."""
    components = gradient.shape[1]
    found = []
    for mode, matrix in enumerate(matrices):
        before = _khatri_rao((np.ones((1, components), "f4"), *matrices[:mode]))
        after = _khatri_rao((np.ones((1, components), "f4"), *matrices[mode + 1 :]))
        shape = (len(before), len(matrix), len(after), components)
        others = before[:, None, None] * after[None, None]
        found.append((gradient.reshape(shape) * others).sum(axis=(0, 2)))
    return tuple(found)


def torch_version() -> str | None:
    """Version of PyTorch, which is not among our dependencies; None without it."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    return str(torch.__version__)


class DensePyTorch:
    """PyTorch: the end tensor by one `einsum`, the backward pass by autograd."""

    def __init__(
        self, instance: Instance, measurements: FloatArray, application: Application
    ) -> None:
        import torch

        self._torch: Any = torch
        self._measurements = torch.from_numpy(measurements)
        self._values = torch.from_numpy(instance.values)
        self._application = application
        self._start = instance.starts[0]
        self.held_bytes = self._measurements.nbytes + self._values.nbytes

    def steps(self, count: int) -> None:
        """Take so many steps from the start."""
        matrices = self._parameters(self._start)
        for _ in range(count):
            self._loss(matrices).backward()
            with self._torch.no_grad():
                for matrix in matrices:
                    matrix -= LEARNING_RATE * matrix.grad
                    matrix.grad = None

    def loss_and_gradient(
        self, matrices: FactorMatrices
    ) -> tuple[float, FactorMatrices]:
        """Mean squared residual, and its gradient by every factor matrix."""
        parameters = self._parameters(matrices)
        loss = self._loss(parameters)
        loss.backward()
        return loss.item(), tuple(matrix.grad.numpy() for matrix in parameters)

    def _parameters(self, matrices: FactorMatrices) -> list[Any]:
        return [self._torch.tensor(matrix, requires_grad=True) for matrix in matrices]

    def _loss(self, matrices: list[Any]) -> Any:
        modes = [chr(ord("a") + mode) for mode in range(len(matrices))]
        equation = ",".join(f"{mode}z" for mode in modes) + "->" + "".join(modes)
        tensor = self._torch.einsum(equation, *matrices)
        rows = self._measurements.view(len(self._measurements), -1)
        if self._application == "matrix product":
            predictions = rows @ tensor.reshape(-1)
        else:
            predictions = (self._measurements * tensor).view(rows.shape).sum(dim=1)
        return ((predictions - self._values) ** 2).mean()
