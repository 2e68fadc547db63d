"""Shows the docstrings' examples as code: what plgg heads `Example:`, Google heads `Examples:`."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Calls the section of examples as the site's reader of docstrings does."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 - griffe's own
        """As griffe has it."""
        if obj.docstring is not None:
            told = obj.docstring.value
            obj.docstring.value = told.replace("\nExample:\n", "\nExamples:\n")
