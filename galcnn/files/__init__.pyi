from .companions import Companions as Companions
from .conversion import as_cutout as as_cutout
from .layout import cutout_from_hdus as cutout_from_hdus
from .layout import cutout_hdus as cutout_hdus
from .layout import save_cutout as save_cutout
from .loading import Treatment as Treatment
from .loading import load_bands as load_bands
from .loading import load_cutout as load_cutout
from .nddata import from_nddata as from_nddata
from .nddata import to_ccddata as to_ccddata

__all__ = [
    "Companions",
    "Treatment",
    "as_cutout",
    "cutout_from_hdus",
    "cutout_hdus",
    "from_nddata",
    "load_bands",
    "load_cutout",
    "save_cutout",
    "to_ccddata",
]
