"""The public names: a change of these lists is a change of the interface."""

import importlib
import inspect
import warnings

import pytest

import rankrise
from rankrise._public_names import MOVED

# Sorted; fill in a name when src/rankrise/__init__.pyi gains it.
TOP: list[str] = [
    "AbstractProblem",
    "AbstractSolver",
    "AdaptiveGradientDescent",
    "Checkpoint",
    "Completion",
    "CompletionOfParts",
    "CompletionProblem",
    "CompletionProgress",
    "CompletionSettings",
    "Complexity",
    "Ending",
    "GradientDescent",
    "GradientFlow",
    "GradientMethod",
    "IncompleteTensor",
    "InputError",
    "Limit",
    "Minibatch",
    "Model",
    "Observations",
    "OptaxDescent",
    "PathPoint",
    "Progress",
    "RankCurve",
    "RankEstimate",
    "RankFit",
    "RankProgress",
    "RankRow",
    "RunFailedError",
    "SensingProblem",
    "SmallestRank",
    "Standardization",
    "Step",
    "Stop",
    "SweepResult",
    "SweepSettings",
    "TensorClassifier",
    "TensorCompleter",
    "TensorFile",
    "TensorRegressor",
    "__version__",
    "complete",
    "complete_parts",
    "complete_tensor",
    "estimate_rank",
    "estimate_tensor_rank",
    "flow_until",
    "incomplete_tensor",
    "load",
    "load_sweep",
    "problem_scale",
    "random_inputs",
    "random_labels",
    "rank_curve",
    "read_tensor",
    "reference_flow",
    "reference_flows",
    "solve",
    "solve_limit",
    "sweep",
    "write_completed",
    "write_report",
]
# By the namespace that has them; fill in a name when its `__all__` gains it.
NAMESPACES: dict[str, list[str]] = {
    "ensembles": [
        "EnsembleFit",
        "LevenbergMarquardt",
        "Member",
        "Samples",
        "Training",
        "fit_ensemble",
        "quick_training",
        "suits_quick_training",
        "usual_training",
    ],
    "experiments": [
        "AgreementConfig",
        "AgreementResult",
        "Comparison",
        "ComplexityConfig",
        "ComplexityReproductionConfig",
        "ComplexityResult",
        "DynamicsConfig",
        "DynamicsReproductionConfig",
        "DynamicsResult",
        "ReproductionResult",
        "TheoryReproductionConfig",
        "VerificationConfig",
        "VerificationResult",
        "reproduce_complexity",
        "reproduce_dynamics",
        "reproduce_theory",
        "run_agreement",
        "run_complexity",
        "run_dynamics",
        "run_verification",
    ],
    "factorizations": [
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
    ],
    "losses": [
        "AbsoluteLoss",
        "AbstractLoss",
        "HuberLoss",
        "IdentityPoissonLoss",
        "LogisticLoss",
        "PoissonLoss",
        "SmoothL1Loss",
        "SquaredLoss",
        "array_namespace",
    ],
    "synthetic": [
        "cp_entries",
        "cp_frobenius_norm",
        "gaussian_measurements",
        "measure",
        "missing_fibers",
        "observe",
        "random_target",
        "rank_k_measurements",
        "sample_indices",
    ],
    "tables": [
        "CategoricalData",
        "ImageSet",
        "LabelledSet",
        "TableColumns",
        "labelled_table",
        "load_image_set",
        "load_labelled_set",
    ],
    "theory": [
        "Claim",
        "Theorem",
        "balanced_matrix",
        "check_conservation",
        "check_corollary",
        "check_escape",
        "check_growth",
        "check_growth_bounds",
        "check_matrix_growth",
        "check_rank_one_trajectory",
    ],
    "trajectories": [
        "Observable",
        "Outcome",
        "Recording",
        "SaveAt",
        "Trajectory",
        "effective_rank",
        "heldout_error",
        "load_factors",
        "reconstruction_error",
        "save_factors",
        "standard_observables",
    ],
}
ROUTES = [
    *(("rankrise", name) for name in TOP),
    *(
        (f"rankrise.{namespace}", name)
        for namespace, names in NAMESPACES.items()
        for name in names
    ),
]

# Plain values, which have no docstring of their own.
VALUES = {"__version__"}


def test_public_names_are_as_pinned():
    assert sorted(rankrise.__all__) == sorted([*TOP, *NAMESPACES])  # type: ignore[attr-defined]
    assert dir(rankrise) == sorted(rankrise.__all__)  # type: ignore[attr-defined]
    for namespace, names in NAMESPACES.items():
        module = getattr(rankrise, namespace)
        assert sorted(module.__all__) == dir(module) == names


def test_top_has_at_most_seventy_names():
    assert len(rankrise.__all__) <= 70  # type: ignore[attr-defined]


def test_each_public_name_has_one_route():
    names = [name for _, name in ROUTES]
    assert len(names) == len(set(names))
    # Nor does one object go by two names.
    values = [getattr(importlib.import_module(module), name) for module, name in ROUTES]
    assert len({id(value) for value in values}) == len(values)


@pytest.mark.parametrize(("module", "name"), ROUTES)
def test_public_name_can_be_imported_and_has_a_docstring(module, name):
    value = getattr(importlib.import_module(module), name)
    if name in VALUES:
        return
    # A class must not pass with its parent's docstring.
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    text = inspect.cleandoc(own or "")
    assert text
    # Dataclasses without a docstring get their signature for one.
    assert not text.startswith(f"{name}(")


@pytest.mark.parametrize(("name", "namespace"), MOVED.items())
def test_old_name_warns_of_its_new_route_and_is_the_same_object(name, namespace):
    assert name not in rankrise.__all__  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match=f"now `rr.{namespace}.{name}`") as seen:
        value = getattr(rankrise, name)
    # Where `make test-all` checks types, a call passes through jaxtyping.
    assert seen[0].filename == __file__ or "jaxtyping" in seen[0].filename
    assert value is getattr(getattr(rankrise, namespace), name)
    assert name in NAMESPACES[namespace]


def test_new_routes_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module, name in ROUTES:
            getattr(importlib.import_module(module), name)


@pytest.mark.parametrize(
    ("wrong", "route"),
    [
        ("estimate_ranks", "rr.estimate_rank"),
        ("huberloss", "rr.losses.HuberLoss"),
        ("chek_growth", "rr.theory.check_growth"),
    ],
)
def test_unknown_name_suggests_the_nearest(wrong, route):
    with pytest.raises(AttributeError, match=f"no '{wrong}'. Did you mean `{route}`"):
        getattr(rankrise, wrong)


def test_unknown_name_like_no_other_suggests_nothing():
    with pytest.raises(AttributeError, match=r"^rankrise has no 'qqqq'\.$"):
        rankrise.qqqq  # type: ignore[attr-defined]  # noqa: B018
