"""Surveys: sky position -> Cutout. Each survey is a module and a plugin of the group `galcnn.surveys`.

`fetch` downloads the cutouts of a whole catalog. Authors of surveys use `wanted`, `address`, `get`,
`fits_bytes`, `received` and `Limits`. Lazy imports, so that `galcnn plugins` imports no survey.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
