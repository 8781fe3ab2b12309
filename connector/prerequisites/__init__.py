"""Would this agent's emergency call work? One module a prerequisite, each a pure function of facts."""
