"""Makes links of names in backticks: to the entry in the reference, or, of other packages, to their own site.

A name is a link where a page, or an entry of the reference, first mentions it. Chapters and docstrings stay plain text,
and a name that is renamed loses its link instead of leading astray.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.ext.intersphinx import InventoryAdapter
from sphinx.transforms.post_transforms import SphinxPostTransform

PACKAGE = "vitgeom_nb"
SHORT = {
    "vg": PACKAGE,
    "foundations": f"{PACKAGE}.foundations",
    "model": f"{PACKAGE}.VisionModel",
    "run": f"{PACKAGE}.Run",
}
NAME = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(?:\(.*\))?", re.DOTALL)
# alone these are also variables, columns, arguments or kinds, and those are meant as often as the functions
WORDS = {
    "class_names", "curvature", "jacobian", "lldlc", "match", "measure", "models", "psnr", "reliability", "speed",
    "temperature", "tier",
}  # fmt: skip
NOWHERE = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.desc_signature)


def meant(said: str, known: set[str]) -> str | None:
    """The full name of the object that a piece of code names, or calls; None for anything else."""
    found = NAME.fullmatch(said)
    if found is None:
        return None
    first, dot, rest = found[1].partition(".")
    if not dot:
        own = f"{PACKAGE}.{first}"
        return own if own in known and first not in WORDS else None
    name = f"{SHORT.get(first, first)}.{rest}"
    return name if name in known else None


def above(node: nodes.Node, *kinds: type) -> nodes.Node | None:
    """The nearest node of one of these kinds that holds this one."""
    held = node.parent
    while held is not None and not isinstance(held, kinds):
        held = held.parent
    return held


class NamesToLinks(SphinxPostTransform):
    """Wraps names in references, which are then resolved like any other."""

    default_priority = 5  # after the outputs of cells are chosen (4), before references are resolved (9 and 10)

    def run(self, **options: Any) -> None:
        """Go over one page."""
        others = InventoryAdapter(self.env).main_inventory
        known = set(self.env.get_domain("py").objects)  # type: ignore[attr-defined]
        known |= {name for kind, named in others.items() if kind.startswith("py:") for name in named}
        seen: set[tuple[nodes.Node | None, str]] = set()
        for said in list(self.document.findall(nodes.literal)):
            name = meant(said.astext(), known)
            entry = above(said, addnodes.desc)
            if name is None or (entry, name) in seen or above(said, *NOWHERE) is not None:
                continue
            if entry is not None and name in entry[0]["ids"]:  # it speaks of itself
                continue
            seen.add((entry, name))
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=name, refexplicit=True, refdoc=self.env.docname
            )
            said.replace_self(link)
            link += said


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_post_transform(NamesToLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
