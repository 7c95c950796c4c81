"""`ralnode doctor`: looks at this machine, its configuration and the running node; each finding has its remedy."""
