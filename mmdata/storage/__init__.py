"""What mmdata writes in its own form: rows by key, and exports, each with a manifest."""
