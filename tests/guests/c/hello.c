// Prints its arguments: the smallest C program with a libc.
#include <stdio.h>

int main(int argc, char **argv) {
    printf("hello from C\n");
    for (int i = 0; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
    return 0;
}
