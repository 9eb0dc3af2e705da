"""What is computed from captions before training: vocabulary, token counts, empty captions."""
