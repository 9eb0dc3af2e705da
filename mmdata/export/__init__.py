"""What is written for others: tables, shards, cards, serving."""
