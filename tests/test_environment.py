"""What a result says of the software and machine it came from."""

import json
import platform
import subprocess
import sys

import jax
import numpy as np

from rankrise._environment import environment
from rankrise._version import __version__


def test_versions_are_those_of_the_modules_in_use():
    versions = environment()["versions"]
    assert versions["rankrise"] == __version__
    assert versions["python"] == platform.python_version()
    assert versions["jax"] == jax.__version__
    assert versions["numpy"] == np.__version__


def test_device_is_the_one_arrays_live_on():
    (device,) = jax.numpy.ones(1).devices()
    assert environment()["device"] == f"{device.platform}: {device.device_kind}"


def test_environment_does_not_load_jax():
    program = (
        "import sys; from rankrise._environment import environment; "
        "print(environment()['device'], 'jax' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["cpu", "False"]


def test_environment_can_be_written_as_json():
    assert json.loads(json.dumps(environment())) == environment()
