/* Holds many event streams of one node and notes when each event came.
 *
 *     hearing PORT SECONDS OUT < PLAN
 *
 * PLAN is a row of opening handshakes, each as two 32-bit numbers, the connection and the length,
 * and then its bytes. OUT gets one record for each entry of each message; what says in an entry
 * when it began is its `offset_ms`, in microseconds of CLOCK_MONOTONIC (see bench/announcing.py).
 * Frames are those of RFC 6455, section 5.2, from a server: not masked, and not in pieces.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STREAMS_MAX = 1024, BUFFER_MAX = 8 << 20, HANDSHAKE_MAX = 8192 };

struct record { uint32_t stream, unused; uint64_t sequence, began_us, came_us; };

struct stream { int socket, open; unsigned char *have; size_t length; };

static struct stream all[STREAMS_MAX];
static FILE *out;

static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void note(struct stream *one, char *text, size_t length, uint64_t came_us) {
    static const char entry[] = "{\"sequence\":", began[] = "\"offset_ms\":";
    char *end = text + length, *at = text;
    while ((at = memmem(at, (size_t)(end - at), entry, sizeof entry - 1))) {
        at += sizeof entry - 1;
        uint64_t sequence = strtoull(at, NULL, 10);
        char *next = memmem(at, (size_t)(end - at), entry, sizeof entry - 1);
        char *said = memmem(at, (size_t)((next ? next : end) - at), began, sizeof began - 1);
        uint64_t began_us = said ? strtoull(said + sizeof began - 1, NULL, 10) : 0;
        struct record kept = {(uint32_t)(one - all), 0, sequence, began_us, came_us};
        if (fwrite(&kept, sizeof kept, 1, out) != 1) fail("writing");
    }
}

/* Returns the length of the first whole frame and where its text is, or 0. */
static size_t frame(unsigned char *have, size_t length, size_t *text, size_t *text_length) {
    if (length < 2) return 0;
    size_t head = 2, said = have[1] & 0x7f, more = said == 126 ? 2 : said == 127 ? 8 : 0;
    if (length < head + more) return 0;
    if (more) said = 0;
    for (size_t n = 0; n < more; n++) said = said << 8 | have[head + n];
    *text = head + more;
    *text_length = said;
    return length < head + more + said ? 0 : head + more + said;
}

static void read_more(struct stream *one) {
    ssize_t came = recv(one->socket, one->have + one->length, BUFFER_MAX - one->length, 0);
    uint64_t came_us = now_us();
    if (came < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (came <= 0) { one->open = 0; close(one->socket); return; }
    one->length += (size_t)came;
    size_t done = 0, whole, text, text_length;
    while ((whole = frame(one->have + done, one->length - done, &text, &text_length))) {
        if ((one->have[done] & 0x0f) == 1)
            note(one, (char *)one->have + done + text, text_length, came_us);
        done += whole;
    }
    memmove(one->have, one->have + done, one->length - done);
    one->length -= done;
}

static void dial(struct stream *one, int port, const char *handshake, size_t length) {
    int yes = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->have = malloc(BUFFER_MAX);
    one->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (!one->have || one->socket < 0 || connect(one->socket, (void *)&to, sizeof to))
        fail("connecting");
    setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (send(one->socket, handshake, length, 0) != (ssize_t)length) fail("sending");
    char answer[HANDSHAKE_MAX + 1] = "";
    size_t have = 0;
    while (!strstr(answer, "\r\n\r\n") && have < HANDSHAKE_MAX) {
        /* One byte at a time, so that nothing of the first message is taken along. */
        if (recv(one->socket, answer + have, 1, 0) != 1) fail("reading");
        answer[++have] = 0;
    }
    if (strncmp(answer, "HTTP/1.1 101", 12)) { fprintf(stderr, "%s\n", answer); exit(3); }
    one->open = 1;
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "hearing PORT SECONDS OUT < PLAN\n"); return 2; }
    int poller = epoll_create1(0), left = 0;
    out = fopen(argv[3], "wb");
    if (!out || poller < 0) fail("opening");
    uint32_t head[2];
    char handshake[HANDSHAKE_MAX];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        if (head[0] >= STREAMS_MAX || head[1] > sizeof handshake) return 2;
        if (fread(handshake, 1, head[1], stdin) != head[1]) return 2;
        struct stream *one = &all[head[0]];
        dial(one, atoi(argv[1]), handshake, head[1]);
        struct epoll_event want = {EPOLLIN, {.ptr = one}};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, one->socket, &want)) fail("epoll");
        left++;
    }
    uint64_t ends_us = now_us() + (uint64_t)(strtod(argv[2], NULL) * 1e6);
    while (left && now_us() < ends_us) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, 50);
        for (int at = 0; at < ready; at++) {
            struct stream *one = events[at].data.ptr;
            if (one->open) read_more(one);
            if (!one->open) left--;
        }
    }
    return fclose(out) ? 1 : 0;
}
