"""The command line: parse, run, write."""

from rankrise.cli._main import main as main
