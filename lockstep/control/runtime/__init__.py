"""What keeps the processes right: Temporal, clocks, and cases against workflows."""
