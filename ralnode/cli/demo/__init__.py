"""`ralnode demo`: a real cluster of processes on this machine that shows itself and then proves that it loses nothing."""
