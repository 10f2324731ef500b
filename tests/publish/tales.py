"""Texts of invented words, different enough that none is another's copy, and what an untrusted corpus may say."""

import random

NASTY = '<script>alert("corpus")</script></style><img src=x onerror=alert(1)> & "quotes" | *stars*'
SYLLABLES = {"be": "ба ве гі до жу зы ка ле мі но пу ры са тэ ўх ца шы ча", "ar": "با تي جو دا رو سي شا عو قا كي لو ما ني هو يا"}


def tales(language: str, number: int, *, seed: int = 0) -> list[str]:
    """Return documents of two to five lines."""
    source = random.Random(seed)
    syllables = SYLLABLES[language].split()
    words = ["".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(400)]
    return ["\n".join(" ".join(source.choices(words, k=9)) + "." for _ in range(source.randint(2, 5))) for _ in range(number)]
