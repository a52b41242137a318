from .attribution import explain as explain
from .attribution import explain_cutouts as explain_cutouts
from .explanation import AtCells as AtCells
from .explanation import AtNetworkLayer as AtNetworkLayer
from .explanation import Context as Context
from .explanation import Explainer as Explainer
from .explanation import Explanation as Explanation
from .explanation import FromBaseline as FromBaseline
from .explanation import Target as Target
from .methods.cam import CAM as CAM
from .methods.gradcam import GradCAM as GradCAM
from .methods.gradcam import HiResCAM as HiResCAM
from .methods.gradcam import LayerCAM as LayerCAM
from .methods.input_x_gradient import InputXGradient as InputXGradient
from .methods.integrated_gradients import IntegratedGradients as IntegratedGradients
from .methods.lrp import LRP as LRP
from .methods.occlusion import Occlusion as Occlusion
from .methods.rectifiers import Deconvnet as Deconvnet
from .methods.rectifiers import GuidedBackprop as GuidedBackprop
from .methods.rise import RISE as RISE
from .methods.saliency import Saliency as Saliency
from .methods.scorecam import ScoreCAM as ScoreCAM
from .methods.smoothgrad import SmoothGrad as SmoothGrad
from .network.activations import activations as activations
from .network.activations import backward_pass as backward_pass
from .network.activations import layer_gradients as layer_gradients
from .network.activations import weight_gradients as weight_gradients
from .network.boundaries import decision_plane as decision_plane
from .network.boundaries import line_between as line_between
from .network.concepts import ConceptSensitivity as ConceptSensitivity
from .network.concepts import concept_sensitivity as concept_sensitivity
from .network.dream import Dream as Dream
from .network.filters import filter_result as filter_result
from .network.filters import filters as filters
from .network.filters import weight_table as weight_table
from .network.first_order import first_order as first_order
from .network.strongest import strongest_activations as strongest_activations
from .network.visualisation import AscentSettings as AscentSettings
from .network.visualisation import ClassModels as ClassModels
from .network.visualisation import FilterImages as FilterImages
from .registry import explainers_by_name as explainers_by_name
from .synthesis import Synthesis as Synthesis

__all__ = [
    "AtCells",
    "AtNetworkLayer",
    "FromBaseline",
    "AscentSettings",
    "CAM",
    "ClassModels",
    "ConceptSensitivity",
    "Context",
    "Deconvnet",
    "Dream",
    "Explainer",
    "Explanation",
    "FilterImages",
    "GradCAM",
    "GuidedBackprop",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LRP",
    "LayerCAM",
    "Occlusion",
    "RISE",
    "Saliency",
    "ScoreCAM",
    "SmoothGrad",
    "Synthesis",
    "Target",
    "activations",
    "backward_pass",
    "concept_sensitivity",
    "decision_plane",
    "explain",
    "explain_cutouts",
    "explainers_by_name",
    "filter_result",
    "filters",
    "first_order",
    "layer_gradients",
    "line_between",
    "strongest_activations",
    "weight_gradients",
    "weight_table",
]
