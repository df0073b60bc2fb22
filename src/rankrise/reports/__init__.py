"""Figures: the only place that plots."""

from rankrise.reports._agreement_figure import agreement_figure as agreement_figure
from rankrise.reports._claims_figure import claim_figure as claim_figure
from rankrise.reports._completion_figure import completion_figure as completion_figure
from rankrise.reports._complexity_figure import complexity_figure as complexity_figure
from rankrise.reports._dynamics_figure import dynamics_figure as dynamics_figure
from rankrise.reports._style import save_figure as save_figure
