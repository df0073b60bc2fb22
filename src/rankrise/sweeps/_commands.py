"""Commands that can be swept, by name."""

from rankrise.sweeps._command import AbstractCommand
from rankrise.sweeps._completion_runs import CompletionCommand
from rankrise.sweeps._complexity_runs import ComplexityCommand
from rankrise.sweeps._dynamics_runs import DynamicsCommand
from rankrise.sweeps._verification_runs import VerificationCommand

COMMANDS: dict[str, AbstractCommand] = {
    command.name: command
    for command in (
        DynamicsCommand(),
        CompletionCommand(),
        ComplexityCommand(),
        VerificationCommand(),
    )
}
