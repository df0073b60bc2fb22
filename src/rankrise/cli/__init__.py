"""The command line: parse, run, write."""

from rankrise.cli._program import main as main
