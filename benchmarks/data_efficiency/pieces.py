"""The pieces of the benchmark: what there is to run, in order, given what has been run.

A search is a ladder: all settings for a quarter of the steps, the better ones for more, two for all of them. Its next rung is known
once the one before is complete, so the list of pieces grows with the results.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.data_efficiency.recipes import GRIDS, PUBLISHED, Recipe
from benchmarks.data_efficiency.texts import LONG, MAIN, SHARES

Kind = Literal["count", "search", "published", "tuned", "curve-search", "curve", "rodna", "member", "ensemble", "student"]
Results = dict[str, dict[str, Any]]

MINUTES = (5, 20)
SEEDS = (1, 2, 3)
"""Of final trainings; searches use seed 0, so that no run is both chosen and reported."""
PUBLISHED_SEEDS = (1,)
LADDERS: dict[int, tuple[tuple[float, float], ...]] = {5: ((0.25, 1 / 3), (0.5, 2), (1.0, 1)), 20: ((0.25, 2), (1.0, 1))}
"""For each budget: the share of its steps on each rung, and how many go on: a share below 1, else a number."""
CURVE_EPOCHS = (5, 10, 20, 40)
CURVE_SYSTEM = "nanogpt-bpe"
MEMBER_MINUTES, STUDENT_MINUTES = 20, 40
MEMBER_SEEDS = (11, 12, 13, 14)
"""Two hours in all: four members and a student."""


@dataclass(frozen=True)
class Piece:
    """One thing to run.

    Attributes:
        kind: what it is for.
        text: name of the text.
        system: whose recipe.
        recipe: of a peer.
        minutes: the budget; 0 where a number of epochs counts.
        fraction: of the budget's steps.
        epochs: of a curve's piece.
        seed: of weights and data order.
    """

    kind: Kind
    text: str
    system: str
    recipe: Recipe | None = None
    minutes: int = 0
    fraction: float = 1.0
    epochs: int = 0
    seed: int = 0

    @property
    def name(self) -> str:
        """Of the result's file."""
        budget = f"{self.minutes}min" if self.minutes else f"{self.epochs}epochs" if self.epochs else ""
        stage = f"{self.kind}-{budget}" if budget else self.kind
        if self.kind in ("search", "curve-search"):
            assert self.recipe is not None, "a search tries settings"
            part = f"-{round(100 * self.fraction)}pct" if self.kind == "search" else ""
            return f"{self.text}--{self.system}--{stage}{part}--{self.recipe.name}"
        return f"{self.text}--{self.system}--{stage}--seed{self.seed}"

    @property
    def is_final(self) -> bool:
        """Whether its result reads the held-out documents."""
        return self.kind not in ("search", "curve-search", "member")


@dataclass(frozen=True)
class Ladder:
    """A search: its pieces so far, ranked settings of its first rung, and the winner once it is complete."""

    pieces: list[Piece]
    ranked: list[Recipe]
    winner: Recipe | None
    validation_bits_per_byte: float = math.inf


def all_pieces(results: Results) -> tuple[list[Piece], list[str]]:
    """Return every piece known by now, and what more is waiting for results."""
    found: list[Piece] = []
    waiting: list[str] = []
    for text in MAIN:
        found += [Piece("count", text, system) for system in ("ngram", "xz")]
        found += [Piece("rodna", text, "rodna", minutes=minutes, seed=seed) for minutes in MINUTES for seed in SEEDS]
    for system, recipe in PUBLISHED.items():
        found += [Piece("published", "be", system, recipe, minutes, seed=seed) for minutes in MINUTES for seed in PUBLISHED_SEEDS]
        for minutes in MINUTES:
            _add_search("be", system, minutes, results, found, waiting)
    for text in MAIN[1:]:
        for minutes in MINUTES:
            system = best_peer(minutes, results)
            if system:
                _add_search(text, system, minutes, results, found, waiting)
            else:
                waiting.append(f"{text}: the best peer of be at {minutes} minutes, which waits for the searches on be")
    for text in LONG:
        _add_curve(text, results, found, waiting)
        members = [Piece("member", text, "rodna", minutes=MEMBER_MINUTES, seed=seed) for seed in MEMBER_SEEDS]
        found += members
        if all(piece.name in results for piece in members):
            found.append(Piece("ensemble", text, "ensemble"))
            found += [Piece("student", text, "student", minutes=STUDENT_MINUTES, seed=seed) for seed in SEEDS]
        else:
            waiting.append(f"{text}: the ensemble and {len(SEEDS)} students, which wait for {len(members)} members")
    return found, waiting


