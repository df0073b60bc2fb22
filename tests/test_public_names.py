"""The public names: a change of this list is a change of the interface."""

import inspect

import pytest

import rankrise

# Sorted; fill in a name when src/rankrise/__init__.pyi gains it.
PUBLIC_NAMES: list[str] = [
    "AbsoluteLoss",
    "AbstractFactorization",
    "AbstractLoss",
    "AbstractObservable",
    "AbstractProblem",
    "AbstractSolver",
    "AdaptiveGradientDescent",
    "AgreementConfig",
    "AgreementResult",
    "CPFactorization",
    "CategoricalData",
    "Checkpoint",
    "Claim",
    "Comparison",
    "CompletionConfig",
    "CompletionProblem",
    "CompletionResult",
    "ComplexityConfig",
    "ComplexityReproductionConfig",
    "ComplexityResult",
    "ComponentNorms",
    "DeepMatrixFactorization",
    "DenseTensor",
    "DynamicsConfig",
    "DynamicsReproductionConfig",
    "DynamicsResult",
    "EffectiveRank",
    "EnsembleFit",
    "EntropyRank",
    "FrobeniusNorm",
    "GradientDescent",
    "GradientFlow",
    "HeldOutError",
    "HuberLoss",
    "ImageSet",
    "InputError",
    "LabelledSet",
    "LevenbergMarquardt",
    "Limit",
    "LogisticLoss",
    "Member",
    "Minibatch",
    "Observations",
    "OptaxDescent",
    "Outcome",
    "PoissonLoss",
    "ProductPoolingNetwork",
    "Progress",
    "Pull",
    "RankCurve",
    "RankFit",
    "ReconstructionError",
    "ReproductionResult",
    "RunFailedError",
    "Samples",
    "SaveAt",
    "SensingProblem",
    "SmallestRank",
    "SmoothL1Loss",
    "SquaredLoss",
    "Standardization",
    "Step",
    "Stop",
    "TableColumns",
    "TensorClassifier",
    "TensorFile",
    "TensorRegressor",
    "Theorem",
    "TheoryReproductionConfig",
    "TrainError",
    "TrainLoss",
    "Training",
    "Trajectory",
    "Unbalancedness",
    "VerificationConfig",
    "VerificationResult",
    "__version__",
    "balanced",
    "balanced_matrix",
    "check_conservation",
    "check_corollary",
    "check_escape",
    "check_growth",
    "check_growth_bounds",
    "check_matrix_growth",
    "check_rank_one_trajectory",
    "cp_entries",
    "cp_frobenius_norm",
    "default_components",
    "end_gradient",
    "end_tensor_distance",
    "fit_ensemble",
    "flow_until",
    "gaussian_measurements",
    "labelled_table",
    "leading_component",
    "load_factors",
    "load_image_set",
    "load_labelled_set",
    "log_products",
    "measure",
    "missing_fibers",
    "near_zero",
    "near_zero_matrix",
    "observe",
    "problem_scale",
    "random_inputs",
    "random_labels",
    "random_target",
    "rank_curve",
    "rank_k_measurements",
    "read_tensor",
    "reference_flow",
    "reference_flows",
    "reproduce_complexity",
    "reproduce_dynamics",
    "reproduce_theory",
    "run_agreement",
    "run_completion",
    "run_complexity",
    "run_dynamics",
    "run_verification",
    "sample_indices",
    "save_factors",
    "solve",
    "solve_limit",
    "standard_observables",
    "write_completed",
]

# Plain values, which have no docstring of their own.
VALUES = {"__version__"}


def test_public_names_are_as_pinned():
    assert sorted(rankrise.__all__) == PUBLIC_NAMES


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_name_can_be_imported_and_has_a_docstring(name):
    value = getattr(rankrise, name)
    if name in VALUES:
        return
    # A class must not pass with its parent's docstring.
    own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    text = inspect.cleandoc(own or "")
    assert text
    # Dataclasses without a docstring get their signature for one.
    assert not text.startswith(f"{name}(")
