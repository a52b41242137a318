"""Explanations: what in the image moved a logit, and what the network itself looks like.

Maps of images, one method a file; then seeing the network: its filters, what its layers make of
an image, the images that it likes best, its boundaries, its backward pass. Lazy, since Keras is
slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.explain.attribution import explain
    from galcnn.explain.boundaries import decision_plane, line_between
    from galcnn.explain.cam import CAM
    from galcnn.explain.dream import Dream
    from galcnn.explain.explanation import Context, Explainer, Explanation
    from galcnn.explain.gradcam import GradCAM
    from galcnn.explain.graph import network_layers
    from galcnn.explain.input_x_gradient import InputXGradient
    from galcnn.explain.integrated_gradients import IntegratedGradients
    from galcnn.explain.kernels import filter_result, filters, weight_table
    from galcnn.explain.naming import explainers_by_name
    from galcnn.explain.network_maps import activations, backward_pass, layer_gradients, weight_gradients
    from galcnn.explain.occlusion import Occlusion
    from galcnn.explain.rectifiers import Deconvnet, GuidedBackprop
    from galcnn.explain.saliency import Saliency
    from galcnn.explain.smoothgrad import SmoothGrad
    from galcnn.explain.strongest import StrongestActivations, strongest_activations
    from galcnn.explain.synthesis import Synthesis
    from galcnn.explain.target import Target
    from galcnn.explain.taylor import first_order
    from galcnn.explain.visualisation import ClassModels, FilterImages

__all__ = [
    "CAM",
    "ClassModels",
    "Context",
    "Deconvnet",
    "Dream",
    "Explainer",
    "Explanation",
    "FilterImages",
    "GradCAM",
    "GuidedBackprop",
    "InputXGradient",
    "IntegratedGradients",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "StrongestActivations",
    "Synthesis",
    "Target",
    "activations",
    "backward_pass",
    "decision_plane",
    "explain",
    "explainers_by_name",
    "filter_result",
    "filters",
    "first_order",
    "layer_gradients",
    "line_between",
    "network_layers",
    "strongest_activations",
    "weight_gradients",
    "weight_table",
]

_HOME = {
    "CAM": "cam",
    "ClassModels": "visualisation",
    "Context": "explanation",
    "Deconvnet": "rectifiers",
    "Dream": "dream",
    "Explainer": "explanation",
    "Explanation": "explanation",
    "FilterImages": "visualisation",
    "GradCAM": "gradcam",
    "GuidedBackprop": "rectifiers",
    "InputXGradient": "input_x_gradient",
    "IntegratedGradients": "integrated_gradients",
    "Occlusion": "occlusion",
    "Saliency": "saliency",
    "SmoothGrad": "smoothgrad",
    "StrongestActivations": "strongest",
    "Synthesis": "synthesis",
    "Target": "target",
    "activations": "network_maps",
    "backward_pass": "network_maps",
    "decision_plane": "boundaries",
    "explain": "attribution",
    "explainers_by_name": "naming",
    "filter_result": "kernels",
    "filters": "kernels",
    "first_order": "taylor",
    "layer_gradients": "network_maps",
    "line_between": "boundaries",
    "network_layers": "graph",
    "strongest_activations": "strongest",
    "weight_gradients": "network_maps",
    "weight_table": "kernels",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.explain.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
