"""The project file: `project.yaml`, its sections named after the rooms that read them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from rodna.core.config import Section, load, parse_override, read_yaml
from rodna.core.errors import ConfigError
from rodna.core.workspace import Workspace
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.language import parse_language
from rodna.data.config import DataConfig
from rodna.evals.config import EvalConfig
from rodna.plan.config import ModelSection, PlanConfig
from rodna.publish.config import ReportConfig
from rodna.sweep.config import SweepConfig
from rodna.tokenizer.config import TokenizerConfig
from rodna.train.config import TrainConfig
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig
from rodna.train.recipes import NONE, RECIPES

SLUG = r"^[^\W_](?:[\w.-]{0,62}[^\W_])?$"
"""What a project may be called: it names folders. Letters of any script."""


class Project(Section):
    """Everything a user decides, in one file."""

    language: str = Field(description="BCP-47 tag of the language, e.g. be, yue, ckb-Arab.")
    name: str = Field(pattern=SLUG, description="Names the artifacts' folders.")
    sources: dict[str, Source] = Field(min_length=1)
    corpus: CorpusConfig = CorpusConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    data: DataConfig = DataConfig()
    model: ModelSection = ModelSection()
    plan: PlanConfig = PlanConfig()
    train: TrainConfig = TrainConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    distill: DistillConfig = DistillConfig()
    eval: EvalConfig = EvalConfig()
    report: ReportConfig = ReportConfig()
    sweep: SweepConfig = SweepConfig()

    @field_validator("language")
    @classmethod
    def _check_language(cls, tag: str) -> str:
        try:
            parse_language(tag)
        except ConfigError as error:
            raise ValueError(f"{error.what}; {error.fix}") from error
        return tag

    @property
    def leaves_ensemble_open(self) -> bool:
        """Whether a plan may still propose an ensemble: there is none, no teacher, and no word of members."""
        return "members" not in self.ensemble.model_fields_set and not self.distill.teachers and self.distill.preset == NONE


def load_project(workspace: Workspace, overrides: Sequence[str] = ()) -> Project:
    """Read a workspace's project file and apply `--set` assignments.

    Where `distill.preset` names a published setting, that lies below both.

    Raises:
        ConfigError: lists every problem.
    """
    return load(Project, workspace.project_file, overrides=overrides, base=_recipe(workspace.project_file, overrides))


def _recipe(file: Path, overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return the sections that `distill.preset` stands for: they lie below the file's own, and below `--set`."""
    chosen: Any = NONE
    for tree in (read_yaml(file), *map(parse_override, overrides)):
        section = tree.get("distill")
        chosen = section.get("preset", chosen) if isinstance(section, Mapping) else chosen
    return RECIPES.get(chosen, {}) if isinstance(chosen, str) else {}
