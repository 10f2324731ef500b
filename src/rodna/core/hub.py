"""What the Hugging Face Hub calls things, and how its cards are written."""

import io
import re
from collections.abc import Mapping
from typing import Any

HUB_LICENCES = frozenset(
    """
    agpl-3.0 apache-2.0 bsd bsd-2-clause bsd-3-clause cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 etalab-2.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 mit odbl odc-by
    pddl unlicense wtfpl
    """.split()  # noqa: SIM905 - a list of quoted words is no easier to read
)
"""What the Hugging Face Hub calls licences; others are `other`, with a name. Reference: huggingface.co/docs/hub/repositories-licenses."""
SIZES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12)
SIZE_NAMES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~$])")


def hub_name(licence: str) -> str:
    """Return what the Hugging Face Hub calls a licence: 'CC BY-SA 4.0' -> 'cc-by-sa-4.0'; `other` for those it has no name for."""
    name = "-".join(licence.lower().split())
    return name if name in HUB_LICENCES else "other"


def size_category(documents: int) -> str:
    """Return the Hub's name for a number of documents: 6,746 -> '1K<n<10K'."""
    for number, limit in enumerate(SIZES):
        if documents < limit:
            return f"n<{SIZE_NAMES[0]}" if number == 0 else f"{SIZE_NAMES[number - 1]}<n<{SIZE_NAMES[number]}"
    return f"n>{SIZE_NAMES[-1]}"


def front_matter_of(values: Mapping[str, Any]) -> str:
    """Return the YAML at the head of a card. Reference: huggingface.co/docs/hub/datasets-cards."""
    from ruamel.yaml import YAML

    stream = io.StringIO()
    yaml: Any = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.allow_unicode = True
    yaml.dump(dict(values), stream)
    return stream.getvalue().strip()


def md(value: object) -> str:
    """Return a value as one line of Markdown that means nothing but itself, in tables too."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))
