// Wants 256 MiB of memory from the start (see build.sh): more than most classes allow.
__attribute__((export_name("_start"))) void start(void) {}
