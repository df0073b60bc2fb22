"""Samples of categorical features: tables, image sets, levels, what is predicted."""

from rankrise.tables._categories import CategoricalData as CategoricalData
from rankrise.tables._columns import is_data_frame as is_data_frame
from rankrise.tables._columns import rectangular as rectangular
from rankrise.tables._image_sets import ImageSet as ImageSet
from rankrise.tables._image_sets import load_image_set as load_image_set
from rankrise.tables._labelled_sets import load_labelled_folds as load_labelled_folds
from rankrise.tables._labelled_sets import load_labelled_set as load_labelled_set
from rankrise.tables._levels import Levels as Levels
from rankrise.tables._split import LabelledSet as LabelledSet
from rankrise.tables._split import TargetKind as TargetKind
from rankrise.tables._table_files import TableColumns as TableColumns
from rankrise.tables._tables import labelled_folds as labelled_folds
from rankrise.tables._tables import labelled_table as labelled_table

__all__ = [
    "CategoricalData",
    "ImageSet",
    "LabelledSet",
    "TableColumns",
    "labelled_table",
    "load_image_set",
    "load_labelled_set",
]


def __dir__() -> list[str]:
    return __all__
