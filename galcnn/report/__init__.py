"""Answers and maps -> an HTML report: a folder whose ``index.html`` opens from the disk.

No server and no outside address; what the page shows it reads from scripts beside it, since a
browser lets a page from the disk read no other files:

- ``data/report.js``: the table column by column, sections, model card;
- ``data/thumbnails/0000.png`` ...: sheets of small pictures, fetched when a row is seen;
- ``data/objects/000000.js`` ...: picture, maps and sky of one galaxy, fetched when it is opened;
- ``index.html`` and ``page/``: the same files for every report; they are in the folder ``page`` here.

Names of galaxies and classes may hold anything: they are only ever set as text, and the page's
Content-Security-Policy lets no script run that is not a file of the report.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
