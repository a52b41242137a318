"""Layers and tables -> eyes: figures for screen and print."""

from galcnn.viewers.figures import confusion_figure, explanation_figure, save_figure

__all__ = ["confusion_figure", "explanation_figure", "save_figure"]
