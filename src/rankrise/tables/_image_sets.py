"""MNIST and Fashion-MNIST, from a folder or a checked download."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError

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


_PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# SHA-256 of the content: the same files are compressed differently here and there.
_DIGESTS = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
_MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
}
IMAGE_SETS = tuple(_DIGESTS)


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
    if name not in _DIGESTS:
        raise InputError(
            f"There is no image set {name!r}; choose {' or '.join(IMAGE_SETS)}."
        )
    parts = dict(zip(_PARTS, _DIGESTS[name], strict=True))
    folders = (x for x in _folders(name) if all(_file(x, part) for part in parts))
    folder = next(folders, None)
    if folder is None:
        folder = _cache(name)
        _download(name, folder, parts, _MIRRORS[name] if mirrors is None else mirrors)
    arrays = []
    for part, digest in parts.items():
        path = _file(folder, part)
        assert path is not None
        # After the header: a kind, the count, and for images two sides.
        content, has_sides = _content(path, digest), "idx3" in part
        array = np.frombuffer(content, np.uint8, offset=16 if has_sides else 8)
        count = int.from_bytes(content[4:8], "big")
        arrays.append(array.reshape(count, -1) if has_sides else array)
    train_images, train_labels, test_images, test_labels = arrays
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


def _file(folder: Path, part: str) -> Path | None:
    paths = (folder / f"{part}.gz", folder / part)
    return next((path for path in paths if path.is_file()), None)


def _content(path: Path, digest: str) -> bytes:
    """What a file holds once it is uncompressed, refused if it is another."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_LARGEST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} cannot be read ({error}); remove it, so that it is downloaded "
            "again."
        ) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"{path} is not the file it should be (its SHA-256 is another); remove it, "
            "so that it is downloaded again."
        )
    return content


def _download(
    name: str, folder: Path, parts: Mapping[str, str], mirrors: Sequence[str]
) -> None:
    """Fetch what is missing, from the first mirror that has the right content."""
    import pooch

    download = pooch.HTTPDownloader(timeout=30)
    folder.mkdir(parents=True, exist_ok=True)
    for part, digest in parts.items():
        failures = []
        for mirror in () if _file(folder, part) else mirrors:
            try:
                with atomic_path(folder / f"{part}.gz") as temporary:
                    download(f"{mirror}{part}.gz", str(temporary), None)
                    _content(temporary, digest)
                break
            # Servers and networks fail in many ways, each with its own exception.
            except Exception as error:
                failures.append(f"{mirror}: {type(error).__name__}")
        if _file(folder, part) is None:
            raise InputError(
                f"{name} is in none of its folders and could not be downloaded "
                f"({'; '.join(failures)}); put its four files into {folder} or into "
                f"$RANKRISE_DATA/{name}."
            )
