// `c_tiny rate [N] [SPAWNERS] [BATCH] | live [N] [HOLD_MS]`: what spawn_rate and many_actors do, with a module of one page.
// `rate`: its actors do nothing. `live`: they wait for a message, and answer. Without a C library, which would make it larger
// than a page.
#include <stddef.h>
#include <stdint.h>

#define FROM(module, name) __attribute__((import_module(module), import_name(name)))
#define AS(name) __attribute__((export_name(name)))

FROM("lunatic::process", "spawn")
uint32_t process_spawn(int64_t link, int64_t config, int64_t module, const char *function, size_t function_length,
                       const uint8_t *arguments, size_t arguments_length, uint64_t *id);
FROM("lunatic::process", "process_id") uint64_t process_id(void);
FROM("lunatic::message", "create_data") void create_data(int64_t tag, uint64_t capacity);
FROM("lunatic::message", "send") uint32_t send(uint64_t process);
FROM("lunatic::message", "receive") uint32_t receive(const int64_t *tags, size_t count, uint64_t timeout_ms);
FROM("wasi_snapshot_preview1", "args_sizes_get") uint32_t args_sizes_get(size_t *count, size_t *bytes);
FROM("wasi_snapshot_preview1", "args_get") uint32_t args_get(char **args, char *bytes);
FROM("wasi_snapshot_preview1", "clock_time_get") uint32_t clock_time_get(uint32_t clock, uint64_t precision, uint64_t *now);
FROM("wasi_snapshot_preview1", "fd_write")
uint32_t fd_write(uint32_t file, const void *pieces, size_t count, size_t *written);

enum { MONOTONIC = 1, STDOUT = 1, FOREVER = -1, NOBODY = 0 };

static uint64_t spawn(const char *function, size_t length, uint64_t a, uint64_t b) {
    uint8_t arguments[34] = {0}; // each a type and 16 bytes
    uint64_t id;
    arguments[0] = arguments[17] = 0x7e; // i64
    __builtin_memcpy(arguments + 1, &a, 8);
    __builtin_memcpy(arguments + 18, &b, 8);
    if (process_spawn(0, -1, -1, function, length, arguments, sizeof arguments, &id) != 0) __builtin_trap();
    return id;
}

static void tell(uint64_t whom) {
    create_data(1, 0);
    send(whom);
}

// What is spawned: does nothing, and the last one of a batch answers.
AS("child") void child(uint64_t whom, uint64_t unused) {
    (void)unused;
    if (whom != NOBODY) tell(whom);
}

AS("spawner") void spawner(uint64_t parent, uint64_t count_and_batch) {
    uint64_t me = process_id(), count = count_and_batch >> 16, of = count_and_batch & 0xffff;
    for (uint64_t number = 1; number <= count; number++) {
        int answers = number % of == 0 || number == count;
        spawn("child", 5, answers ? me : NOBODY, 0);
        if (answers) receive(NULL, 0, FOREVER);
    }
    tell(parent);
}

// One of those alive at once.
AS("waiter") void waiter(uint64_t parent, uint64_t unused) {
    (void)unused;
    receive(NULL, 0, FOREVER);
    tell(parent);
}

static uint64_t now(void) {
    uint64_t nanoseconds;
    clock_time_get(MONOTONIC, 1, &nanoseconds);
    return nanoseconds;
}

static uint64_t number(const char *text) {
    uint64_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

static void put(const char *bytes, size_t length) {
    struct { const char *bytes; size_t length; } piece = {bytes, length};
    size_t written;
    fd_write(STDOUT, &piece, 1, &written);
}

// A line `NAME=VALUE`, with zeros at the front.
static void print(const char *name, size_t length, uint64_t value) {
    char digits[] = "=00000000000000000000\n";
    for (char *digit = digits + sizeof digits - 3; digit > digits; digit--, value /= 10) *digit = (char)('0' + value % 10);
    put(name, length);
    put(digits, sizeof digits - 1);
}
#define PRINT(name, value) print(name, sizeof name - 1, value)

static void rate(uint64_t all, uint64_t spawners, uint64_t batch) {
    uint64_t each = all / spawners, started = now();
    for (uint64_t i = 0; i < spawners; i++) spawn("spawner", 7, process_id(), each << 16 | batch);
    for (uint64_t i = 0; i < spawners; i++) receive(NULL, 0, FOREVER);
    PRINT("per_second", each * spawners * 1000000000 / (now() - started));
}

static void live(uint64_t count, uint64_t hold_ms) {
    // Ids in pages of its own: those of the children stay at one.
    size_t first = __builtin_wasm_memory_grow(0, count * sizeof(uint64_t) / 65536 + 1);
    if (first == (size_t)-1) __builtin_trap();
    uint64_t *ids = (uint64_t *)(first * 65536), started = now();
    for (uint64_t i = 0; i < count; i++) ids[i] = spawn("waiter", 6, process_id(), 0);
    PRINT("per_second", count * 1000000000 / (now() - started));
    PRINT("alive", count);
    receive(NULL, 0, hold_ms);
    PRINT("rested", hold_ms);
    // As many at once as answers fit the mailbox.
    for (uint64_t i = 0; i < count; i++) {
        tell(ids[i]);
        if (i >= 1000) receive(NULL, 0, FOREVER);
    }
    for (uint64_t i = 0; i < count && i < 1000; i++) receive(NULL, 0, FOREVER);
    PRINT("answered", count);
}

AS("_start") void start(void) {
    char *args[8], bytes[256];
    size_t count, length;
    args_sizes_get(&count, &length);
    if (count < 2 || count > 8 || length > sizeof bytes) __builtin_trap();
    args_get(args, bytes);
    uint64_t all = count > 2 ? number(args[2]) : 2000, second = count > 3 ? number(args[3]) : 0;
    if (args[1][0] == 'l')
        live(all, second);
    else
        rate(all, second ? second : 4, count > 4 ? number(args[4]) : 64);
}