def best_peer(minutes: int, results: Results) -> str:
    """Return the peer whose best settings did best on be's validation, or nothing while a search is incomplete."""
    ladders = {system: ladder("be", system, minutes, results) for system in PUBLISHED}
    if any(found.winner is None for found in ladders.values()):
        return ""
    return min(ladders, key=lambda system: ladders[system].validation_bits_per_byte)


def ladder(text: str, system: str, minutes: int, results: Results) -> Ladder:
    """Return a search as far as it can be known."""
    candidates = _candidates(text, system, minutes, results)
    pieces: list[Piece] = []
    ranked: list[Recipe] = []
    best = math.inf
    for fraction, kept in LADDERS[minutes]:
        rung = [Piece("search", text, system, recipe, minutes, fraction) for recipe in candidates]
        pieces += rung
        if not rung or any(piece.name not in results for piece in rung):
            return Ladder(pieces, ranked, None)
        scores = {piece.recipe: _validation(results[piece.name]) for piece in rung if piece.recipe}
        order = sorted(scores, key=scores.__getitem__)
        ranked, best = ranked or order, scores[order[0]]
        candidates = order[: math.ceil(kept * len(order)) if kept < 1 else int(kept)]
    return Ladder(pieces, ranked, candidates[0], best)


def _candidates(text: str, system: str, minutes: int, results: Results) -> list[Recipe]:
    """Return where a search begins.

    At the longer budget: the best quarter of the shorter one's first rung, and the best of each size. At the shorter one the whole grid,
    on other texts than be the better half of what be's first rung tried.
    """
    if minutes != MINUTES[0]:
        ranked = ladder(text, system, MINUTES[0], results).ranked
        sizes = {(recipe.width, recipe.layers, recipe.vocabulary): recipe for recipe in reversed(ranked)}
        return list(dict.fromkeys([*ranked[: math.ceil(len(ranked) / 4)], *sizes.values()]))
    if text == "be":
        return GRIDS[system]
    ranked = ladder("be", system, minutes, results).ranked
    return ranked[: math.ceil(len(ranked) / 2)]


def _add_search(text: str, system: str, minutes: int, results: Results, found: list[Piece], waiting: list[str]) -> None:
    search = ladder(text, system, minutes, results)
    found += search.pieces
    if search.winner is None:
        waiting.append(f"{text}, {system}, {minutes} minutes: later rungs and {len(SEEDS)} final trainings")
    else:
        found += [Piece("tuned", text, system, search.winner, minutes, seed=seed) for seed in SEEDS]


def curve_settings(text: str, results: Results) -> list[Recipe]:
    """Return the settings a curve over the amount of text tries: the best of three sizes at the longest budget, with dropout."""
    search = ladder(text, CURVE_SYSTEM, MINUTES[-1], results)
    if search.winner is None:
        return []
    found = {(recipe.width, recipe.layers): recipe for recipe in reversed(search.ranked)}
    best_first = sorted(found.values(), key=search.ranked.index)[:3]
    return [replace(recipe, dropout=0.2) for recipe in best_first]


def curve_search(text: str, settings: list[Recipe], results: Results) -> tuple[list[Piece], tuple[Recipe, int] | None]:
    """Return the trainings that look for the best settings and length on one amount of text: longer ones while they gain.

    Returns:
        The pieces, and settings and epochs of the best once all are done.
    """
    pieces: list[Piece] = []
    best: tuple[float, Recipe, int] | None = None
    for recipe in settings:
        before = math.inf
        for epochs in CURVE_EPOCHS:
            piece = Piece("curve-search", text, CURVE_SYSTEM, recipe, epochs=epochs)
            pieces.append(piece)
            if piece.name not in results:
                best = None
                break
            score = _validation(results[piece.name])
            if best is None or score < best[0]:
                best = (score, recipe, epochs)
            if score >= before:
                break
            before = score
    is_done = all(piece.name in results for piece in pieces)
    return pieces, (best[1], best[2]) if is_done and best else None


def _add_curve(text: str, results: Results, found: list[Piece], waiting: list[str]) -> None:
    settings = curve_settings(text, results)
    if not settings and text == "be":
        waiting.append(f"{text}: the curve over the amount of text, which waits for the search of {CURVE_SYSTEM} at {MINUTES[-1]} minutes")
    if not settings and text != "be":
        # Where nanoGPT is not the text's best peer it has no search of its own there: be's settings serve.
        settings = curve_settings("be", results)
    for name in (*(f"{text}-1of{part}" for part in SHARES), text) if settings else ():
        pieces, best = curve_search(name, settings, results)
        found += pieces
        if best is None:
            waiting.append(f"{name}: final trainings of the curve")
        else:
            found += [Piece("curve", name, CURVE_SYSTEM, best[0], epochs=best[1], seed=seed) for seed in SEEDS]


def _validation(result: dict[str, Any]) -> float:
    return float(result["validation_bits_per_byte"])
