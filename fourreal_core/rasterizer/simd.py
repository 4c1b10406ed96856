"""Eight float32 lanes as one value inside numba code.

LLVM seldom vectorises the short loops of a rasterizer: it can't prove that the pixel planes and the splats' tables
don't overlap. So the kernels say it themselves, with a numba type that is LLVM's ``<8 x float>``. LLVM splits it where
the machine's registers are narrower (SSE, NEON: two of four), so nothing here depends on one instruction set.

Indices are in elements and are not checked.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .compiling import inlined

LANES = 8


class _Lanes(types.Type):
    def __init__(self, element: str) -> None:
        super().__init__(name=f"Lanes({element} x {LANES})")


_f32 = _Lanes("float32")
_mask = _Lanes("bool")
_float, _int = ir.FloatType(), ir.IntType(32)
_f32_ir, _i32_ir = ir.VectorType(_float, LANES), ir.VectorType(_int, LANES)
_CONTRACT = ("contract",)  # lets a multiplication and an addition fuse where the machine can


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type) -> None:
        element = _float if fe_type == _f32 else ir.IntType(1)
        super().__init__(dmm, fe_type, ir.VectorType(element, LANES))


def _pointer(context, builder, array_type, array, index, kind):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _constant(value: float) -> ir.Constant:
    return ir.Constant(_f32_ir, [float(np.float32(value))] * LANES)


@intrinsic
def load(typingctx, array, index):
    """Eight elements of a contiguous float32 array from ``index`` on."""

    def build(context, builder, signature, args):
        return builder.load(_pointer(context, builder, signature.args[0], args[0], args[1], _f32_ir), align=4)

    return _f32(array, types.intp), build


@intrinsic
def store(typingctx, array, index, value):
    """Writes eight elements of a contiguous float32 array from ``index`` on."""

    def build(context, builder, signature, args):
        builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], args[1], _f32_ir), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _f32), build


@intrinsic
def element(typingctx, array, index):
    """One element of a contiguous array; the index is never negative."""

    def build(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [args[1]]))

    return array.dtype(array, types.intp), build


@intrinsic
def put(typingctx, array, index, value):
    """Writes one element of a contiguous array; the index is never negative."""

    def build(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        builder.store(args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), build


@intrinsic
def fill(typingctx, value):
    """The same number in all lanes."""

    def build(context, builder, signature, args):
        one = builder.insert_element(ir.Constant(_f32_ir, ir.Undefined), args[0], ir.Constant(_int, 0))
        return builder.shuffle_vector(one, ir.Constant(_f32_ir, ir.Undefined), ir.Constant(_i32_ir, [0] * LANES))

    return _f32(types.float32), build


@intrinsic
def load_triples(typingctx, array, index):
    """The first, the second and the third numbers of eight triples in a contiguous float32 array from ``index`` on."""

    def build(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], _f32_ir)
        parts = [builder.load(builder.gep(pointer, [ir.Constant(_int, k)]), align=4) for k in range(3)]
        found = []
        for k in range(3):
            # lane j's number lies at 3 j + k of the 24: first those of the first two parts, then those of the third
            places = [3 * lane + k for lane in range(LANES)]
            early = [place if place < 2 * LANES else 0 for place in places]
            late = [lane if place < 2 * LANES else place - LANES for lane, place in enumerate(places)]
            mixed = builder.shuffle_vector(parts[0], parts[1], ir.Constant(_i32_ir, early))
            found.append(builder.shuffle_vector(mixed, parts[2], ir.Constant(_i32_ir, late)))
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(_f32, 3)(array, types.intp), build


@intrinsic
def lane_numbers(typingctx):
    """0, 1, ... 7."""

    def build(context, builder, signature, args):
        return ir.Constant(_f32_ir, [float(lane) for lane in range(LANES)])

    return _f32(), build


def _binary(operation: str, doc: str):
    def typed(typingctx, a, b):
        def build(context, builder, signature, args):
            return getattr(builder, operation)(*args, flags=_CONTRACT)

        return _f32(_f32, _f32), build

    typed.__doc__ = doc
    return intrinsic(typed)


add = _binary("fadd", "a + b")
sub = _binary("fsub", "a - b")
mul = _binary("fmul", "a b")
div = _binary("fdiv", "a / b")


@intrinsic
def mul_add(typingctx, a, b, c):
    """a b + c"""

    def build(context, builder, signature, args):
        return builder.fadd(builder.fmul(args[0], args[1], flags=_CONTRACT), args[2], flags=_CONTRACT)

    return _f32(_f32, _f32, _f32), build


@intrinsic
def at_least(typingctx, a, b):
    """Mask of the lanes where a >= b."""

    def build(context, builder, signature, args):
        return builder.fcmp_ordered(">=", *args)

    return _mask(_f32, _f32), build


@intrinsic
def more_than(typingctx, a, b):
    """Mask of the lanes where a > b."""

    def build(context, builder, signature, args):
        return builder.fcmp_ordered(">", *args)

    return _mask(_f32, _f32), build


@intrinsic
def both(typingctx, a, b):
    """Mask of the lanes that are in both masks."""

    def build(context, builder, signature, args):
        return builder.and_(*args)

    return _mask(_mask, _mask), build


@intrinsic
def keep(typingctx, mask, value):
    """The value in the mask's lanes, 0 in the others."""

    def build(context, builder, signature, args):
        return builder.select(args[0], args[1], _constant(0.0))

    return _f32(_mask, _f32), build


