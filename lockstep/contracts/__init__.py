"""Pure wire: payloads, activity stubs, names, retry and timeout policies. No I/O."""
