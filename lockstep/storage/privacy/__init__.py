"""Personal data of leavers: kept under their key, held, erased."""
