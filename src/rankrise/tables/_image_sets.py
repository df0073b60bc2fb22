"""MNIST and Fashion-MNIST, from a folder or a checked download."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError

# What the first four bytes say of an IDX file of bytes, by its number of modes.
_KINDS = {1: 2049, 3: 2051}
# Far above any of these sets: what is larger is not one of them.
_LARGEST_BYTES = 2**28
_DEBIAN = Path("/usr/share/datasets")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and labels for training and testing.

    Attributes
    ----------
    train_images, test_images
        One image a row, pixels from 0 to 255.
    source
        The folder it was read from.
    """

    name: str
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.uint8]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.uint8]
    source: str


@dataclass(frozen=True)
class _Origin:
    """SHA-256 of the uncompressed files, and where they are to be had.

    Attributes
    ----------
    digests
        Images then labels, for training and then for testing.
    """

    digests: Mapping[str, str]
    mirrors: Sequence[str]


# Digests of the content: the same files are compressed differently here and there.
_ORIGINS = {
    "mnist": _Origin(
        {
            "train-images-idx3-ubyte": (
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
            ),
            "train-labels-idx1-ubyte": (
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
            "t10k-images-idx3-ubyte": (
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
            ),
            "t10k-labels-idx1-ubyte": (
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
            ),
        },
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
    "fashion-mnist": _Origin(
        {
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
    ),
}
IMAGE_SETS = tuple(_ORIGINS)


def load_image_set(name: str, *, mirrors: Sequence[str] | None = None) -> ImageSet:
    """MNIST (`mnist`) or Fashion-MNIST (`fashion-mnist`).

    Looked for in the folder of that name in `RANKRISE_DATA`, in the cache and in
    Debian's data folder; if it is in none, downloaded into the cache. Every file's
    content is checked by its SHA-256.

    Parameters
    ----------
    mirrors
        Addresses that the files' names are appended to, tried one after another.
    """
    if name not in _ORIGINS:
        raise InputError(
            f"There is no image set {name!r}; choose {' or '.join(IMAGE_SETS)}."
        )
    origin = _ORIGINS[name]
    folder = next((each for each in _folders(name) if _holds(each, origin)), None)
    if folder is None:
        folder = _cache(name)
        _download(name, folder, origin, origin.mirrors if mirrors is None else mirrors)
    parts = {part: _content(folder, part, origin) for part in origin.digests}
    train_images, train_labels, test_images, test_labels = (
        _array(content, part) for part, content in parts.items()
    )
    return ImageSet(
        name, train_images, train_labels, test_images, test_labels, str(folder)
    )


def _cache(name: str) -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("rankrise")) / "data" / name


def _folders(name: str) -> Iterator[Path]:
    if "RANKRISE_DATA" in os.environ:
        yield Path(os.environ["RANKRISE_DATA"]) / name
    yield _cache(name)
    yield _DEBIAN / name


def _holds(folder: Path, origin: _Origin) -> bool:
    return all(_file(folder, part) is not None for part in origin.digests)


def _file(folder: Path, part: str) -> Path | None:
    for path in (folder / f"{part}.gz", folder / part):
        if path.is_file():
            return path
    return None


def _content(folder: Path, part: str, origin: _Origin) -> bytes:
    path = _file(folder, part)
    assert path is not None
    content = _uncompressed(path)
    if hashlib.sha256(content).hexdigest() != origin.digests[part]:
        raise InputError(
            f"{path} is not the file it should be (its SHA-256 is another); remove it, "
            "so that it is downloaded again."
        )
    return content


def _uncompressed(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            with path.open("rb") as file:
                return file.read(_LARGEST_BYTES)
        with gzip.open(path, "rb") as file:
            return file.read(_LARGEST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({error}); remove it, so that it is downloaded "
            "again."
        ) from error


def _download(name: str, folder: Path, origin: _Origin, mirrors: Sequence[str]) -> None:
    """Fetch what is missing, from the first mirror that has the right content."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, digest in origin.digests.items():
        target = folder / f"{part}.gz"
        if _file(folder, part) is not None:
            continue
        failures = []
        for mirror in mirrors:
            try:
                with atomic_path(target) as temporary:
                    _fetch(f"{mirror}{part}.gz", temporary, digest)
                break
            except _FetchError as failure:
                failures.append(f"{mirror}: {failure}")
        else:
            raise InputError(
                f"{name} is in none of its folders and could not be downloaded "
                f"({'; '.join(failures)}); put its four files into {folder} or into "
                f"$RANKRISE_DATA/{name}."
            )


class _FetchError(RuntimeError):
    """A mirror does not have the file."""


def _fetch(address: str, target: Path, digest: str) -> None:
    import pooch

    try:
        download = pooch.HTTPDownloader(timeout=30)
        download(address, str(target), None)
        content = _uncompressed(target)
    # Servers and networks fail in many ways, each with an exception of its own.
    except Exception as error:
        raise _FetchError(type(error).__name__) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise _FetchError("its content is another")


def _array(content: bytes, part: str) -> npt.NDArray[np.uint8]:
    """What an IDX file holds: images as rows, or labels."""
    modes = 3 if "idx3" in part else 1
    start = 4 * (1 + modes)
    if len(content) >= start:
        kind, count, *sides = struct.unpack(f">{1 + modes}i", content[:start])
        if kind == _KINDS[modes] and len(content) == start + count * math.prod(sides):
            pixels = np.frombuffer(content, np.uint8, offset=start)
            return pixels.reshape(count, *(math.prod(sides),) * (modes > 1))
    raise InputError(
        f"{part} does not hold what its name says ({len(content)} bytes that begin "
        f"with {content[:4].hex()}); an IDX file of bytes is needed."
    )
