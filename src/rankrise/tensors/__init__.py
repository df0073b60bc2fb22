"""Tensors with gaps, read from memory and files, and given back in the same form."""

from rankrise.tensors._domain import (
    warn_of_unobserved_fibers as warn_of_unobserved_fibers,
)
from rankrise.tensors._incomplete import IncompleteTensor as IncompleteTensor
from rankrise.tensors._incomplete import incomplete_tensor as incomplete_tensor
from rankrise.tensors._input_checks import LEAST_OBSERVED as LEAST_OBSERVED
from rankrise.tensors._input_checks import allowing as allowing
from rankrise.tensors._input_checks import checked_weights as checked_weights
from rankrise.tensors._input_checks import mean_of_repeats as mean_of_repeats
from rankrise.tensors._input_checks import ravel_indices as ravel_indices
from rankrise.tensors._input_checks import refuse_out_of_range as refuse_out_of_range
from rankrise.tensors._input_checks import sorted_repeats as sorted_repeats
from rankrise.tensors._input_checks import whole_numbers as whole_numbers
from rankrise.tensors._label_order import label_order as label_order
from rankrise.tensors._layout import ModeAxis as ModeAxis
from rankrise.tensors._layout import place_of as place_of
from rankrise.tensors._missing import suspected_sentinel as suspected_sentinel
from rankrise.tensors._observations import Observations as Observations
from rankrise.tensors._reading import Reading as Reading
from rankrise.tensors._reading import ReadingOptions as ReadingOptions
from rankrise.tensors._standardization import Standardization as Standardization
from rankrise.tensors.files import TensorFile as TensorFile
from rankrise.tensors.files import label_codes as label_codes
from rankrise.tensors.files import label_places as label_places
from rankrise.tensors.files import read_tensor as read_tensor
from rankrise.tensors.files import write_completed as write_completed
