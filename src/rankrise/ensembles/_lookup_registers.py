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
        self.kind = ir.VectorType(number, _REGISTER_BYTES // self._align)
        self._builder = builder
        array = context.make_array(kind)(context, builder, value)
        self.data = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        shape = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
        self.count, self._second = shape[0], shape[-2] if kind.ndim > 2 else None

    def _pointers(self, begin: Any) -> list[Any]:
        places = range(0, ROW_BYTES, _REGISTER_BYTES)
        pointers = [self._builder.gep(begin, [_INT(place)]) for place in places]
        register = self.kind.as_pointer()
        return [self._builder.bitcast(each, register) for each in pointers]

    def load(self, place: Any, further: int = 0) -> list[Any]:
        """The row that begins at so many bytes, and a constant number more."""
        begin = self._builder.gep(self.data, [place])
        begin = self._builder.gep(begin, [_INT(further)])
        return [
            self._builder.load(pointer, align=self._align)
            for pointer in self._pointers(begin)
        ]

    def load_row(self, first: Any, second: Any) -> list[Any]:
        """A row of three-dimensional arrays, by its first two indices."""
        first = _INT(first) if isinstance(first, int) else first
        row = self._builder.add(self._builder.mul(first, self._second), second)
        return self.load(self._builder.mul(row, _INT(ROW_BYTES)))

    def store(self, values: list[Any], place: Any) -> None:
        """Write the row that begins at so many bytes."""
        pointers = self._pointers(self._builder.gep(self.data, [place]))
        for value, pointer in zip(values, pointers, strict=True):
            self._builder.store(value, pointer, align=self._align)

    def store_all(self, rows: list[list[Any]], group: Any) -> None:
        """Write the rows of a table."""
        begin = self._builder.mul(group, _INT(ENTRIES * ROW_BYTES))
        for entry, row in enumerate(rows):
            self.store(row, self._builder.add(begin, _INT(entry * ROW_BYTES)))

    def every(self, number: float) -> list[Any]:
        """A row of one number."""
        register = ir.Constant(self.kind, [number] * self.kind.count)
        return [register] * (ROW_BYTES // _REGISTER_BYTES)

    def variable(self, number: float) -> "_Variable":
        """A row that can change, at first of one number."""
        return _Variable(self._builder, self.every(number))


class _Variable:
    """A row in registers that changes in loops."""

    def __init__(self, builder: Any, row: list[Any]) -> None:
        self._builder = builder
        self._places = [cgutils.alloca_once(builder, each.type) for each in row]
        self.set(row)

    def get(self) -> list[Any]:
        """Its registers."""
        return [self._builder.load(place) for place in self._places]

    def set(self, row: list[Any]) -> None:
        """Change them."""
        for value, place in zip(row, self._places, strict=True):
            self._builder.store(value, place)


def _each(combine: Any, some: list[Any], others: list[Any]) -> list[Any]:
    """Rows combined register by register."""
    return [combine(*pair) for pair in zip(some, others, strict=True)]


def _combining(operation: str) -> Any:
    """Combine each row of `out` with the rows of the tables that its word names."""

    def typed(_, words, tables, out):
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            combine = getattr(builder, operation)
            table = _Rows(context, builder, tables, given[1])
            result = _Rows(context, builder, out, given[2])
            names = context.make_array(words)(context, builder, given[0]).data

            def looked_up(word: Any, group: int) -> list[Any]:
                # The four bits, moved to where they count rows in bytes.
                shift = _BITS * group - ROW_BYTES.bit_length() + 1
                move = builder.lshr if shift > 0 else builder.shl
                moved = move(word, _INT(abs(shift)))
                place = builder.and_(moved, _INT((ENTRIES - 1) * ROW_BYTES))
                return table.load(place, group * ENTRIES * ROW_BYTES)

            with cgutils.for_range(builder, result.count) as loop:
                word = builder.load(builder.gep(names, [loop.index]))
                place = builder.mul(loop.index, _INT(ROW_BYTES))
                # Rows do not wait for each other: reading takes the time.
                number = result.load(place)
                for group in range(GROUPS):
                    number = _each(combine, number, looked_up(word, group))
                result.store(number, place)
            return context.get_dummy_value()

        return types.void(words, tables, out), generate

    return intrinsic(typed)


multiply_rows: Any = _combining("fmul")
add_rows: Any = _combining("fadd")


def _summing(_, numbers, tables, total):
    """Tables of the sums of every four of 64 rows; add all of them to a total."""

    def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
        number = _Rows(context, builder, numbers, given[0])
        table = _Rows(context, builder, tables, given[1])
        whole = _Rows(context, builder, total, given[2])
        with cgutils.for_range(builder, _INT(GROUPS)) as loop:
            place = builder.mul(loop.index, _INT(_BITS * ROW_BYTES))
            sums = [number.every(0.0)]
            for bit in range(_BITS):
                addend = number.load(place, bit * ROW_BYTES)
                sums += [_each(builder.fadd, some, addend) for some in sums]
            table.store_all(sums, loop.index)
            whole.store(_each(builder.fadd, whole.load(_INT(0)), sums[-1]), _INT(0))
        return context.get_dummy_value()

    return types.void(numbers, tables, total), generate


def _multiplying(bits: int) -> Any:
    """Tables of products of the factors whose values a word's groups of bits name."""

    def typed(_, factors, word, tables):
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            factor = _Rows(context, builder, factors, given[0])
            table = _Rows(context, builder, tables, given[2])
            with cgutils.for_range(builder, _INT(GROUPS)) as loop:
                group = builder.add(builder.mul(given[1], _INT(GROUPS)), loop.index)
                mode = builder.mul(group, _INT(_BITS // bits))
                products = [factor.every(1.0)]
                for k in range(_BITS // bits):
                    rows = [
                        factor.load_row(value, builder.add(mode, _INT(k)))
                        for value in range(1 << bits)
                    ]
                    products = [
                        _each(builder.fmul, product, row)
                        for row in rows
                        for product in products
                    ]
                table.store_all(products, loop.index)
            return context.get_dummy_value()

        return types.void(factors, word, tables), generate

    return intrinsic(typed)


def _surveying(_, factors, modes, highest, lowest, least):
    """Largest and smallest products of any factors of so many modes, row by row.

    What is neither above nor below 1 counts as 1. `least` becomes the smallest factor's
    size of all, and `highest` is not a number where some factor is not finite.
    """

    def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
        factor = _Rows(context, builder, factors, given[0])
        results = [
            _Rows(context, builder, kind, each)
            for kind, each in zip((highest, lowest, least), given[2:], strict=True)
        ]
        name = f"llvm.fabs.v{factor.kind.count}f{factors.dtype.bitwidth}"
        size_of = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(factor.kind, [factor.kind]), name
        )

        def chosen(sign: str, some: list[Any], others: list[Any]) -> list[Any]:
            pairs = zip(some, others, strict=True)
            return [
                builder.select(builder.fcmp_ordered(sign, *pair), *pair)
                for pair in pairs
            ]

        smallest = factor.variable(float("inf"))
        with cgutils.for_range(builder, results[0].count) as words:
            high, low = factor.variable(1.0), factor.variable(1.0)
            first = builder.mul(words.index, given[1])
            with cgutils.for_range(builder, given[1]) as places:
                mode = builder.add(first, places.index)
                most, fewest = factor.variable(1.0), factor.variable(1.0)
                with cgutils.for_range(builder, factor.count) as values:
                    row = factor.load_row(values.index, mode)
                    size = [builder.call(size_of, [each]) for each in row]
                    most.set(chosen(">", size, most.get()))
                    fewest.set(chosen("<", size, fewest.get()))
                    smallest.set(chosen("<", size, smallest.get()))
                    nothing = _each(builder.fmul, size, factor.every(0.0))
                    high.set(_each(builder.fadd, high.get(), nothing))
                high.set(_each(builder.fmul, high.get(), most.get()))
                low.set(_each(builder.fmul, low.get(), fewest.get()))
            place = builder.mul(words.index, _INT(ROW_BYTES))
            results[0].store(high.get(), place)
            results[1].store(low.get(), place)
        results[2].store(smallest.get(), _INT(0))
        return context.get_dummy_value()

    return types.void(factors, modes, highest, lowest, least), generate


sum_subsets: Any = intrinsic(_summing)
multiply_values_of_1: Any = _multiplying(1)
multiply_values_of_2: Any = _multiplying(2)
multiply_values_of_4: Any = _multiplying(4)
survey: Any = intrinsic(_surveying)


def _over_exponents(change: Any) -> Any:
    """Change numbers of some rows and their exponents, which are counted apart."""

    def typed(_, begin, out, counts):
        def generate(context: Any, builder: Any, _: Any, given: Any) -> Any:
            numbers = _Rows(context, builder, out, given[1])
            counted = _Rows(context, builder, counts, given[2])
            registers = _Registers(builder, numbers.kind, counted.kind)
            start = registers.of(builder.trunc(given[0], counted.kind.element))
            with cgutils.for_range(builder, numbers.count) as loop:
                place = builder.mul(loop.index, _INT(ROW_BYTES))
                pairs = zip(numbers.load(place), counted.load(place), strict=True)
                found = [change(registers, start, *pair) for pair in pairs]
                numbers.store([number for number, _ in found], place)
                counted.store([count for _, count in found], place)
            return context.get_dummy_value()

        return types.void(begin, out, counts), generate

    return intrinsic(typed)


class _Registers:
    """Numbers of a register, and the integers that are the same bits."""

    def __init__(self, builder: Any, number: Any, integer: Any) -> None:
        self.builder, self.number, self.integer = builder, number, integer
        self.fraction, self.bias = (
            (23, 127) if integer.element.width == 32 else (52, 1023)
        )

    def of(self, number: Any) -> Any:
        """A register of one integer, which is a constant or not."""
        if isinstance(number, int):
            return ir.Constant(self.integer, [number] * self.integer.count)
        nothing = ir.Constant(self.integer, ir.Undefined)
        one = self.builder.insert_element(nothing, number, _INT(0))
        firsts = ir.Constant(ir.VectorType(ir.IntType(32), self.integer.count), None)
        return self.builder.shuffle_vector(one, nothing, firsts)

    def power(self, exponent: Any) -> Any:
        """Two to the power of each integer."""
        biased = self.builder.add(exponent, self.of(self.bias))
        bits = self.builder.shl(biased, self.of(self.fraction))
        return self.builder.bitcast(bits, self.number)


def _taken(registers: _Registers, start: Any, number: Any, count: Any) -> Any:
    builder, each = registers.builder, registers.of
    mask = (2 * registers.bias + 1) << registers.fraction
    bits = builder.bitcast(number, registers.integer)
    exponent = builder.lshr(builder.and_(bits, each(mask)), each(registers.fraction))
    least = builder.add(start, each(registers.bias))
    begin = builder.shl(least, each(registers.fraction))
    rest = builder.or_(builder.and_(bits, each(~mask)), begin)
    count = builder.add(count, builder.sub(exponent, least))
    return builder.bitcast(rest, registers.number), count


def _given(registers: _Registers, start: Any, number: Any, count: Any) -> Any:
    builder, each = registers.builder, registers.of
    most, least = 2 * registers.bias, 2 - 2 * registers.bias
    whole = builder.sub(count, start)
    for sign, limit in (("<", most), (">", least)):
        is_inside = builder.icmp_signed(sign, whole, each(limit))
        whole = builder.select(is_inside, whole, each(limit))
    # In two halves, for one power of two may be out of range by itself.
    half = builder.ashr(whole, each(1))
    number = builder.fmul(number, registers.power(half))
    return builder.fmul(number, registers.power(builder.sub(whole, half))), count


# Numbers then begin at two to the power that is given, and the rest is counted apart;
# and back, where those that are too large or too small become infinite or zero.
take_exponents: Any = _over_exponents(_taken)
give_exponents: Any = _over_exponents(_given)
