// Its `_start` takes a parameter, so it cannot be called as an entrypoint.
__attribute__((export_name("_start"))) void start(int unexpected) { (void)unexpected; }
