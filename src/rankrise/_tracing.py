"""What is said where a part of one's own cannot be compiled."""

from collections.abc import Iterator
from contextlib import contextmanager

from rankrise._errors import InputError


@contextmanager
def compiling(what: str) -> Iterator[None]:
    """Refuse code that asks for numbers while JAX traces it, naming whose it is."""
    import jax

    try:
        yield
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise InputError(
            f"{what} cannot be compiled ({type(error).__name__}); write it with "
            "functions of `jax.numpy`, and `jnp.where` instead of `if`."
        ) from error
