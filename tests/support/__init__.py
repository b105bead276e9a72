"""What tests share: a service to start, sites to open, fakes to put in a browser's place."""
