"""The demo: one emergency call against the local stand-ins, from dial to forgotten, with evidence for each step."""
