"""Experiments: a frozen config, a run, a result.

Names load when used, because the command line needs the configs for its help, which
should not wait for JAX.
"""

import lazy_loader

__getattr__, _, _ = lazy_loader.attach_stub(__name__, __file__)

__all__ = [
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
]


def __dir__() -> list[str]:
    return __all__