@intrinsic
def smaller(typingctx, a, b):
    """The smaller of a and b, lane by lane."""

    def build(context, builder, signature, args):
        return builder.select(builder.fcmp_ordered("<", *args), *args)

    return _f32(_f32, _f32), build


@intrinsic
def any_lane(typingctx, mask):
    """Whether the mask has a lane."""

    def build(context, builder, signature, args):
        bits = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(_mask), build


@intrinsic
def total(typingctx, value):
    """Sum of the lanes, always in the same order."""

    def build(context, builder, signature, args):
        current, width = args[0], LANES
        while width > 1:
            width //= 2
            kind = ir.VectorType(_int, width)
            low = builder.shuffle_vector(current, current, ir.Constant(kind, list(range(width))))
            high = builder.shuffle_vector(current, current, ir.Constant(kind, list(range(width, 2 * width))))
            current = builder.fadd(low, high)
        return builder.extract_element(current, ir.Constant(_int, 0))

    return types.float32(_f32), build


@intrinsic
def totals(typingctx, a, b, c, d, e, f, g, h):
    """The eight values' sums over their lanes, one in each lane; always added in the same order."""

    def build(context, builder, signature, args):
        def folded(x, y, first, second):
            masks = (ir.Constant(_i32_ir, lanes) for lanes in (first, second))
            return builder.fadd(*(builder.shuffle_vector(x, y, mask) for mask in masks))

        even, odd = [0, 2, 8, 10, 4, 6, 12, 14], [1, 3, 9, 11, 5, 7, 13, 15]
        level = list(args)
        while len(level) > 2:
            level = [folded(x, y, even, odd) for x, y in zip(level[::2], level[1::2], strict=True)]
        return folded(*level, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])

    return _f32(*[_f32] * LANES), build


@intrinsic
def _two_to_integer(typingctx, value):
    """2 to the power of lanes that hold whole numbers between -126 and 127."""

    def build(context, builder, signature, args):
        exponent = builder.add(builder.fptosi(args[0], _i32_ir), ir.Constant(_i32_ir, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_i32_ir, [23] * LANES)), _f32_ir)

    return _f32(_f32), build


# 2^x on [-1/2, 1/2], interpolated at the Chebyshev nodes: below 2e-7 relative, so as good as float32's own rounding
_NODES = 0.5 * np.cos(np.pi * (np.arange(7) + 0.5) / 7)
_EXP2 = tuple(float(c) for c in np.polyfit(_NODES, np.exp2(_NODES), 6))
_ROUNDER = 12582912.0  # 1.5 * 2^23: adding and subtracting it rounds to the nearest whole number
_C6, _C5, _C4, _C3, _C2, _C1, _C0 = (np.float32(c) for c in _EXP2)


@intrinsic
def _rounded(typingctx, value):
    """The nearest whole numbers, for lanes smaller than 2^22."""

    def build(context, builder, signature, args):
        # no fast-math flag here: reassociation would remove the very thing that this is about
        return builder.fsub(builder.fadd(args[0], _constant(_ROUNDER)), _constant(_ROUNDER))

    return _f32(_f32), build


@intrinsic
def _at_least_minus_60(typingctx, value):
    """max(value, -60), lane by lane."""

    def build(context, builder, signature, args):
        floor = _constant(-60.0)
        return builder.select(builder.fcmp_ordered(">", args[0], floor), args[0], floor)

    return _f32(_f32), build


@inlined
def exp2(value):
    """2 to the power of lanes that are at most 0; what lies below -60 counts as -60.

    The floor keeps the product of two such powers a normal number: denormal ones are slow, and far below any alpha that
    is drawn.
    """
    value = _at_least_minus_60(value)
    whole = _rounded(value)
    part = sub(value, whole)
    power = mul_add(fill(_C6), part, fill(_C5))
    power = mul_add(power, part, fill(_C4))
    power = mul_add(power, part, fill(_C3))
    power = mul_add(power, part, fill(_C2))
    power = mul_add(power, part, fill(_C1))
    power = mul_add(power, part, fill(_C0))
    return mul(power, _two_to_integer(whole))


@intrinsic
def take_number(typingctx, counter):
    """Adds 1 to element 0 of an int64 array, atomically, and returns what was there: the next piece of work."""

    def build(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), build


@intrinsic
def float_of_bits(typingctx, bits):
    """The float32 that has these 32 bits."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], _float)

    return types.float32(types.uint32), build


@intrinsic
def bits_of_float(typingctx, value):
    """The 32 bits of a float32."""

    def build(context, builder, signature, args):
        return builder.bitcast(args[0], _int)

    return types.uint32(types.float32), build


@intrinsic
def prefetch(typingctx, array, index):
    """Asks for the cache line of an array's element; a hint, never an error."""

    def build(context, builder, signature, args):
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1], ir.IntType(8))
        module = builder.module
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, _int, _int, _int])
        hint = cgutils.get_or_insert_function(module, kind, "llvm.prefetch.p0")
        builder.call(hint, [pointer, ir.Constant(_int, 0), ir.Constant(_int, 3), ir.Constant(_int, 1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), build
