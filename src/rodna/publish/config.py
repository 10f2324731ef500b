"""Settings of what is published."""

from pydantic import Field

from rodna.core.config import Section


class ReportConfig(Section):
    """How much of everything the report shows. The whole of it lies in the artifacts that the report was made from."""

    num_samples: int = Field(default=6, ge=0, description="Continuations by the model, at most.")
    sample_characters: int = Field(default=1200, ge=50, description="A longer continuation is cut here.")
    num_excerpts: int = Field(default=3, ge=0, description="Excerpts shown for each reason why documents were dropped.")
    excerpt_characters: int = Field(default=240, ge=20)
    curve_points: int = Field(default=300, ge=10, description="A longer training curve is thinned to this many points.")
    num_sources: int = Field(default=12, ge=1, description="Sources drawn one by one; the smallest beyond these are summed up.")
