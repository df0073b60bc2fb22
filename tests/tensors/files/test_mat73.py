"""MATLAB files of version 7.3, which are HDF5: as MATLAB lays them out, and damaged."""

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io.matlab

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, read_tensor, write_completed

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"


@pytest.fixture
def mat73(tmp_path):
    """Write arrays as MATLAB does: modes reversed, a class, a header before HDF5."""
    path = tmp_path / "x.mat"

    def written(kind="double", fill=None, **arrays):
        with h5py.File(path, "w", userblock_size=512) as content:
            for name, array in arrays.items():
                content.create_dataset(name, data=np.asarray(array).T)
                content[name].attrs["MATLAB_class"] = np.bytes_(kind)
            if fill is not None:
                fill(content)
        whole = path.read_bytes()
        path.write_bytes(HEADER + whole[len(HEADER) :])
        return path

    return written


def packed(name, array, **options):
    """What adds a dataset that is stored in chunks."""

    def fill(content):
        content.create_dataset(name, data=array.T, **options)
        content[name].attrs["MATLAB_class"] = np.bytes_("double")

    return fill


def test_reading_keeps_exactly_the_observed_entries(mat73, tensor):
    file = read_tensor(mat73(ratings=tensor))
    assert (file.form, file.variable) == ("mat", "ratings")
    np.testing.assert_array_equal(file.observations.dense(), tensor)


def test_a_file_that_matlab_wrote_is_read():
    folder = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
    path = folder / "testhdf5_7.4_GLNX86.mat"
    if not path.exists():
        pytest.skip("this SciPy comes without its test data")
    file = read_tensor(path)
    assert file.variable == "testdouble"
    expected = np.arange(9).reshape(1, 9) * np.pi / 4
    np.testing.assert_allclose(file.observations.dense(), expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_completed_file_is_laid_out_as_matlab_does(dtype, mat73, tensor, fill, out):
    kind = {np.float32: "single", np.float64: "double"}[dtype]
    file = read_tensor(mat73(kind, ratings=tensor.astype(dtype)))
    written = write_completed(file, fill(file.observations), out)
    head = written.read_bytes()[:128]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[116:] == bytes(8) + b"\x00\x02IM"
    with h5py.File(written) as content:
        assert content.userblock_size == 512
        assert list(content) == ["ratings"]
        stored = content["ratings"]
        assert stored.attrs["MATLAB_class"] == kind.encode()
        assert (stored.shape, stored.dtype) == ((2, 4, 3), dtype)
        expected = np.where(np.isnan(tensor), 0.5, tensor).astype(dtype)
        np.testing.assert_array_equal(stored[()].T, expected)
    assert len(read_tensor(written).observations) == tensor.size


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("logical", "u1"), ("int8", "i1"), ("uint16", "u2"), ("int64", "i8")],
)
def test_whole_numbers_and_logicals_become_float64(kind, dtype, mat73, complete):
    array = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    path = mat73(kind, x=array)
    np.testing.assert_array_equal(read_tensor(path).observations.dense(), array)
    with h5py.File(complete(path)) as content:
        assert content["x"].attrs["MATLAB_class"] == b"double"
        np.testing.assert_array_equal(content["x"][()].T, array)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"fletcher32": True},
        {"chunks": (1, 4, 2)},
    ],
)
def test_chunks_are_unpacked(options, mat73, tensor):
    options = {"chunks": (2, 3, 2)} | options  # not a divisor of the shape (2, 4, 3)
    path = mat73(fill=packed("x", tensor, **options))
    np.testing.assert_array_equal(read_tensor(path).observations.dense(), tensor)


def test_what_was_never_written_is_zero_as_in_matlab(mat73):
    def fill(content):
        content.create_dataset("x", (4, 6), "f8", chunks=(2, 3), compression="gzip")
        content["x"][0, 0] = 7
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")

    dense = read_tensor(mat73(fill=fill)).observations.dense()
    assert (dense.shape, dense[0, 0], dense.sum()) == ((6, 4), 7, 7)


def test_the_only_numeric_array_is_chosen_among_others(mat73):
    def fill(content):
        content.create_group("#refs#")["a"] = np.ones((2, 2))
        content.create_group("s").attrs["MATLAB_class"] = np.bytes_("struct")
        content["note"] = np.ones((5, 1), np.uint16)
        content["note"].attrs["MATLAB_class"] = np.bytes_("char")
        content["step"] = np.ones((1, 1))
        content["step"].attrs["MATLAB_class"] = np.bytes_("double")

    assert read_tensor(mat73(fill=fill, x=np.ones((2, 3)))).variable == "x"


def classed(content, name, kind, data):
    dataset = content.create_dataset(name, data=data)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    return dataset


def test_structs_cells_and_sptensors_are_read(mat73, tensor):
    observed = np.argwhere(~np.isnan(tensor))

    def fill(content):
        for name, kind in {"EEG": "struct", "X": "sptensor"}.items():
            content.create_group(name).attrs["MATLAB_class"] = np.bytes_(kind)
        classed(content, "EEG/data", "double", tensor.T)
        classed(content, "X/subs", "double", observed.T + 1.0)
        classed(content, "X/vals", "double", tensor[tuple(observed.T)][None])
        classed(content, "X/size", "double", np.array([[3.0], [4], [2]]))
        slices = [
            classed(content, f"#refs#/{place}", "double", matrix.T).ref
            for place, matrix in enumerate(np.moveaxis(tensor, -1, 0))
        ]
        cells = content.create_dataset("c", (2, 1), h5py.ref_dtype)
        cells[:, 0] = slices
        cells.attrs["MATLAB_class"] = np.bytes_("cell")

    path = mat73(fill=fill)
    for variable in ("EEG.data", "X", "c"):
        dense = read_tensor(path, variable=variable).observations.dense()
        np.testing.assert_array_equal(dense, tensor)


