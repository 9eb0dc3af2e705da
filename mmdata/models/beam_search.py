"""Beam search as one graph: fixed shapes, all images and beams at once."""

from __future__ import annotations

from collections.abc import Callable

from keras import ops

from mmdata.models.image_encoder import Tensor

# Stands for the logarithm of 0: minus infinity would turn into NaN where it is subtracted.
_NEVER = -1e9


def beam_search(
    step: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
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

    Each step takes the best `beams` continuations of all live captions by log probability. Those
    that end leave the beam, the best of them is remembered, and the rest live on. Stops once no
    live caption can still win, which changes no result. Does not return scores.

    Args:
      step: from token_ids int32 [b, k], position int32 [] and `past` to logits float32 [b, k, v]
        of the next token and the longer `past`.
      past: [b, k, ...], what `step` remembers of each beam.
      beams: k, >= 1.
      length: tokens of a caption with its end token, >= 1.
      start_id: the token read first; never written, unless it is `end_id` as well.
      end_id: the token that ends a caption; the only one that may stand at the last place.
      pad_id: what follows the end; never written before it, unless it is `end_id` as well.
      length_penalty: exponent of ((5 + n) / 6), n the tokens of a caption with its end token.

    Returns:
      int32 [b, length].

    Source: Wu et al. 2016 (arXiv:1609.08144), section 7 and equation 14.
    """
    images = ops.shape(past)[0]
    places = ops.arange(length, dtype="int32")

    def penalty(tokens: Tensor) -> Tensor:
        return ((5.0 + ops.cast(tokens, "float32")) / 6.0) ** length_penalty

    def may_win(scores: Tensor, won: Tensor) -> Tensor:
        # A live score can only fall, so at best it is divided by the largest penalty.
        best = ops.max(scores, axis=1)
        return ops.logical_and(best > _NEVER / 2, best / penalty(length) > won)

    def go_on(position: Tensor, newest: Tensor, scores: Tensor, *state: Tensor) -> Tensor:
        del newest
        return ops.logical_and(position < length, ops.any(may_win(scores, state[1])))

    def extend(
        position: Tensor,
        newest: Tensor,
        scores: Tensor,
        written: Tensor,
        won: Tensor,
        winner: Tensor,
        past: Tensor,
    ) -> tuple[Tensor, ...]:
        logits, past = step(newest, position, past)
        logits = ops.cast(logits, "float32")
        vocabulary = logits.shape[-1]
        token = ops.arange(vocabulary, dtype="int32")
        is_end = token == end_id
        inside = ops.logical_and(token != start_id, token != pad_id)
        allowed = ops.logical_or(is_end, ops.logical_and(inside, position < length - 1))
        gains = ops.where(allowed, ops.log_softmax(logits, axis=-1), _NEVER)
        totals = ops.reshape(ops.expand_dims(scores, 2) + gains, (-1, beams * vocabulary))
        scores, picked = ops.top_k(totals, beams)
        picked = ops.cast(picked, "int32")
        origin, newest = picked // vocabulary, picked % vocabulary
        past = _follow(past, origin)
        written = ops.where(
            places == position, ops.expand_dims(newest, 2), _follow(written, origin)
        )

        ends = ops.logical_and(newest == end_id, scores > _NEVER / 2)
        final = ops.where(ends, scores / penalty(position + 1), 2 * _NEVER)
        best = ops.cast(ops.argmax(final, axis=1), "int32")
        better = ops.max(final, axis=1) > won
        won = ops.where(better, ops.max(final, axis=1), won)
        ended = _follow(written, ops.expand_dims(best, 1))[:, 0]
        winner = ops.where(ops.expand_dims(better, 1), ended, winner)
        scores = ops.where(newest == end_id, _NEVER, scores)
        return position + 1, newest, scores, written, won, winner, past

    # All beams start alike; only the first may go on, or they would stay alike.
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
    return ops.while_loop(go_on, extend, state)[5]


def _follow(values: Tensor, origin: Tensor) -> Tensor:
    """Returns `values` [b, k, ...] with each beam in the place of the one it came from [b, n]."""
    images, beams = ops.shape(values)[0], values.shape[1]
    rows = ops.reshape(ops.arange(images, dtype="int32") * beams, (-1, 1)) + origin
    flat = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.take(flat, rows, axis=0)
