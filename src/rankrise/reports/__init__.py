"""Figures: the only place that plots."""

from rankrise.reports._agreement_figure import agreement_figure as agreement_figure
from rankrise.reports._claims_figure import claim_figure as claim_figure
from rankrise.reports._comparison_table import (
    comparison_markdown as comparison_markdown,
)
from rankrise.reports._comparison_table import format_answer as format_answer
from rankrise.reports._comparison_table import format_number as format_number
from rankrise.reports._comparison_table import save_comparison as save_comparison
from rankrise.reports._completion_figure import completion_figure as completion_figure
from rankrise.reports._complexity_figure import complexity_figure as complexity_figure
from rankrise.reports._dynamics_figure import dynamics_figure as dynamics_figure
from rankrise.reports._reproduction_figure import (
    complexity_reproduction_figure as complexity_reproduction_figure,
)
from rankrise.reports._reproduction_figure import (
    dynamics_reproduction_figure as dynamics_reproduction_figure,
)
from rankrise.reports._style import save_figure as save_figure
