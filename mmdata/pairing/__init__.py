"""Files -> `Pairs`: one row per image, with its captions, and a report of every file."""
