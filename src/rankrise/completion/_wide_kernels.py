"""The kernels that read lists, for more rows than 16 bits can number.

They have a module of their own, since most tensors spare the half minute of compiling
them.
"""

from numba import int32

from rankrise.completion._kernels import READING_LISTS, for_rows

globals().update({name: for_rows(int32, *each) for name, each in READING_LISTS.items()})
