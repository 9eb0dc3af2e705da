"""Tokenizers and cleaning as plain data for `mmdata.js`."""

from typing import Any

from mmdata.stages.clean import Clean
from mmdata.tokenizers import Tokenizer


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any] | None:
    """A tokenizer as plain data; None if `mmdata.js` has no version of it."""
    ids = {name: getattr(tokenizer, name) for name in ("start_id", "end_id", "pad_id")}
    return {"type": type(tokenizer).__name__, **ids, "unknown_id": tokenizer.unknown_id}


def cleaning_json(clean: Clean | None) -> dict[str, Any] | None:
    """The cleaning of captions as plain data; None if captions stay unchanged."""
    return None if clean is None else clean.to_dict()
