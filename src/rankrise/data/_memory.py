"""How much memory one input may take."""

MAX_DENSE_BYTES = 8 * 2**30
"""The most bytes that dense values, read from a file or drawn, may take."""