def test_a_group_within_itself_is_read_to_some_depth(mat73):
    def fill(content):
        loop = content.create_group("s")
        loop.attrs["MATLAB_class"] = np.bytes_("struct")
        loop["s"] = loop

    assert read_tensor(mat73(fill=fill, x=np.ones((2, 3)))).variable == "x"


def special(kind, tmp_path):
    """What adds a variable that is no array of real numbers, or lies elsewhere."""

    def fill(content):
        match kind:
            case "struct" | "sparse":
                group = content.create_group("x")
                group.attrs["MATLAB_class"] = np.bytes_(
                    "struct" if kind == "struct" else "double"
                )
                if kind == "sparse":
                    group.attrs["MATLAB_sparse"] = np.uint64(2)
                return
            case "link":
                content["x"] = h5py.ExternalLink(tmp_path / "other.mat", "/x")
                return
            case "complex":
                pair = np.dtype([("real", "f8"), ("imag", "f8")])
                content["x"] = np.zeros((2, 2), pair)
            case "cell":
                text = content.create_dataset("#refs#/a", data=np.zeros(2, "u2"))
                text.attrs["MATLAB_class"] = np.bytes_("char")
                content.create_dataset("x", data=[text.ref], dtype=h5py.ref_dtype)
                content["x"].attrs["MATLAB_class"] = np.bytes_("cell")
                return
            case "empty":
                content["x"] = np.array([0, 3], np.uint64)
                content["x"].attrs["MATLAB_empty"] = np.uint8(1)
            case "text":
                content["x"] = np.zeros((2, 2), "S4")
            case "external":
                at = [(tmp_path / "secret", 0, 32)]
                content.create_dataset("x", (2, 2), "f8", external=at)
            case "virtual":
                layout = h5py.VirtualLayout((2, 2), "f8")
                other = h5py.VirtualSource(tmp_path / "other.mat", "x", (2, 2))
                layout[:] = other
                content.create_virtual_dataset("x", layout)
            case "scaleoffset":
                content.create_dataset("x", data=np.ones((2, 2)), scaleoffset=3)
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")

    return fill


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("struct", r"'x' \(1, 1\) struct is not an array of real"),
        ("sparse", r"sparse is not an array .*full\(x\)"),
        ("complex", "complex double is not an array"),
        ("cell", r"holds 'x' \(1,\) cell, .* none of them an array"),
        ("empty", "empty double is not an array"),
        ("link", "link is not an array"),
        ("text", "stored as .*, not as numbers"),
        ("external", "lie in other files, which are not read"),
        ("virtual", "lie in other files, which are not read"),
        ("scaleoffset", r"packed in a way that is not read"),
    ],
)
def test_what_is_no_array_or_lies_elsewhere_is_refused(kind, message, mat73, tmp_path):
    (tmp_path / "secret").write_bytes(np.ones(4).tobytes())
    path = mat73(fill=special(kind, tmp_path))
    with pytest.raises(InputError, match=rf"^x\.mat: .*{message}"):
        read_tensor(path)


def test_hdf5_without_classes_is_refused_with_the_reason(tmp_path):
    with h5py.File(tmp_path / "x.mat", "w") as content:
        content["x"] = np.ones((2, 2))
    with pytest.raises(InputError, match="for it has no MATLAB_class"):
        read_tensor(tmp_path / "x.mat")


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_declared_shape_takes_no_memory(chunked, mat73):
    def fill(content):
        chunks = (1000, 1000) if chunked else None
        content.create_dataset("x", (10**6, 10**6), "f8", chunks=chunks)
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")

    with pytest.raises(InputError, match="GiB of memory"):
        read_tensor(mat73(fill=fill))


def test_a_huge_chunk_takes_no_memory(mat73, monkeypatch):
    array = np.ones((4, 4))
    path = mat73(fill=packed("x", array, chunks=(4, 400), maxshape=(None, None)))
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 4 * 400 * 8 - 1)
    with pytest.raises(InputError, match="A chunk of 'x' needs more than"):
        read_tensor(path)


def test_declared_data_that_are_not_there_are_refused(mat73):
    def fill(content):
        content.create_dataset("x", (1000, 1000), "f8")
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")

    with pytest.raises(InputError, match="declares 8000000 bytes, but 0 are there"):
        read_tensor(mat73(fill=fill))


@pytest.mark.parametrize("content", [bytes(10**6), bytes(16)], ids=["more", "less"])
def test_a_chunk_that_unpacks_to_another_length_is_refused(content, mat73):
    # HDF5 would unpack all of it, however much, before it looks at the length.
    def fill(file):
        file.create_dataset("x", (2, 4), "f8", chunks=(2, 4), compression="gzip")
        file["x"].id.write_direct_chunk((0, 0), zlib.compress(content))
        file["x"].attrs["MATLAB_class"] = np.bytes_("double")

    with pytest.raises(InputError, match="does not unpack to the 64 bytes"):
        read_tensor(mat73(fill=fill))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(kept, mat73):
    path = mat73(x=np.random.default_rng(0).normal(size=(20, 30)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=r"^x\.mat: It cannot be read"):
        read_tensor(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 3), np.nan), "None of the 6 entries is observed"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), r"at \(0, 1\) is inf"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(array, message, mat73):
    with pytest.raises(InputError, match=message):
        read_tensor(mat73(x=array))
