"""Tensors in files: read observed entries, write all entries in the same form."""

from rankrise.data.files._tensor_file import TensorFile as TensorFile
from rankrise.data.files._tensor_file import read_tensor as read_tensor
from rankrise.data.files._tensor_file import write_completed as write_completed
