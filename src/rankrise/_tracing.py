"""What is said where a part of your own cannot be compiled."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from rankrise._errors import InputError


class ValueNeededError(InputError):
    """Python code asked for the value of an array while JAX traced it."""


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Refuse code that cannot be traced, naming whose it is."""
    try:
        yield
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError, ValueError) as error:
        # What `if` on several elements raises has no class of its own.
        of_jax = isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError)
        if not (of_jax or str(error).startswith("The truth value of an array")):
            raise
        raise ValueNeededError(
            f"{what} cannot be compiled ({type(error).__name__}); write it with "
            "functions of `jax.numpy`, and `jnp.where` instead of `if`."
        ) from error
