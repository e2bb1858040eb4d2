"""What people of HR send from here: forms and sheets, and whom they may speak for."""
