"""Factorizations: parameters that stand for a tensor, and where they start."""

from rankrise.factorizations._contract import (
    AbstractFactorization as AbstractFactorization,
)
from rankrise.factorizations._cp import CPFactorization as CPFactorization
from rankrise.factorizations._deep_matrix import (
    DeepMatrixFactorization as DeepMatrixFactorization,
)
from rankrise.factorizations._dense import DenseTensor as DenseTensor
from rankrise.factorizations._dense import end_gradient as end_gradient
from rankrise.factorizations._distance import end_tensor_distance as end_tensor_distance
from rankrise.factorizations._initialization import balanced as balanced
from rankrise.factorizations._initialization import check_layers as check_layers
from rankrise.factorizations._initialization import (
    default_components as default_components,
)
from rankrise.factorizations._initialization import (
    leading_component as leading_component,
)
from rankrise.factorizations._initialization import near_zero as near_zero
from rankrise.factorizations._initialization import near_zero_matrix as near_zero_matrix
from rankrise.factorizations._logarithmic import log_products as log_products
from rankrise.factorizations._network import (
    ProductPoolingNetwork as ProductPoolingNetwork,
)
from rankrise.factorizations._planes import plane_products as plane_products
from rankrise.factorizations._planes import plane_sums as plane_sums

__all__ = [
    "AbstractFactorization",
    "CPFactorization",
    "DeepMatrixFactorization",
    "DenseTensor",
    "ProductPoolingNetwork",
    "balanced",
    "default_components",
    "end_gradient",
    "end_tensor_distance",
    "leading_component",
    "log_products",
    "near_zero",
    "near_zero_matrix",
]


def __dir__() -> list[str]:
    return __all__
