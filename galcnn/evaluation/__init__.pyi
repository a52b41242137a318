from .intervals import Criterion as Criterion
from .intervals import Score as Score
from .intervals import bootstrap as bootstrap
from .intervals import estimate as estimate
from .intervals import exact_share as exact_share
from .intervals import judge as judge
from .metrics import confusion_matrix as confusion_matrix
from .metrics import evaluate as evaluate
from .ranking import most_confident as most_confident
from .ranking import most_uncertain as most_uncertain
from .ranking import rankings as rankings
from .ranking import worst_mistakes as worst_mistakes
from .segmentation import Regions as Regions
from .segmentation import energy_shares as energy_shares
from .segmentation import segmented as segmented
from .segmentation import structure as structure

__all__ = [
    "Criterion",
    "Regions",
    "Score",
    "bootstrap",
    "confusion_matrix",
    "energy_shares",
    "estimate",
    "evaluate",
    "exact_share",
    "judge",
    "most_confident",
    "most_uncertain",
    "rankings",
    "segmented",
    "structure",
    "worst_mistakes",
]
