"""The rows of "MATLAB" in docs/files.md."""

import h5py
import numpy as np
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatlabObject
from scipy.sparse import coo_array

from rankrise.tensors import incomplete_tensor, read_tensor, write_completed

NAN = np.nan
GAPPY = np.array([[[1, NAN], [3, 4], [5, 6]], [[NAN, 8], [9, 10], [11, 12.5]]])
WHOLE = np.where(np.isnan(GAPPY), 7, GAPPY)


def check(folder, content, expected=GAPPY, whole=WHOLE, **options):
    """What comes back of variables among which the tensor is `expected`."""
    for packed in (True, False):
        savemat(folder / "x.mat", content, do_compression=packed)
        found = loadmat(completed(folder / "x.mat", expected, whole, **options))
    return {name: array for name, array in found.items() if name[:2] != "__"}


def completed(path, expected, whole, **options):
    file = read_tensor(path, **options)
    np.testing.assert_array_equal(file.observations.dense(), expected)
    (path.parent / "out").mkdir(exist_ok=True)
    return write_completed(file, whole, path.parent / "out")


def matlab_object(kind, **fields):
    content = np.zeros((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        content[name][0, 0] = value
    return MatlabObject(content, kind)


def version_5(folder):
    content = {"x": GAPPY.astype(np.float32), "y": np.eye(2), "note": "a text"}
    found = check(folder, content, variable="x")
    assert (list(found), found["x"].dtype) == (["x"], np.float32)
    np.testing.assert_array_equal(found["x"], WHOLE)


def version_73(folder):
    path = folder / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as content:
        content["x"] = GAPPY.T
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])
    written = completed(path, GAPPY, WHOLE)
    assert written.read_bytes().startswith(b"MATLAB 7.3")
    with h5py.File(written) as found:
        np.testing.assert_array_equal(found["x"][()].T, WHOLE)


def version_4(folder):
    savemat(folder / "x.mat", {"x": GAPPY[0], "note": "a text"}, format="4")
    written = completed(folder / "x.mat", GAPPY[0], WHOLE[0])
    # Its first number says that there is a full matrix of doubles.
    assert written.read_bytes()[:4] == bytes(4)
    np.testing.assert_array_equal(loadmat(written)["x"], WHOLE[0])


def struct(folder):
    eeg = {"data": GAPPY, "times": np.arange(5.0), "events": {"c": [1.0, 2.0]}}
    found = check(folder, {"EEG": eeg}, variable="EEG.data")
    np.testing.assert_array_equal(found["EEG_data"], WHOLE)
    assert list(check(folder, {"EEG": {"data": GAPPY}})) == ["EEG_data"]


def cells(folder):
    content = np.empty((1, 2), object)
    content[0] = [GAPPY[..., 0], GAPPY[..., 1]]
    found = check(folder, {"c": content})
    np.testing.assert_array_equal(found["c"], WHOLE)


def tensor(folder):
    # MATLAB's arrays have no last modes of dimension one; the tensor has them.
    size = np.array([[2.0, 3, 2, 1]])
    content = {"X": matlab_object("tensor", data=GAPPY, size=size)}
    whole = WHOLE[..., None]
    found = check(folder, content, GAPPY[..., None], whole)
    np.testing.assert_array_equal(found["X"].reshape(whole.shape), whole)


def sptensor(folder):
    indices = np.argwhere(~np.isnan(GAPPY))
    parts = {"subs": indices + 1.0, "vals": GAPPY[tuple(indices.T)][:, None]}
    size = np.array([[2.0, 3, 2]])
    found = check(folder, {"X": matlab_object("sptensor", **parts, size=size)})
    np.testing.assert_array_equal(found["X"], WHOLE)


def sparse(folder):
    stored = coo_array(([0.5, 2, 0], ([0, 2, 1], [1, 0, 1])), (3, 2))
    expected = np.array([[NAN, 0.5], [NAN, 0], [2, NAN]])
    whole = np.nan_to_num(expected, nan=7)
    content = {"a": stored.tocsc()}
    np.testing.assert_array_equal(check(folder, content, expected, whole)["a"], whole)
    path = folder / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as content:
        group = content.create_group("a")
        group.attrs["MATLAB_class"] = np.bytes_("double")
        group.attrs["MATLAB_sparse"] = np.uint64(3)
        columns = stored.tocsc()
        group["data"] = columns.data
        group["ir"], group["jc"] = columns.indices, columns.indptr
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])
    with h5py.File(completed(path, expected, whole)) as found:
        np.testing.assert_array_equal(found["a"][()].T, whole)


def dataset(folder):
    def column(*items):
        content = np.empty((3, 2), object)
        content.fill(np.zeros((0, 0)))
        content[:, 0] = items
        return content

    empty = np.zeros((0, 0))
    fields = {
        "data": GAPPY,
        "label": column(np.array(["corn", "größe"]), empty, empty),
        "axisscale": column(np.array([1.0, 2]), np.array([1100.0, 1102, 1104]), empty),
        "title": column("Samples", "Wavelength (nm)", ""),
        "include": column(np.array([1.0, 2]), np.array([1.0, 3]), np.array([1, 2])),
    }
    content = {"m5": matlab_object("dataset", name="m5", **fields)}
    found = check(folder, content, GAPPY[:, [0, 2]], WHOLE[:, [0, 2]])
    np.testing.assert_array_equal(found["m5"], WHOLE[:, [0, 2]])
    read = incomplete_tensor(read_tensor(folder / "x.mat"))
    assert read.mode_names == ("Samples", "Wavelength (nm)", None)
    assert read.labels[0].tolist() == ["corn", "größe"]
    assert read.labels[1].tolist() == [1100, 1104]
    assert read.labels[2] is None


FORMS = {
    "`.mat` of version 5": version_5,
    "`.mat` of version 7.3": version_73,
    "`.mat` of version 4": version_4,
    "array in a struct": struct,
    "cell array of equal matrices": cells,
    "`tensor` of the tensor toolbox": tensor,
    "`sptensor` of the tensor toolbox": sptensor,
    "sparse matrix": sparse,
    "dataset object of PLS_Toolbox": dataset,
}
