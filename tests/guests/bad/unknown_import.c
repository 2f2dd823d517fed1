// Imports a function that no runtime has.
__attribute__((import_module("nowhere"), import_name("nothing"))) void nothing(void);

__attribute__((export_name("_start"))) void start(void) { nothing(); }
