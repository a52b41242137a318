from .imviz import load_into_imviz as load_into_imviz
from .plots.adversarial import adversarial_figure as adversarial_figure
from .plots.explanations import explanation_figure as explanation_figure
from .plots.explanations import sky_figure as sky_figure
from .plots.landscape import landscape_figure as landscape_figure
from .plots.scores import roc_figure as roc_figure
from .plots.sheets import Entry as Entry
from .plots.sheets import sheet_figure as sheet_figure
from .plots.style import save_figure as save_figure
from .plots.training import health_figure as health_figure
from .plots.training import learning_figure as learning_figure
from .side_files import export as export

__all__ = [
    "Entry",
    "explanation_figure",
    "export",
    "adversarial_figure",
    "health_figure",
    "landscape_figure",
    "learning_figure",
    "load_into_imviz",
    "roc_figure",
    "save_figure",
    "sheet_figure",
    "sky_figure",
]
