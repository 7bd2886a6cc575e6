"""One file for each dialect: requests to messages, events to what its clients expect."""
