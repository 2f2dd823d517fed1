// A sound module with a memory, but without the entrypoint `_start`.
__attribute__((export_name("other"))) int other(void) { return 1; }
