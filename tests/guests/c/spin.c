// Never ends and never calls the host: only preemption stops it.
int main(void) {
    for (;;)
        ;
}
