"""Parts of kernels that keep what they sum up in the processor's vector registers.

Numba cannot be told to hold a block of numbers there, and BLAS multiplies matrices as
narrow as a few components at a third of its rate, or less. Rows of all matrices here
have a multiple of `TILE` numbers. Numba keeps kernels on disk until their own file
changes: touch `_kernels.py` where this file does.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# Components that are summed over at once.
TILE = 8
# Numbers in a register.
LANES = 8 if binding.get_host_cpu_features().get("avx512f") else 4

_REGISTER = ir.VectorType(ir.DoubleType(), LANES)
_ALL_ONE = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
_FLAGS = ("reassoc", "contract", "nsz")


class _Array:
    """A contiguous array that compiled code reads and writes a register at a time."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder, self._data = builder, array.data
        self.width = cgutils.unpack_tuple(builder, array.shape)[-1]

    def _at(self, row: Any, column: Any) -> Any:
        place = self._builder.add(self._builder.mul(row, self.width), column)
        where = self._builder.gep(self._data, [place])
        return self._builder.bitcast(where, _REGISTER.as_pointer())

    def load(self, row: Any, column: Any) -> Any:
        """Read as many numbers as a register holds."""
        return self._builder.load(self._at(row, column), align=8)

    def store(self, value: Any, row: Any, column: Any) -> None:
        """Write as many numbers as a register holds."""
        self._builder.store(value, self._at(row, column), align=8)

    def repeated(self, place: Any) -> Any:
        """A register filled with one number, at a place of the flat array."""
        number = self._builder.load(self._builder.gep(self._data, [place]))
        empty, first = ir.Constant(_REGISTER, ir.Undefined), ir.IntType(32)(0)
        value = self._builder.insert_element(empty, number, first)
        return self._builder.shuffle_vector(value, value, _ALL_ONE)


def _multiply(_, left, i, right, j, out, k):
    """A row of `left` times a row of `right`, entry by entry, into a row of `out`."""

    def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
        one, other, product = (
            _Array(context, builder, kind, value)
            for kind, value in zip((left, right, out), given[::2], strict=True)
        )
        count = builder.udiv(product.width, product.width.type(LANES))
        with cgutils.for_range(builder, count) as loop:
            column = builder.mul(loop.index, count.type(LANES))
            numbers = one.load(given[1], column), other.load(given[3], column)
            value = builder.fmul(*numbers, flags=_FLAGS)
            product.store(value, given[5], column)
        return context.get_dummy_value()

    return types.void(left, i, right, j, out, k), generate


def _add_squares(_, some, weights, targets, count, row, column, sums):
    r"""Add a part of $\sum_c a_c h_c h_c^\top$ to `sums`, whose last row is for
    $\sum_c a_c t_c h_c$: `TILE` rows of a register each, and of the last row with the
    first of them.

    Parameters
    ----------
    some
        The $h_c$ as rows.
    """

    def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
        kinds = some, weights, targets, sums
        values = given[0], given[1], given[2], given[6]
        rows, weight, target, total = (
            _Array(context, builder, *each) for each in zip(kinds, values, strict=True)
        )
        count, row, column = given[3:6]
        zero = ir.Constant(_REGISTER, [0.0] * LANES)
        held = [cgutils.alloca_once_value(builder, zero) for _ in range(TILE + 1)]

        def add(to: Any, factor: Any, value: Any) -> None:
            product = builder.fmul(factor, value, flags=_FLAGS)
            builder.store(builder.fadd(builder.load(to), product, flags=_FLAGS), to)

        with cgutils.for_range(builder, count) as loop:
            here = rows.load(loop.index, column)
            value = builder.fmul(here, weight.repeated(loop.index), flags=_FLAGS)
            first = builder.add(builder.mul(loop.index, rows.width), row)
            for i in range(TILE):
                add(held[i], rows.repeated(builder.add(first, row.type(i))), value)
            add(held[TILE], target.repeated(loop.index), value)

        def put(value: Any, to: Any) -> None:
            before = total.load(to, column)
            after = builder.fadd(before, builder.load(value), flags=_FLAGS)
            total.store(after, to, column)

        for i in range(TILE):
            put(held[i], builder.add(row, row.type(i)))
        with builder.if_then(builder.icmp_signed("==", row, row.type(0))):
            put(held[TILE], total.width)
        return context.get_dummy_value()

    signature = types.void(some, weights, targets, count, row, column, sums)
    return signature, generate


multiply: Any = intrinsic(_multiply)
add_squares: Any = intrinsic(_add_squares)
