"""Sky position -> Cutout: one survey a file, each a plugin of the group `galcnn.surveys`.

`fetch` asks a survey for all galaxies of a catalog. The author of a survey needs `wanted`, `address`,
`get`, `fits_bytes`, `received` and `Limits`. Lazy, since `galcnn plugins` imports no survey.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
