"""`pyos.check`: run a program under every schedule, or as many as the budget allows, and show the one that fails."""
