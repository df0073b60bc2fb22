"""Image sets: found in folders, or downloaded from a server here and checked."""

import gzip
import hashlib
import struct
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.tables import _image_sets, load_image_set

PIXELS = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def idx(kind: int, array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}i", kind, *array.shape) + array.tobytes()


CONTENT = {
    "train-images-idx3-ubyte": idx(2051, PIXELS[:3]),
    "train-labels-idx1-ubyte": idx(2049, np.array([7, 0, 1], np.uint8)),
    "t10k-images-idx3-ubyte": idx(2051, PIXELS[3:]),
    "t10k-labels-idx1-ubyte": idx(2049, np.array([1, 7], np.uint8)),
}
PACKED = {f"/{name}.gz": gzip.compress(content) for name, content in CONTENT.items()}


@pytest.fixture(autouse=True)
def _small_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST is five images of six pixels; its folders lie here."""
    expect(CONTENT, monkeypatch)
    monkeypatch.delenv("RANKRISE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_image_sets, "_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(_image_sets, "_DEBIAN", tmp_path / "debian")


def expect(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [hashlib.sha256(each).hexdigest() for each in content.values()]
    monkeypatch.setitem(_image_sets._DIGESTS, "mnist", digests)
    monkeypatch.setitem(_image_sets._MIRRORS, "mnist", ["http://127.0.0.1:9/"])


def fill(folder: Path, content: dict[str, bytes] = CONTENT) -> Path:
    folder.mkdir(parents=True)
    for name, each in content.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(each))
    return folder


Serve = Callable[[dict[str, bytes]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers on this machine alone; what they have is given by path."""
    servers = []

    def started(files: dict[str, bytes]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.server.asked.append(self.path)  # type: ignore[attr-defined]
                self.send_response(200 if self.path in files else 404)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(files.get(self.path, b""))

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.asked = []  # type: ignore[attr-defined]
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return f"http://127.0.0.1:{server.server_port}/"

    started.servers = servers  # type: ignore[attr-defined]
    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_download_is_the_set_and_stays_in_the_cache(serve, tmp_path):
    images = load_image_set("mnist", mirrors=[serve(PACKED)])
    np.testing.assert_array_equal(images.train_images, PIXELS[:3].reshape(3, 6))
    np.testing.assert_array_equal(images.test_images, PIXELS[3:].reshape(2, 6))
    assert images.train_labels.tolist() == [7, 0, 1]
    assert images.test_labels.tolist() == [1, 7]
    assert images.source == str(tmp_path / "cache" / "mnist")
    # The address that stands for all mirrors answers nothing.
    again = load_image_set("mnist")
    np.testing.assert_array_equal(again.train_images, images.train_images)


def test_the_second_mirror_is_used_where_the_first_has_other_content(serve):
    other = {path: gzip.compress(b"another") for path in PACKED}
    mirrors = [serve(other), serve(PACKED)]
    assert load_image_set("mnist", mirrors=mirrors).test_labels.tolist() == [1, 7]
    assert serve.servers[0].asked == serve.servers[1].asked == list(PACKED)


def test_a_download_that_fails_everywhere_is_one_sentence_and_leaves_no_file(
    serve, tmp_path
):
    cut = {path: packed[:-9] for path, packed in PACKED.items()}
    mirrors = [serve({}), serve(cut), serve(dict.fromkeys(PACKED, b"<html>"))]
    mirrors.append("http://127.0.0.1:9/")
    words = (
        r"(?s)mnist is in none .* \(.*: HTTPError; .*: InputError; .*: InputError; "
        r".*: ConnectionError\); put its four files into .*RANKRISE_DATA/mnist\.$"
    )
    with pytest.raises(InputError, match=words) as refusal:
        load_image_set("mnist", mirrors=mirrors)
    assert "\n" not in str(refusal.value)
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_only_what_is_missing_is_downloaded(serve, tmp_path):
    cache = fill(tmp_path / "cache" / "mnist")
    (cache / "t10k-labels-idx1-ubyte.gz").unlink()
    load_image_set("mnist", mirrors=[serve(PACKED)])
    assert serve.servers[0].asked == ["/t10k-labels-idx1-ubyte.gz"]


def test_a_file_cut_short_is_refused_by_name(tmp_path):
    path = fill(tmp_path / "cache" / "mnist") / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    words = r"train-images-idx3-ubyte\.gz cannot be read .*; remove it"
    with pytest.raises(InputError, match=words):
        load_image_set("mnist")


def test_a_file_of_other_content_is_refused_by_name(tmp_path):
    other = {**CONTENT, "t10k-labels-idx1-ubyte": b"another"}
    fill(tmp_path / "cache" / "mnist", other)
    words = r"t10k-labels-idx1-ubyte\.gz is not the file it should be.*remove it"
    with pytest.raises(InputError, match=words):
        load_image_set("mnist")


def test_folders_are_looked_into_in_order(tmp_path, monkeypatch):
    sources = []
    for folder in ("debian", "cache", "own"):
        fill(tmp_path / folder / "mnist")
        monkeypatch.setenv("RANKRISE_DATA", str(tmp_path / "own"))
        sources.append(Path(load_image_set("mnist").source).parent.name)
    assert sources == ["debian", "cache", "own"]


def test_files_may_be_uncompressed(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKRISE_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name, content in CONTENT.items():
        (tmp_path / "mnist" / name).write_bytes(content)
    assert load_image_set("mnist").train_labels.tolist() == [7, 0, 1]


def test_a_set_of_another_name_is_refused():
    with pytest.raises(InputError, match="choose mnist or fashion-mnist"):
        load_image_set("kmnist")
