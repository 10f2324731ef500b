"""The pieces of the benchmark: what there is to run, in order, given what has been run.

A search is a ladder: all settings for a quarter of the steps, the better ones for more of them. Its next rung is known once the one
before is complete, so the list of pieces grows with the results. On be a peer that is far behind after its first rung climbs no further:
what did best there is trained in full.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.data_efficiency.recipes import GRIDS, PUBLISHED, PeerRecipe
from benchmarks.data_efficiency.texts import LONG, MAIN, SHARES

Kind = Literal["count", "search", "published", "tuned", "curve-search", "curve", "rodna", "member", "ensemble", "student"]
Results = dict[str, dict[str, Any]]

COUNTING = ("ngram", "ngram-bpe", "xz")
"""What learns without a network: n-grams of bytes, of subwords, and compression."""
MINUTES = (5, 20)
SEEDS = (1, 2, 3)
"""Of final trainings; searches use seed 0, so that no run is both chosen and reported."""
PUBLISHED_SEEDS, PUBLISHED_MINUTES = (1,), 5
"""No bar is measured against what a search improves on."""
Rungs = tuple[tuple[float, float], ...]
"""The share of a budget's steps on each rung, and how many go on: a share of them below 1, else a number."""
FULL_LADDER: Rungs = ((0.25, 1 / 3), (0.5, 2), (1.0, 1))
SHORT_LADDER: Rungs = ((0.25, 3), (0.5, 1))
LONGER_BUDGET: Rungs = ((0.5, 1),)
FAR_BEHIND = 1.05
"""A peer whose best on the first rung takes so many times the bits of the best peer's is far behind."""
BEHIND_COUNTS = 1.01
"""A final training that takes so many times the bits of counting is not repeated: seeds scatter by half a percent."""
BEST_ELSEWHERE = 6
"""Settings of be's first rung that are tried on another text."""
DROPOUT = 0.2
CURVE_EPOCHS = (10, 20, 40)
CURVE_SYSTEM = "nanogpt-bpe"
SEARCHED_ELSEWHERE = 8
"""The share of the text, as 1/x, that the curve of a text other than Belarusian searches on."""
MEMBER_MINUTES, STUDENT_MINUTES = 20, 60
"""Two hours in all. Of the members' time rodna makes an ensemble already, so the members are trainings of their own, of one model each."""
ALONE = "alone"


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
    recipe: PeerRecipe | None = None
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
        part = f"-{round(100 * self.fraction)}pct" if self.fraction < 1 else ""
        return f"{self.text}--{self.system}--{stage}{part}--seed{self.seed}"

    @property
    def plan_key(self) -> str:
        """Under which name the plan is kept that rodna trains by: a student's is that of its members."""
        if self.kind == "student":
            return members_of(self.text)[0].plan_key
        return f"{self.text}/{self.minutes}{f'-{ALONE}' if self.kind == 'member' else ''}"

    @property
    def is_final(self) -> bool:
        """Whether its result reads the held-out documents."""
        return self.kind not in ("search", "curve-search")


@dataclass(frozen=True)
class Ladder:
    """A search: its pieces so far, ranked settings of its first rung, and the winner once it is complete."""

    pieces: list[Piece]
    ranked: list[PeerRecipe]
    winner: PeerRecipe | None
    validation_bits_per_byte: float = math.inf


def all_pieces(results: Results) -> tuple[list[Piece], list[str]]:
    """Return every piece known by now, and what more is waiting for results."""
    found: list[Piece] = []
    waiting: list[str] = []
    for text in MAIN:
        found += [Piece("count", text, system) for system in COUNTING]
        found += [Piece("rodna", text, "rodna", minutes=minutes, seed=seed) for minutes in MINUTES for seed in SEEDS]
    for system, recipe in PUBLISHED.items():
        found += [Piece("published", "be", system, recipe, PUBLISHED_MINUTES, seed=seed) for seed in PUBLISHED_SEEDS]
        for minutes in MINUTES:
            _add_search("be", system, minutes, results, found, waiting)
    for text in MAIN[1:]:
        for minutes in MINUTES:
            system = best_peer(minutes, results)
            if system is None:
                waiting.append(f"{text}: the best peer of be at {minutes} minutes, which waits for the searches on be")
            elif system not in COUNTING:
                _add_search(text, system, minutes, results, found, waiting)
    for text in LONG:
        _add_curve(text, results, found, waiting)
        members = members_of(text)
        found += members
        if all(piece.name in results for piece in members):
            found.append(Piece("ensemble", text, "ensemble"))
            found += [Piece("student", text, "student", minutes=STUDENT_MINUTES, seed=seed) for seed in SEEDS]
        else:
            waiting.append(f"{text}: the ensemble and {len(SEEDS)} students, which wait for {len(members)} members")
    return found, waiting


