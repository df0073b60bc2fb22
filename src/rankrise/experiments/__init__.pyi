from ._completion import CompletionResult as CompletionResult
from ._completion import run_completion as run_completion
from ._completion_config import CompletionConfig as CompletionConfig
from ._dynamics import DynamicsResult as DynamicsResult
from ._dynamics import run_dynamics as run_dynamics
from ._dynamics_config import DynamicsConfig as DynamicsConfig
from ._summary import summarize_completion as summarize_completion
from ._summary import summarize_dynamics as summarize_dynamics
