"""How public names are found: lazily; moved ones warn, unknown ones get a hint."""

import difflib
import importlib
import warnings
from collections.abc import Callable

import lazy_loader

# Names that lay at the top until 0.1, by the namespace that has them now. They warn
# in 0.2 and go with the release after it.
MOVED = {
    name: namespace
    for namespace, names in {
        "ensembles": "EnsembleFit LevenbergMarquardt Member Samples Training "
        "fit_ensemble",
        "experiments": "AgreementConfig AgreementResult Comparison ComplexityConfig "
        "ComplexityReproductionConfig ComplexityResult DynamicsConfig "
        "DynamicsReproductionConfig DynamicsResult ReproductionResult "
        "TheoryReproductionConfig VerificationConfig VerificationResult "
        "reproduce_complexity reproduce_dynamics reproduce_theory run_agreement "
        "run_complexity run_dynamics run_verification",
        "factorizations": "AbstractFactorization CPFactorization "
        "DeepMatrixFactorization DenseTensor ProductPoolingNetwork balanced "
        "default_components end_gradient end_tensor_distance leading_component "
        "log_products near_zero near_zero_matrix",
        "losses": "AbsoluteLoss AbstractLoss HuberLoss IdentityPoissonLoss "
        "LogisticLoss PoissonLoss SmoothL1Loss SquaredLoss array_namespace",
        "synthetic": "cp_entries cp_frobenius_norm gaussian_measurements measure "
        "missing_fibers observe random_target rank_k_measurements sample_indices",
        "tables": "CategoricalData ImageSet LabelledSet TableColumns labelled_table "
        "load_image_set load_labelled_set",
        "theory": "Claim Theorem balanced_matrix check_conservation check_corollary "
        "check_escape check_growth check_growth_bounds check_matrix_growth "
        "check_rank_one_trajectory",
        "trajectories": "Observable Outcome Recording SaveAt Trajectory "
        "effective_rank heldout_error load_factors reconstruction_error "
        "save_factors standard_observables",
    }.items()
    for name in names.split()
}


def attach_top(
    package: str, file: str
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__`, from the stub beside `file`."""
    load, listed, public = lazy_loader.attach_stub(package, file)

    def find(name: str) -> object:
        if name in public:
            return load(name)
        if name in MOVED:
            route = f"rr.{MOVED[name]}.{name}"
            warnings.warn(
                f"`rr.{name}` is now `{route}`; the old name goes with the next "
                "release.",
                DeprecationWarning,
                stacklevel=2,
            )
            return getattr(importlib.import_module(f"{package}.{MOVED[name]}"), name)
        raise AttributeError(f"rankrise has no {name!r}.{_nearest(name, public)}")

    return find, listed, public


def _nearest(name: str, public: list[str]) -> str:
    routes = {one: f"rr.{one}" for one in public}
    routes |= {one: f"rr.{namespace}.{one}" for one, namespace in MOVED.items()}
    lowered = {one.lower(): route for one, route in routes.items()}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f" Did you mean `{lowered[near[0]]}`?" if near else ""
