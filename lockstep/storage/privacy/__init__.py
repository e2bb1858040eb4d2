"""Personal data of leavers: held, due, erased."""
