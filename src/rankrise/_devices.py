"""One run over several devices: which they are, and what of an array lies where.

A run goes over the devices of the mesh that `across` sets. Compiled code has the whole
arrays before it, as on one device, and XLA divides the work by where they lie. What it
would divide badly says so itself, by `by_rows` or `by_columns`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rankrise._checks import check_whole
from rankrise._errors import InputError

Devices = int | Literal["all"] | None

# No mesh of a user's own has an axis of this name.
_AXIS = "rankrise"
_EVERYWHERE, _BY_ROWS = PartitionSpec(), PartitionSpec(_AXIS)


def checked_devices(devices: Any) -> int:
    """Over how many devices a run goes: so many of `jax.devices()`, the first ones.

    Raises
    ------
    InputError
        Where there are not so many, or a run would leave out some of those that
        several processes share.
    """
    found = jax.devices()
    if devices is None:
        return 1
    if devices == "all":
        return len(found)
    if isinstance(devices, str):
        raise InputError(
            f"devices is {devices!r}; give how many a run goes over, or 'all'."
        )
    check_whole("devices", devices, 1)
    if devices > len(found):
        there = "device is" if len(found) == 1 else "devices are"
        platform = found[0].platform
        more = "; JAX_NUM_CPU_DEVICES divides a CPU in several" * (platform == "cpu")
        raise InputError(
            f"devices is {devices}, but only {len(found)} {there} there ({platform})"
            f"{more}."
        )
    if 1 < devices < len(found) and jax.process_count() > 1:
        raise InputError(
            f"devices is {devices}, but {jax.process_count()} processes share "
            f"{len(found)}; a run of several processes goes over all of them."
        )
    return int(devices)


def across(devices: Devices) -> AbstractContextManager[Any]:
    """Within it, runs go over so many devices; see `checked_devices`."""
    count = checked_devices(devices)
    if count == 1:
        return nullcontext()
    mesh = jax.make_mesh(
        (count,), (_AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count]
    )
    return jax.set_mesh(mesh)


class Divided(eqx.Module):
    """An array in equal shares of its rows, a device each, and a few rows of zeros."""

    array: jax.Array
    rows: int = eqx.field(static=True)


def divided(array: jax.Array, mesh: Mesh) -> Any:
    """The array with a share of its rows on each device."""
    room = -len(array) % mesh.size
    sharding = NamedSharding(mesh, _BY_ROWS)
    if not room:
        return jax.device_put(array, sharding)
    # On the host, so that no device holds it all a second time.
    padding = [(0, room)] + [(0, 0)] * (array.ndim - 1)
    padded = np.pad(np.asarray(array), padding)
    return Divided(jax.device_put(padded, sharding), len(array))


def whole(tree: Any) -> Any:
    """In compiled code, the tree with its divided arrays as arrays again."""
    return jax.tree.map(
        lambda leaf: leaf.array[: leaf.rows] if isinstance(leaf, Divided) else leaf,
        tree,
        is_leaf=lambda leaf: isinstance(leaf, Divided),
    )


def on_all(tree: Any) -> Any:
    """The tree with its arrays on every device, but those that are divided."""
    mesh = mesh_of_run()
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, _EVERYWHERE)

    def placed(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.sharding.device_set == set(
            mesh.devices.flat
        ):
            return leaf
        return jax.device_put(leaf, everywhere)

    return jax.tree.map(placed, tree)


def on_one(tree: Any) -> Any:
    """The tree of a run that is over, with its arrays where those of one device are."""

    def back(leaf: Any) -> Any:
        mesh = getattr(getattr(leaf, "sharding", None), "mesh", None)
        is_of_run = mesh is not None and _AXIS in mesh.axis_names
        return jnp.asarray(np.asarray(leaf)) if is_of_run else leaf

    return jax.tree.map(back, tree)


def by_rows(function: Callable[[Any, Any], Any], shared: Any, rows: jax.Array) -> Any:
    """In compiled code, `function(shared, rows)`, where every device takes some rows.

    Parameters
    ----------
    function
        Of any number of rows, whose results have one row for each of them.
    """
    mesh = jax.sharding.get_abstract_mesh()
    if _AXIS not in mesh.axis_names:
        return function(shared, rows)
    room = [(0, -len(rows) % mesh.size)] + [(0, 0)] * (rows.ndim - 1)
    each = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(_EVERYWHERE, _BY_ROWS),
        out_specs=_BY_ROWS,
        # Loops may begin with numbers that are alike everywhere.
        check_vma=False,
    )
    return each(shared, jnp.pad(rows, room))[: len(rows)]


def by_columns(tree: Any) -> Any:
    """In compiled code, the same arrays, of which every device works on some columns.

    Columns are along the last axis, in any number.
    """

    def some(leaf: jax.Array) -> jax.Array:
        axes = (None,) * (leaf.ndim - 1)
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(*axes, _AXIS))

    if _AXIS not in jax.sharding.get_abstract_mesh().axis_names:
        return tree
    return jax.tree.map(some, tree)


def alike(tree: Any) -> Any:
    """In compiled code, the same arrays, all of them on every device."""
    if _AXIS not in jax.sharding.get_abstract_mesh().axis_names:
        return tree
    return jax.lax.with_sharding_constraint(tree, _EVERYWHERE)


def agreed(number: int) -> int:
    """The largest that any process of the run says, which all go on with."""
    if mesh_of_run() is None or jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def is_first_process() -> bool:
    """Whether this is the process of a run that writes its files."""
    return mesh_of_run() is None or jax.process_index() == 0


def mesh_of_run() -> Mesh | None:
    """The devices that runs go over, where they are several."""
    mesh = jax.sharding.get_mesh()
    return mesh if _AXIS in mesh.axis_names else None
