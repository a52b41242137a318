"""Layers and tables -> eyes: figures for screen and print."""

from galcnn.viewers.plots.explanations import explanation_figure
from galcnn.viewers.plots.scores import confusion_figure
from galcnn.viewers.plots.style import save_figure

__all__ = ["confusion_figure", "explanation_figure", "save_figure"]
