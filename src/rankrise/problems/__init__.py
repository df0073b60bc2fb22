"""Problems: observations with a loss."""

from rankrise.problems._completion import CompletionProblem as CompletionProblem
from rankrise.problems._contract import AbstractProblem as AbstractProblem
from rankrise.problems._contract import problem_scale as problem_scale
from rankrise.problems._sensing import SensingProblem as SensingProblem
from rankrise.problems._shares import with_shares as with_shares
