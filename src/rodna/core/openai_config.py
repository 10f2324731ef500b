"""How an OpenAI-compatible server is asked; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from rodna.core.config import Section

KEY_VARIABLE = "RODNA_API_KEY"
"""The environment variable that holds the key. It is never a setting: settings are written into manifests."""


class EndpointConfig(Section):
    """How an OpenAI-compatible server is asked: its limits, and where its answers are kept."""

    api: Literal["completions", "chat"] = Field(
        default="completions", description="What texts are generated through; chat, where a server offers nothing else, gives no scores."
    )
    start_of_text: str = Field(
        default="", description="What begins a document, such as <s>, where the server adds no such token itself; empty: it does."
    )
    timeout_s: float = Field(default=120, gt=0, description="Most seconds that one answer may take.")
    max_attempts: int = Field(default=8, ge=1, description="Times that a question is asked before giving up.")
    backoff_s: float = Field(default=1, ge=0, description="Longest wait before the second attempt; it doubles with each further one.")
    max_wait_s: float = Field(default=120, ge=0, description="Longest wait between attempts, and the longest a server may ask for.")
    max_concurrency: int = Field(default=4, ge=1, description="Questions asked at once.")
    requests_per_minute: float = Field(default=0, ge=0, description="Most attempts a minute; 0: as many as the server answers.")
    max_answer_bytes: int = Field(default=16_000_000, ge=1000, description="Largest answer that is read.")
    cache: str = Field(
        default="", description="Folder where answers are kept, so that none is paid for twice; empty: in the user's cache folder."
    )
