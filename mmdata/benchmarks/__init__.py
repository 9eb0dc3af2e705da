"""`mmdata bench`: mmdata beside its peers, on the same files and the same cores."""
