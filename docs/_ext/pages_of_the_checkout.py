"""Links that lead out of this folder, in a checkout, lead to their page on the site."""

import posixpath
import re

#: File of the checkout, relative to this folder -> page that shows it.
PAGES = {
    "../README.md": "index.md",
    "../examples/README.md": "about/examples.md",
    "../CHANGELOG.md": "about/changelog.md",
    "../CONTRIBUTING.md": "about/contributing.md",
    "../catalogs/README.md": "about/catalogs.md",
}
_LINK = re.compile(r"\]\((\.\./[\w./-]+\.md)")
_ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>$', re.MULTILINE)


def rewrite(_, page, source):
    """Replace the links, and name HTML anchors so that links to them are checked."""
    folder = posixpath.dirname(page)

    def target(found):
        path = posixpath.normpath(posixpath.join(folder, found[1]))
        return f"]({posixpath.relpath(PAGES[path], folder or '.')}" if path in PAGES else found[0]

    source[0] = _ANCHOR.sub(r"(\1)=", _LINK.sub(target, source[0]))


def setup(app):
    app.connect("source-read", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