def members_of(text: str) -> list[Piece]:
    """Return the trainings whose models are the members of a text's ensemble."""
    return [Piece("member", text, "rodna", minutes=MEMBER_MINUTES, seed=seed) for seed in SEEDS]


def best_network(minutes: int, results: Results) -> str | None:
    """Return the peer whose best settings did best on be's validation; None while a search is incomplete."""
    ladders = {system: ladder("be", system, minutes, results) for system in PUBLISHED}
    if any(found.winner is None for found in ladders.values()):
        return None
    near = [system for system in ladders if not _is_far_behind(system, results)]
    return min(near, key=lambda system: ladders[system].validation_bits_per_byte)


def best_peer(minutes: int, results: Results) -> str | None:
    """Return the best tuned peer of be on validation, which may be one that counts; None while that is not known.

    A network's is the figure of its first final training.
    """
    network = best_network(minutes, results)
    if network is None:
        return None
    finals = first_finals("be", network, minutes, results)
    if any(final.name not in results for final in finals):
        return None
    return _best_counting("be", results)[0] if all(_is_behind_counts(final, results) for final in finals) else network


def budgets_of(text: str, system: str, results: Results) -> tuple[int, ...]:
    """Return the budgets that a peer's best is trained in full for: of one far behind on be the shorter, since it is no bar of either."""
    return MINUTES[:1] if text == "be" and _is_far_behind(system, results) else MINUTES


def ladder(text: str, system: str, minutes: int, results: Results) -> Ladder:
    """Return a search as far as it can be known."""
    is_short = minutes == MINUTES[0]
    if not is_short and text == "be" and _is_far_behind(system, results):
        # Nothing can be gained by searching it at a second budget too: it is trained with what did best at the first.
        return ladder(text, system, MINUTES[0], results)
    candidates = _candidates(text, system, minutes, results)
    rungs = LONGER_BUDGET if not is_short else FULL_LADDER if text == "be" else SHORT_LADDER
    pieces: list[Piece] = []
    ranked: list[PeerRecipe] = []
    best = math.inf
    for fraction, kept in rungs:
        rung = [Piece("search", text, system, recipe, minutes, fraction) for recipe in candidates]
        pieces += rung
        if not rung or any(piece.name not in results for piece in rung):
            return Ladder(pieces, ranked, None)
        scores = {piece.recipe: _validation(results[piece.name]) for piece in rung if piece.recipe}
        order = sorted(scores, key=scores.__getitem__)
        ranked, best = ranked or order, scores[order[0]]
        candidates = order[: math.ceil(kept * len(order)) if kept < 1 else int(kept)]
        if text == "be" and is_short and _is_far_behind(system, results):
            break
    return Ladder(pieces, ranked, candidates[0], best)


def _is_far_behind(system: str, results: Results) -> bool:
    """Return whether a peer's first rung on be is known, and known to be far behind another's."""
    own = _first_rung(system, results)
    return own > FAR_BEHIND * min(_first_rung(other, results) for other in PUBLISHED) and own < math.inf


def _is_behind_counts(final: Piece, results: Results) -> bool:
    """Return whether a final training is so far behind counting on the same text that no other seed of it will be the best peer."""
    return _validation(results[final.name]) > BEHIND_COUNTS * _best_counting(final.text, results)[1]


def _best_counting(text: str, results: Results) -> tuple[str, float]:
    """Return which way of counting does best on a text's validation, and its bits per byte there; infinite where none is known."""
    names = {system: Piece("count", text, system).name for system in COUNTING}
    found = {system: _validation(results[name]) for system, name in names.items() if name in results}
    return min(found.items(), key=lambda item: item[1], default=("", math.inf))


def _first_rung(system: str, results: Results) -> float:
    """Return the best of a peer's first rung on be, infinite until all of it is known."""
    names = [Piece("search", "be", system, recipe, MINUTES[0], FULL_LADDER[0][0]).name for recipe in GRIDS[system]]
    return min(_validation(results[name]) for name in names) if all(name in results for name in names) else math.inf


def _candidates(text: str, system: str, minutes: int, results: Results) -> list[PeerRecipe]:
    """Return where a search begins."""
    if minutes == MINUTES[0]:
        return GRIDS[system] if text == "be" else _of_be(ladder("be", system, minutes, results).ranked)
    shorter = ladder(text, system, MINUTES[0], results)
    if shorter.winner is None:
        return []
    if text == "be":
        return _longer(shorter.winner, shorter.ranked)
    of_be = ladder("be", system, minutes, results).winner
    return list(dict.fromkeys([shorter.winner, of_be, _other_dropout(of_be)])) if of_be else []


