"""Observed entries, files, and synthetic targets. Nothing here needs JAX."""

from rankrise.data._categories import CategoricalData as CategoricalData
from rankrise.data._image_sets import ImageSet as ImageSet
from rankrise.data._image_sets import load_image_set as load_image_set
from rankrise.data._input_checks import checked_weights as checked_weights
from rankrise.data._labelled_sets import load_labelled_set as load_labelled_set
from rankrise.data._levels import Levels as Levels
from rankrise.data._measurements import gaussian_measurements as gaussian_measurements
from rankrise.data._measurements import measure as measure
from rankrise.data._measurements import rank_k_measurements as rank_k_measurements
from rankrise.data._observations import Observations as Observations
from rankrise.data._sampling import missing_fibers as missing_fibers
from rankrise.data._sampling import observe as observe
from rankrise.data._sampling import sample_indices as sample_indices
from rankrise.data._split import LabelledSet as LabelledSet
from rankrise.data._split import TargetKind as TargetKind
from rankrise.data._standardization import Standardization as Standardization
from rankrise.data._table_files import TableColumns as TableColumns
from rankrise.data._tables import labelled_table as labelled_table
from rankrise.data._targets import cp_component_norms as cp_component_norms
from rankrise.data._targets import cp_entries as cp_entries
from rankrise.data._targets import cp_frobenius_norm as cp_frobenius_norm
from rankrise.data._targets import random_target as random_target
from rankrise.data.files import TensorFile as TensorFile
from rankrise.data.files import read_tensor as read_tensor
from rankrise.data.files import write_completed as write_completed
