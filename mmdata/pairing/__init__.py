"""Files -> `Pairs`: one row an image, its captions beside it, and a report that loses nothing."""
