"""What lm-evaluation-harness needs around it: to be installed, to stay off the network, and not to fill the terminal."""

import importlib.util
import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rodna.core.errors import EvaluationError

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
"""Variables that Hugging Face's libraries read when they are imported."""
SWITCHES = (
    ("huggingface_hub.constants", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_HUB_OFFLINE"),
    ("datasets.config", "HF_DATASETS_OFFLINE"),
)
"""What those that are imported already look at instead: module and name."""


def require_harness() -> None:
    """Check that lm-evaluation-harness is installed.

    Raises:
        EvaluationError: it is not.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise EvaluationError("lm-evaluation-harness is not installed", where="--harness", fix="pip install 'rodna[harness]'")


@contextmanager
def offline() -> Generator[None]:
    """Keep Hugging Face's libraries from the network, whether they are imported already or not."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(dict.fromkeys(OFFLINE, "1"))
    # Libraries that are imported already have read their variables.
    kept = [(sys.modules[module], name, getattr(sys.modules[module], name)) for module, name in SWITCHES if _has(module, name)]
    for module, name, _ in kept:
        setattr(module, name, True)
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for module, name, value in kept:
            setattr(module, name, value)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _has(module: str, name: str) -> bool:
    return module in sys.modules and hasattr(sys.modules[module], name)


@contextmanager
def without_bars() -> Generator[None]:
    """Leave out the bar of every task's requests: BLiMP has 67, each gone in a blink."""
    from lm_eval.api import task

    bar = task.tqdm
    task.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        task.tqdm = bar
