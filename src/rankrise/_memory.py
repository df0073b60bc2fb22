"""How much memory there is, and how much of it one input may take."""

from pathlib import Path

MAX_DENSE_BYTES = 8 * 2**30
"""Most bytes that dense values, read from a file or drawn, may take."""

_MEMINFO = Path("/proc/meminfo")
# Of containers, by version 2 and version 1 of control groups.
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
# Its first number is how many pages of memory the process has.
_PAGES = Path("/proc/self/statm")


def free_memory() -> int | None:
    """Bytes that arrays may still take on JAX's device; None where it does not say."""
    import jax

    device = jax.devices()[0]
    if device.platform != "cpu":
        known = device.memory_stats() or {}
        if "bytes_limit" not in known:
            return None
        return int(known["bytes_limit"]) - int(known.get("bytes_in_use", 0))
    return free_host_memory()


def free_host_memory() -> int | None:
    """Bytes that NumPy arrays may still take; None where the system does not say."""
    # What a container uses counts files that it would forget, so only its limit is
    # taken.
    limits = [int(text) for text in map(_content, _LIMITS) if text.isdigit()]
    for line in _content(_MEMINFO).splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            limits.append(1024 * int(amount.split()[0]))
    limits += _process_limit()
    return min(limits, default=None)


def _process_limit() -> list[int]:
    """Bytes that `ulimit -v`, which batch systems set, leaves to this process."""
    pages = _content(_PAGES).split()
    if not pages:
        return []
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    taken = int(pages[0]) * resource.getpagesize()
    return [] if limit == resource.RLIM_INFINITY else [max(0, limit - taken)]


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
