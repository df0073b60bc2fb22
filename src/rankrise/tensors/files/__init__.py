"""Tensors in files: read observed entries, write all entries in the same form."""

from rankrise.tensors.files._any_file import TEXTS as TEXTS
from rankrise.tensors.files._any_file import check_usable as check_usable
from rankrise.tensors.files._any_file import content_sha256 as content_sha256
from rankrise.tensors.files._any_file import form_of as form_of
from rankrise.tensors.files._any_file import named_refusals as named_refusals
from rankrise.tensors.files._declared import check_memory as check_memory
from rankrise.tensors.files._declared import shown as shown
from rankrise.tensors.files._hdf5_checks import check_hdf5 as check_hdf5
from rankrise.tensors.files._npz import open_arrays as open_arrays
from rankrise.tensors.files._result_files import StoredArrays as StoredArrays
from rankrise.tensors.files._result_files import loaded_labels as loaded_labels
from rankrise.tensors.files._result_files import loaded_result as loaded_result
from rankrise.tensors.files._result_files import save_result as save_result
from rankrise.tensors.files._result_files import saved_kind as saved_kind
from rankrise.tensors.files._result_files import stored_labels as stored_labels
from rankrise.tensors.files._table_columns import label_codes as label_codes
from rankrise.tensors.files._table_columns import label_places as label_places
from rankrise.tensors.files._table_files import TYPED as TYPED
from rankrise.tensors.files._table_files import (
    read_typed_samples as read_typed_samples,
)
from rankrise.tensors.files._tensor_file import TensorFile as TensorFile
from rankrise.tensors.files._tensor_file import read_tensor as read_tensor
from rankrise.tensors.files._tensor_file import write_completed as write_completed
from rankrise.tensors.files._text_table import read_samples as read_samples
