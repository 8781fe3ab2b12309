"""The message to the people who must know: rendered from the organisation's template, and sent."""
