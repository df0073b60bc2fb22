from ._agreement import AgreementResult as AgreementResult
from ._agreement import run_agreement as run_agreement
from ._agreement_config import AgreementConfig as AgreementConfig
from ._comparison import Comparison as Comparison
from ._comparison import Row as Row
from ._comparison import Statement as Statement
from ._complexity import ComplexityResult as ComplexityResult
from ._complexity import load_samples as load_samples
from ._complexity import run_complexity as run_complexity
from ._complexity_config import QUICK as QUICK
from ._complexity_config import SECOND_ORDER as SECOND_ORDER
from ._complexity_config import ComplexityConfig as ComplexityConfig
from ._dynamics import DynamicsResult as DynamicsResult
from ._dynamics import run_dynamics as run_dynamics
from ._dynamics import run_dynamics_together as run_dynamics_together
from ._dynamics_config import DynamicsConfig as DynamicsConfig
from ._expected_time import ExpectedTime as ExpectedTime
from ._expected_time import expected_claims_time as expected_claims_time
from ._expected_time import expected_complexity_time as expected_complexity_time
from ._expected_time import expected_dynamics_time as expected_dynamics_time
from ._expected_time import expected_theory_time as expected_theory_time
from ._load import load as load
from ._options import require_mode_dims as require_mode_dims
from ._reproduction import ReproductionResult as ReproductionResult
from ._reproduction import reproduce_complexity as reproduce_complexity
from ._reproduction import reproduce_dynamics as reproduce_dynamics
from ._reproduction import reproduce_theory as reproduce_theory
from ._reproduction import summarize_reproduction as summarize_reproduction
from ._reproduction_config import (
    ComplexityReproductionConfig as ComplexityReproductionConfig,
)
from ._reproduction_config import (
    DynamicsReproductionConfig as DynamicsReproductionConfig,
)
from ._reproduction_config import (
    TheoryReproductionConfig as TheoryReproductionConfig,
)
from ._reproduction_config import (
    Variant as Variant,
)
from ._summary import summarize_agreement as summarize_agreement
from ._summary import summarize_complexity as summarize_complexity
from ._summary import summarize_dynamics as summarize_dynamics
from ._verification import VerificationResult as VerificationResult
from ._verification import run_verification as run_verification
from ._verification_config import CLAIM_NAMES as CLAIM_NAMES
from ._verification_config import VerificationConfig as VerificationConfig
from ._verification_record import summarize_verification as summarize_verification
from ._verification_record import verification_from_record as verification_from_record
from ._verification_record import verification_record as verification_record
