"""Rows of small tables, looked up and combined in the processor's vector registers.

A word of 64 bits names a row of each of `GROUPS` tables of `ENTRIES` rows; rows have
`ROW_BYTES`, two of the nearest cache's lines, and all tables of a word fit in it. Numba
cannot be told to hold a row in registers. It keeps kernels on disk until their own file
changes: touch `_lookup_kernels.py` where this file does.
"""

from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ROW_BYTES = 128
GROUPS, ENTRIES, _BITS = 16, 16, 4
_REGISTER_BYTES = 64 if binding.get_host_cpu_features().get("avx512f") else 32
_INT = ir.IntType(64)


class _Rows:
    """An array whose rows compiled code reads and writes a register at a time."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        number = context.get_data_type(kind.dtype)
        self._align = kind.dtype.bitwidth // 8
        lanes = _REGISTER_BYTES // self._align
        self._register = ir.VectorType(number, lanes).as_pointer()
        self._builder = builder
        data = context.make_array(kind)(context, builder, value).data
        self.data = builder.bitcast(data, ir.IntType(8).as_pointer())

    def _pointers(self, begin: Any) -> list[Any]:
        places = range(0, ROW_BYTES, _REGISTER_BYTES)
        pointers = [self._builder.gep(begin, [_INT(place)]) for place in places]
        return [self._builder.bitcast(each, self._register) for each in pointers]

    def load(self, place: Any, further: int = 0) -> list[Any]:
        """The row that begins at so many bytes, and a constant number more."""
        begin = self._builder.gep(self.data, [place])
        begin = self._builder.gep(begin, [_INT(further)])
        return [
            self._builder.load(pointer, align=self._align)
            for pointer in self._pointers(begin)
        ]

    def store(self, values: list[Any], place: Any) -> None:
        """Write the row that begins at so many bytes."""
        pointers = self._pointers(self._builder.gep(self.data, [place]))
        for value, pointer in zip(values, pointers, strict=True):
            self._builder.store(value, pointer, align=self._align)


def _combining(operation: str) -> Any:
    """Combine each row of `out` with the rows of the tables that its word names."""

    def typed(_, words, first, last, tables, out):
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            combine = getattr(builder, operation)
            table = _Rows(context, builder, tables, given[3])
            result = _Rows(context, builder, out, given[4])
            names = context.make_array(words)(context, builder, given[0]).data

            def joined(some: list[Any], others: list[Any]) -> list[Any]:
                return [combine(*pair) for pair in zip(some, others, strict=True)]

            def looked_up(word: Any, group: int) -> list[Any]:
                # The four bits, moved to where they count rows in bytes.
                shift = _BITS * group - ROW_BYTES.bit_length() + 1
                move = builder.lshr if shift > 0 else builder.shl
                moved = move(word, _INT(abs(shift)))
                place = builder.and_(moved, _INT((ENTRIES - 1) * ROW_BYTES))
                return table.load(place, group * ENTRIES * ROW_BYTES)

            with cgutils.for_range_slice(
                builder, given[1], given[2], _INT(1), _INT
            ) as (row, _):
                word = builder.load(builder.gep(names, [row]))
                place = builder.mul(row, _INT(ROW_BYTES))
                # Two chains, for each step waits for the one before.
                even, odd = result.load(place), looked_up(word, 0)
                for group in range(1, GROUPS, 2):
                    even = joined(even, looked_up(word, group))
                    if group + 1 < GROUPS:
                        odd = joined(odd, looked_up(word, group + 1))
                result.store(joined(even, odd), place)
            return context.get_dummy_value()

        return types.void(words, first, last, tables, out), generate

    return intrinsic(typed)


multiply_rows: Any = _combining("fmul")
add_rows: Any = _combining("fadd")
