"""What a planner would do to a cluster that need not exist: `ralnode plan simulate`. Pure; the clock is handed in."""
