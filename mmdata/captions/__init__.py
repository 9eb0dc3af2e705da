"""What is known of captions before training: vocabulary, token counts, what is empty."""
