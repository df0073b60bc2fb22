from ._comparison_table import (
    comparison_markdown as comparison_markdown,
)
from ._comparison_table import format_answer as format_answer
from ._comparison_table import format_number as format_number
from ._comparison_table import save_comparison as save_comparison
from ._files import FORMS as FORMS
from ._files import save_figure as save_figure
from ._page import write_report as write_report
