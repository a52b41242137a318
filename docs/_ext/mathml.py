"""Equations as MathML, which browsers draw without a script from elsewhere: the site works offline."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml


def inline(translator, node):
    """Write an equation within a line; its children are its text, which is written already."""
    translator.body.append(tex2mathml(node.astext(), as_block=False).strip())
    raise SkipNode


def block(translator, node):
    """Write an equation of its own line."""
    shown = tex2mathml(node.astext(), as_block=False).replace("<math ", '<math display="block" ', 1)
    translator.body.append(f'<div class="math">{shown}</div>')
    raise SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
