"""The reading room: a local web server to review masks, correct them and fine-tune the model."""
