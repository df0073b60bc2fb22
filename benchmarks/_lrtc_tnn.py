"""Low-rank tensor completion by truncated nuclear norms of the unfoldings.

Chen, Yang and Sun (2020), "A nonconvex low-rank tensor completion model for
spatiotemporal traffic data imputation", Transportation Research Part C 117.
"""

import math
from itertools import product

import numpy as np

from _completion_cases import Floats, Training
from _completion_search import Clock, Fit, Peer, Setting, Stopped

# The share of singular values, a mode, that cost nothing.
THETAS = (0.05, 0.1, 0.2, 0.3, 0.5)
# Over the norm of the observed values, so that it means the same for every tensor.
RHOS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_GROWTH = 1.05
_MOST_STEPS = 300
# Of the norm, a step; as in the paper.
_TOLERANCE = 1e-4


def settings(training: Training) -> list[Setting]:
    return [{"theta": theta, "rho": rho} for theta, rho in product(THETAS, RHOS)]


def fit(training: Training, setting: Setting, seconds: float) -> Fit:
    r"""Minimize $\sum_n \alpha_n \|Z_{(n)}\|_{r_n, *}$ with observed entries kept.

    The norm sums all singular values but the $r_n$ largest. Each mode has a copy $M^n$
    with multiplier $T^n$; ADMM alternates

    $$ M^n = D_{r_n, \alpha_n / \rho}(Z + T^n / \rho), \quad
       Z = \tfrac{1}{N} \sum_n (M^n - T^n / \rho) \text{ where missing}, \quad
       T^n \leftarrow T^n + \rho (Z - M^n), $$

    where $D$ shrinks the singular values that cost. The penalty $\rho$ grows, without
    which a norm that is not convex need not settle.
    """
    clock = Clock(seconds)
    norm = float(np.linalg.norm(training.values))
    rho = setting["rho"] / norm
    order = training.values.ndim
    Z = training.values.copy()
    T = [np.zeros_like(Z) for _ in range(order)]
    stopped: Stopped = "iterations"
    for _ in range(_MOST_STEPS):
        rho *= _GROWTH
        M = [
            _shrunk(Z + T[mode] / rho, mode, setting["theta"], 1 / (order * rho))
            for mode in range(order)
        ]
        mean = sum(M[mode] - T[mode] / rho for mode in range(order)) / order
        last, Z = Z, np.where(training.mask, training.values, mean)
        for mode in range(order):
            T[mode] += rho * (Z - M[mode])
        if np.linalg.norm(Z - last) < _TOLERANCE * norm:
            stopped = "converged"
            break
        if clock.over():
            stopped = "time"
            break
    return Fit(Z, stopped)


def _shrunk(tensor: Floats, mode: int, theta: float, threshold: float) -> Floats:
    """The unfolding along a mode with all but its largest singular values shrunk."""
    moved = np.moveaxis(tensor, mode, 0)
    unfolded = moved.reshape(len(moved), -1)
    wide = unfolded.shape[0] <= unfolded.shape[1]
    # Vectors of the shorter side are enough: the rest is one product. Squaring loses
    # singular values below 1e-8 of the largest, which are shrunk to zero anyway.
    gram = unfolded @ unfolded.T if wide else unfolded.T @ unfolded
    squares, vectors = np.linalg.eigh(gram)
    singular = np.sqrt(np.maximum(squares, 0.0))
    free = math.ceil(theta * len(singular))
    shares = np.maximum(1 - threshold / np.maximum(singular, 1e-300), 0.0)
    shares[len(shares) - free :] = 1.0
    projection = (vectors * shares) @ vectors.T
    shrunk = projection @ unfolded if wide else unfolded @ projection
    return np.moveaxis(shrunk.reshape(moved.shape), 0, mode)


LRTC_TNN = Peer("LRTC-TNN", fit, settings)
