"""What a task is, as the user writes it; imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from rodna.core.config import Section

TaskName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

Kind = Literal["text", "parallel", "minimal_pairs", "multiple_choice", "exact_match", "question_answer", "consistency"]
"""How a task's items are read and scored: the file `evals/tasks/<kind>.py`."""


class TaskConfig(Section):
    """One task: items in files of the user's, and how a model is asked about them."""

    name: TaskName = Field(description="Names the task's results.")
    kind: Kind | Literal["by_fields"] = Field(
        default="by_fields", description="How items are scored; by_fields: known by the fields they have."
    )
    path: str = Field(description="A file of items, or a folder of such files, each a part of the task; relative to the workspace.")
    fields: dict[str, str] = Field(default_factory=dict, description="Our name of a field -> the file's, dots for nested ones.")
    prompt: str = Field(default="", description="What comes before an answer, with {field} for the item's fields; empty: the kind's own.")
    shots: int = Field(default=0, ge=0, description="Solved items shown before each question.")
    shots_path: str = Field(default="", description="Where they are taken from; empty: other items of the task itself.")
    category: str = Field(default="", description="The field whose values are reported apart; empty: the kind's own, where items have it.")
    max_items: int = Field(default=0, ge=0, description="Most items, the same ones each time, drawn by eval.seed; 0: all.")
    premise: str = Field(
        default="", description="multiple_choice: what each option's likelihood is compared with; empty: the prompt without the question."
    )
    max_tokens: int = Field(default=256, ge=1, description="exact_match: most tokens of an answer.")
    stop: list[str] = Field(
        default_factory=list, description="exact_match: an answer ends before any of these; empty: before a blank line."
    )
    pivot: str = Field(default="", description="parallel: the language that bytes are compared with; empty: the mean of all.")
