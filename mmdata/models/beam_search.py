"""Beam search as one graph, with fixed shapes, for all images and beams at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from keras import ops

from mmdata.models.image_encoder import Tensor

# Used as the logarithm of 0: minus infinity would become NaN when it is subtracted.
_NEVER = -1e9


Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def beam_search(
    step: Step,
    past: Tensor,
    *,
    beams: int,
    length: int,
    start_id: int,
    end_id: int,
    pad_id: int,
    length_penalty: float,
) -> Tensor:
    """Finds the caption with the best length-normalized score.

    Each step takes the `beams` best continuations of all unfinished captions by log probability.
    Captions that end leave the beam, and the best of them is kept. Stops when no unfinished caption
    can still win, which does not change the result. Does not return scores.

    Args:
      step: from token_ids int32 [b, k], position int32 [] and `past` to logits float32 [b, k, v]
        of the next token, and the updated `past`.
      past: [b, k, ...], the state of each beam for `step`.
      beams: k, >= 1.
      length: tokens of a caption with its end token, >= 1.
      start_id: the first input token; never in a caption, unless it is also `end_id`.
      end_id: the token that ends a caption; the only one allowed at the last position.
      pad_id: fills up after the end; never before it, unless it is also `end_id`.
      length_penalty: exponent of ((5 + n) / 6), where n counts tokens with the end token.

    Returns:
      int32 [b, length].

    Source: Wu et al. 2016 (arXiv:1609.08144), section 7 and equation 14.
    """
    search = _Search(step, beams, length, start_id, end_id, pad_id, length_penalty)
    images = ops.shape(past)[0]
    # All beams start equal; only the first may continue, or they would stay equal.
    first = ops.where(ops.arange(beams) == 0, 0.0, _NEVER)
    state = (
        ops.zeros((), dtype="int32"),
        ops.full((images, beams), start_id, dtype="int32"),
        ops.ones((images, 1), dtype="float32") * first,
        ops.full((images, beams, length), pad_id, dtype="int32"),
        ops.full((images,), 2 * _NEVER, dtype="float32"),
        ops.full((images, length), pad_id, dtype="int32"),
        past,
    )
    return ops.while_loop(search.continues, search.extend, state)[5]


@dataclasses.dataclass(frozen=True)
class _Search:
    """The loop over positions, for b images with k beams each.

    Its state: position int32 []; newest tokens int32 [b, k]; scores float32 [b, k]; written int32
    [b, k, length]; won float32 [b] and winner int32 [b, length], the best ended caption; past.
    """

    step: Step
    beams: int
    length: int
    start_id: int
    end_id: int
    pad_id: int
    length_penalty: float

    def continues(self, position: Tensor, newest: Tensor, scores: Tensor, *state: Tensor) -> Tensor:
        """Whether an unfinished caption can still win."""
        del newest
        # A score can only fall; at best it is divided by the largest penalty.
        best = ops.max(scores, axis=1)
        may_win = ops.logical_and(best > _NEVER / 2, best / self._penalty(self.length) > state[1])
        return ops.logical_and(position < self.length, ops.any(may_win))

    def extend(
        self,
        position: Tensor,
        newest: Tensor,
        scores: Tensor,
        written: Tensor,
        won: Tensor,
        winner: Tensor,
        past: Tensor,
    ) -> tuple[Tensor, ...]:
        """Adds one token to each unfinished caption."""
        logits, past = self.step(newest, position, past)
        scores, picked = ops.top_k(self._totals(logits, position, scores), self.beams)
        picked, vocabulary = ops.cast(picked, "int32"), logits.shape[-1]
        origin, newest = picked // vocabulary, picked % vocabulary
        written = ops.where(
            ops.arange(self.length, dtype="int32") == position,
            ops.expand_dims(newest, 2),
            _follow(written, origin),
        )
        won, winner = self._best_ended(position, newest, scores, written, won, winner)
        scores = ops.where(newest == self.end_id, _NEVER, scores)
        return position + 1, newest, scores, written, won, winner, _follow(past, origin)

    def _totals(self, logits: Tensor, position: Tensor, scores: Tensor) -> Tensor:
        """The scores of all continuations of all beams: float32 [b, k * v]."""
        logits = ops.cast(logits, "float32")
        token = ops.arange(logits.shape[-1], dtype="int32")
        inside = ops.logical_and(token != self.start_id, token != self.pad_id)
        inside = ops.logical_and(inside, position < self.length - 1)
        allowed = ops.logical_or(token == self.end_id, inside)
        gains = ops.where(allowed, ops.log_softmax(logits, axis=-1), _NEVER)
        totals = ops.expand_dims(scores, 2) + gains
        return ops.reshape(totals, (-1, self.beams * logits.shape[-1]))

    def _best_ended(
        self,
        position: Tensor,
        newest: Tensor,
        scores: Tensor,
        written: Tensor,
        won: Tensor,
        winner: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The score and tokens of the best caption that ended, now or before."""
        ends = ops.logical_and(newest == self.end_id, scores > _NEVER / 2)
        final = ops.where(ends, scores / self._penalty(position + 1), 2 * _NEVER)
        best = ops.cast(ops.argmax(final, axis=1), "int32")
        better = ops.max(final, axis=1) > won
        ended = _follow(written, ops.expand_dims(best, 1))[:, 0]
        won = ops.where(better, ops.max(final, axis=1), won)
        return won, ops.where(ops.expand_dims(better, 1), ended, winner)

    def _penalty(self, tokens: Tensor) -> Tensor:
        return ((5.0 + ops.cast(tokens, "float32")) / 6.0) ** self.length_penalty


def _follow(values: Tensor, origin: Tensor) -> Tensor:
    """Gathers `values` [b, k, ...] of the beam `origin` [b, n] that each new beam continues."""
    images, beams = ops.shape(values)[0], values.shape[1]
    rows = ops.reshape(ops.arange(images, dtype="int32") * beams, (-1, 1)) + origin
    flat = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.take(flat, rows, axis=0)
