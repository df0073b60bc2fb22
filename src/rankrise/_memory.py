"""How much memory there is, and how much of it one input may take."""

from pathlib import Path

MAX_DENSE_BYTES = 8 * 2**30
"""The most bytes that dense values, read from a file or drawn, may take."""

_MEMINFO = Path("/proc/meminfo")
# Of containers, by version 2 and version 1 of control groups.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def free_memory() -> int | None:
    """Bytes that arrays may still take on JAX's device; None where it does not say."""
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        known = device.memory_stats() or {}
        if "bytes_limit" not in known:
            return None
        return int(known["bytes_limit"]) - int(known.get("bytes_in_use", 0))
    # What a container uses counts files that it would forget, so only its limit is
    # taken.
    limits = [int(text) for text in map(_content, _LIMITS) if text.isdigit()]
    for line in _content(_MEMINFO).splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            limits.append(1024 * int(amount.split()[0]))
    return min(limits, default=None)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
