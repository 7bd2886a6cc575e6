"""Workers, servers and faults: does every promise about turns hold? See README.md."""
