/* Tries what a task should not be able to do, and says how each attempt was answered.
 *
 * Writes one `what errno` a line (0 is success; 58 is ENOTSUP, 76 ENOTCAPABLE, 8 EBADF), and after
 * a success what it saw: the time in nanoseconds, or eight random bytes as a number.
 */
#include "text.h"

#include <wasi/api.h>

static char said[1024];
static long length;

static void say_text(const char *text) {
    while (*text) said[length++] = *text++;
}

static void say(const char *what, __wasi_errno_t answer) {
    say_text(what);
    said[length++] = ' ';
    length += put_number(said + length, answer);
}

static void say_seen(uint64_t seen) {
    said[length++] = ' ';
    length += put_number(said + length, seen);
}

static void end_line(void) { said[length++] = '\n'; }

static void try_clocks(void) {
    static const char *const names[] = {"clock-real", "clock-monotonic"};
    for (__wasi_clockid_t id = 0; id < 2; id++) {
        __wasi_timestamp_t now = 0;
        __wasi_errno_t answer = __wasi_clock_time_get(id, 1, &now);
        say(names[id], answer);
        if (answer == 0) say_seen(now);
        end_line();
    }
    __wasi_timestamp_t step = 0;
    __wasi_errno_t answer = __wasi_clock_res_get(__WASI_CLOCKID_REALTIME, &step);
    say("clock-resolution", answer);
    if (answer == 0) say_seen(step);
    end_line();
}

static void try_random(void) {
    uint64_t bytes = 0;
    __wasi_errno_t answer = __wasi_random_get((uint8_t *)&bytes, sizeof bytes);
    say("random", answer);
    if (answer == 0) say_seen(bytes);
    end_line();
}

static void try_sleep(void) {
    __wasi_subscription_t wake = {0};
    wake.u.tag = __WASI_EVENTTYPE_CLOCK;
    wake.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    wake.u.u.clock.timeout = 3000000000ull;
    __wasi_event_t event;
    __wasi_size_t events = 0;
    __wasi_errno_t answer = __wasi_poll_oneoff(&wake, &event, 1, &events);
    say("sleep", answer);
    if (answer == 0) say_seen(events);
    end_line();
}

static void try_files(void) {
    __wasi_prestat_t prestat;
    say("folder", __wasi_fd_prestat_get(3, &prestat));
    end_line();
    __wasi_fd_t opened;
    say("file", __wasi_path_open(3, 0, "etc/passwd", 0, __WASI_RIGHTS_FD_READ, 0, 0, &opened));
    end_line();
}

static void try_network(void) {
    __wasi_fd_t accepted;
    say("network", __wasi_sock_accept(3, 0, &accepted));
    end_line();
}

static void try_surroundings(void) {
    __wasi_size_t count = 0, size = 0;
    say("environment", __wasi_environ_sizes_get(&count, &size));
    say_seen(count);
    end_line();
    say("arguments", __wasi_args_sizes_get(&count, &size));
    say_seen(count);
    end_line();
}

int main(void) {
    try_clocks();
    try_random();
    try_sleep();
    try_files();
    try_network();
    try_surroundings();
    return write_all(said, length) < 0;
}
