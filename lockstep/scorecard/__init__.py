"""The metric: its definition, its computation, its report. Pure; integers and fractions only."""