def _of_be(ranked: list[PeerRecipe]) -> list[PeerRecipe]:
    """Return what did best on be, and the best of its two best sizes with the other dropout: less text is read more often."""
    sizes = {(recipe.width, recipe.layers): recipe for recipe in reversed(ranked)}
    best_first = sorted(sizes.values(), key=ranked.index)[:2]
    return list(dict.fromkeys([*ranked[:BEST_ELSEWHERE], *(_other_dropout(recipe) for recipe in best_first)]))


def _longer(winner: PeerRecipe, ranked: list[PeerRecipe]) -> list[PeerRecipe]:
    """Return what four times the time may want: the best size and the next two larger ones, these with and without dropout."""
    best = {recipe.width: recipe for recipe in reversed(ranked)} | {winner.width: winner}
    larger = [best[width] for width in sorted(best) if width > winner.width][:2]
    return list(dict.fromkeys([winner, *(twin for recipe in larger for twin in (recipe, _other_dropout(recipe)))]))


def settings_to_come(text: str, minutes: int, results: Results) -> list[PeerRecipe]:
    """Return what later rungs on another text may ask for of the best peer of be: so that one machine measures all of it at once."""
    system = best_network(MINUTES[0], results)
    if text not in MAIN[1:] or minutes != MINUTES[-1] or not system:
        return []
    second = len(GRIDS[system])
    known = [piece.recipe for piece in ladder("be", system, MINUTES[0], results).pieces[second:] if piece.recipe]
    return list(dict.fromkeys([*known, *(_other_dropout(recipe) for recipe in known)]))


def _other_dropout(recipe: PeerRecipe) -> PeerRecipe:
    return replace(recipe, dropout=0.0 if recipe.dropout else DROPOUT)


def _add_search(text: str, system: str, minutes: int, results: Results, found: list[Piece], waiting: list[str]) -> None:
    search = ladder(text, system, minutes, results)
    found += search.pieces
    if search.winner is None:
        waiting.append(f"{text}, {system}, {minutes} minutes: later rungs and final trainings")
    elif minutes in budgets_of(text, system, results):
        firsts = first_finals(text, system, minutes, results)
        found += firsts
        if text == "be" and _is_far_behind(system, results):
            return
        # The first decides whether the others can matter.
        if any(piece.name not in results for piece in firsts):
            waiting.append(f"{text}, {system}, {minutes} minutes: other seeds, where the first is not behind counting")
        elif not _is_behind_counts(best := min(firsts, key=lambda piece: _validation(results[piece.name])), results):
            found += [replace(best, seed=seed) for seed in SEEDS[1:]]


def first_finals(text: str, system: str, minutes: int, results: Results) -> list[Piece]:
    """Return the first final training of a search that is complete, none before.

    Where all of the steps did worse than the part that the search made of them, it is followed by one of that part: a budget need not be
    used up.
    """
    search = ladder(text, system, minutes, results)
    if search.winner is None:
        return []
    first, part = Piece("tuned", text, system, search.winner, minutes, seed=SEEDS[0]), search.pieces[-1].fraction
    is_worse = first.name in results and _validation(results[first.name]) > search.validation_bits_per_byte
    return [first, replace(first, fraction=part)] if is_worse and part < 1 and not _is_far_behind(system, results) else [first]


def curve_settings(text: str, results: Results) -> list[PeerRecipe]:
    """Return the settings a curve over the amount of text tries: the best at the longest budget, with and without dropout."""
    winner = ladder(text, CURVE_SYSTEM, MINUTES[-1], results).winner
    return [winner, _other_dropout(winner)] if winner else []


def curve_search(text: str, settings: list[PeerRecipe], results: Results) -> tuple[list[Piece], tuple[PeerRecipe, int] | None]:
    """Return the trainings that look for the best settings and length on one amount of text: longer ones while they gain.

    Returns:
        The pieces, and settings and epochs of the best once all are done.
    """
    pieces: list[Piece] = []
    best: tuple[float, PeerRecipe, int] | None = None
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
    best = None
    for part in SHARES if settings else ():
        name = f"{text}-1of{part}"
        # Belarusian's three searches ended at the same setting, so another text is searched once.
        if text == "be" or part == SEARCHED_ELSEWHERE:
            pieces, best = curve_search(name, settings, results)
            found += pieces
        if best is None:
            waiting.append(f"{name}: final trainings of the curve")
        else:
            found += [Piece("curve", name, CURVE_SYSTEM, best[0], epochs=best[1], seed=seed) for seed in SEEDS]
    # All of the text has no search of its own: it is learned as the half is.
    if best is None:
        waiting.append(f"{text}: final trainings of the curve")
    else:
        found += [Piece("curve", text, CURVE_SYSTEM, best[0], epochs=best[1], seed=seed) for seed in SEEDS]


def _validation(result: dict[str, Any]) -> float:
    return float(result["validation_bits_per_byte"])
