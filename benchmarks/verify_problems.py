"""`rankrise verify` on problems that are not its default: no claim may be violated.

    python benchmarks/verify_problems.py [--groups noisy other sensing] [--count 10]

Ten noisy files of orders 2 to 5, ten synthetic problems with other numbers of
components and other scales, ten of sensing. Prints every claim that is violated or was
not tested, with its reason, and how many there are of each.
"""

import argparse
import functools as ft
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from rankrise._typing import Values
from rankrise.experiments import VerificationConfig, run_verification
from rankrise.tensors import Observations

# Theorem 2 and its corollary are about completion, order three or more and Huber loss.
ALONG_THE_FLOW = ("conservation", "growth", "growth-bounds", "escape", "matrix-growth")
FROM_THE_SPHERE = ("rank-one", "corollary")
NOISY_DIMS = ((4, 5), (4, 5, 3), (2, 3, 4, 3), (2, 3, 2, 2, 3))

Problem = tuple[str, dict[str, Any], Observations | None, tuple[str, ...]]


def noisy_tensor(mode_dims: tuple[int, ...], seed: int) -> Values:
    """CP rank two, and noise of half its standard deviation."""
    rng = np.random.default_rng(seed)
    matrices = [rng.normal(size=(dim, 2)) for dim in mode_dims]
    tensor = ft.reduce(lambda a, b: a[..., None, :] * b, matrices).sum(axis=-1)
    noise: Values = tensor + 0.5 * tensor.std() * rng.normal(size=tensor.shape)
    return noise


def problems(group: str, count: int) -> Iterator[Problem]:
    """Name, settings, observations and claims whose assumptions may be fulfilled."""
    both = (*ALONG_THE_FLOW, *FROM_THE_SPHERE)
    for number in range(count):
        if group == "noisy":
            dims = NOISY_DIMS[number % len(NOISY_DIMS)]
            data = Observations.from_array(noisy_tensor(dims, number))
            components = 3 + number // len(NOISY_DIMS)
            claims = both if len(dims) > 2 else ALONG_THE_FLOW
            yield f"noisy {dims}", {"components": components}, data, claims
        elif group == "other":
            settings = {
                "components": (1, 2, 3, 8)[number % 4],
                "init_scale": (0.02, 0.1, 0.5)[number % 3],
                "seed": number,
            }
            yield f"other {settings}", settings, None, both
        else:
            settings = {
                "task": ("sensing", "sensing-rank-k")[number % 2],
                "observations": 60,
                "seed": number,
            }
            yield f"sensing {settings}", settings, None, ALONG_THE_FLOW


def main() -> None:
    """Run the problems asked for and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    groups = ("noisy", "other", "sensing")
    parser.add_argument("--groups", nargs="+", choices=groups, default=groups)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--claims", nargs="+", default=None)
    options = parser.parse_args()
    found: Counter[tuple[str, str]] = Counter()
    for group in options.groups:
        for name, settings, data, claims in problems(group, options.count):
            asked = tuple(c for c in claims if c in (options.claims or claims))
            begin = time.process_time()
            config = VerificationConfig(**settings)
            result = run_verification(config, asked, observations=data)
            for claim in result.claims:
                found[claim.theorem.name, claim.verdict] += 1
                if claim.verdict != "holds":
                    words = f"{claim.theorem.name} {claim.verdict}: {claim.explanation}"
                    print(f"{name}: {words}", flush=True)
            print(f"{name}: {time.process_time() - begin:.0f} s", flush=True)
    for (claim_name, verdict), times in sorted(found.items()):
        print(f"{claim_name:14} {verdict:10} {times}")


if __name__ == "__main__":
    main()
