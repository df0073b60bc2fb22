from ._agreement_figure import agreement_figure as agreement_figure
from ._claims_figure import claim_figure as claim_figure
from ._comparison_table import (
    comparison_markdown as comparison_markdown,
)
from ._comparison_table import format_answer as format_answer
from ._comparison_table import format_number as format_number
from ._comparison_table import save_comparison as save_comparison
from ._completion_figure import completion_figure as completion_figure
from ._complexity_figure import complexity_figure as complexity_figure
from ._dynamics_figure import dynamics_figure as dynamics_figure
from ._page import write_report as write_report
from ._rank_figure import rank_figure as rank_figure
from ._reproduction_figure import (
    complexity_reproduction_figure as complexity_reproduction_figure,
)
from ._reproduction_figure import (
    dynamics_reproduction_figure as dynamics_reproduction_figure,
)
from ._style import save_figure as save_figure
