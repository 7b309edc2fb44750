"""Everything whose input is a timestamp: watermarks, timers, windows."""
