"""FlareSolverr's API over ours."""
