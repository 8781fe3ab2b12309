"""How each effect is performed: one module an effect, or a few that go together."""
