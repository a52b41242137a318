"""HTML reports of predictions and maps: a folder whose ``index.html`` opens from the disk.

The page needs no server or network. Its data are in scripts, since browsers do not let a page from
the disk read other files:

- ``data/report.js``: the columns of the table, sections, model card;
- ``data/thumbnails/0000.png`` ...: sheets of thumbnails, loaded when a row becomes visible;
- ``data/objects/000000.js`` ...: picture, maps and sky of one galaxy, loaded when it is opened;
- ``index.html`` and ``page/``: the same files in every report, copied from the folder ``page`` here.

Names of galaxies and classes may contain any characters: they are inserted as text only, and the
Content-Security-Policy of the page allows only the scripts of the report.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
