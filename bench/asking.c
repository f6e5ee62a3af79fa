/* Asks one server over many connections at once and notes every answer.
 *
 *     asking PORT SECONDS EACH_MAX OUT < PLAN
 *
 * Every connection is kept and asks again as soon as it was answered, until SECONDS are over or it
 * has asked EACH_MAX times. PLAN is a row of requests, each as two 32-bit numbers, the connection
 * and the length, and then its bytes; a connection goes through its requests again and again. Where
 * sixteen `#` stand in a request, the count of requests on that connection takes their place, so
 * that each can be another. OUT gets one record for each answer; status 0 says that the connection
 * was lost instead. Times are CLOCK_MONOTONIC, so that others can compare theirs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1024, ANSWER_MAX = 1 << 20, MARK = 16, GRACE_S = 10 };

struct record { uint32_t connection, status; uint64_t began_ns, took_ns; };

struct request { char *bytes; uint32_t length; };

struct connection {
    int socket, open;
    struct request *requests;
    uint32_t request_count, asked;
    char *answer;      /* What has come of the answer that is awaited. */
    size_t have;
    char *said;        /* What is being sent, and how far that is. */
    size_t said_length, sent;
    uint64_t began_ns; /* 0 while nothing is awaited. */
};

static struct connection all[CONNECTIONS_MAX];
static uint32_t count, waiting, each_max;
static uint64_t ends_ns;
static FILE *out;
static int poller;

static void fail(const char *what) { perror(what); exit(1); }

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *grown(void *old, size_t size) {
    void *made = realloc(old, size);
    if (!made) fail("memory");
    return made;
}

static void read_plan(void) {
    uint32_t head[2];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        if (head[0] >= CONNECTIONS_MAX || head[1] > ANSWER_MAX) exit(2);
        struct connection *one = &all[head[0]];
        one->requests = grown(one->requests, (one->request_count + 1) * sizeof(struct request));
        struct request *last = &one->requests[one->request_count++];
        last->length = head[1];
        last->bytes = grown(NULL, head[1] + 1);
        if (fread(last->bytes, 1, head[1], stdin) != head[1]) exit(2);
        last->bytes[head[1]] = 0;
        if (head[0] >= count) count = head[0] + 1;
    }
}

static void note(struct connection *one, uint32_t status) {
    struct record said = {(uint32_t)(one - all), status, one->began_ns, now_ns() - one->began_ns};
    if (fwrite(&said, sizeof said, 1, out) != 1) fail("writing");
    one->began_ns = 0;
    waiting--;
}

static void lose(struct connection *one) {
    if (one->began_ns) note(one, 0);
    close(one->socket);
    one->open = 0;
}

static void send_more(struct connection *one) {
    while (one->sent < one->said_length) {
        ssize_t went = send(one->socket, one->said + one->sent, one->said_length - one->sent,
                            MSG_NOSIGNAL);
        if (went < 0 && errno == EINTR) continue;
        if (went < 0 && errno == EAGAIN) break;
        if (went < 0) { lose(one); return; }
        one->sent += (size_t)went;
    }
    int more = one->sent < one->said_length;
    struct epoll_event want = {EPOLLIN | (more ? EPOLLOUT : 0u), {.ptr = one}};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, one->socket, &want)) fail("epoll");
}

static void ask(struct connection *one) {
    if (one->asked >= each_max || now_ns() >= ends_ns) return;
    struct request *next = &one->requests[one->asked % one->request_count];
    one->said = grown(one->said, next->length + 1u);
    memcpy(one->said, next->bytes, next->length + 1u);
    char number[MARK + 1];
    snprintf(number, sizeof number, "%016u", one->asked);
    for (char *at = one->said; (at = memmem(at, next->length - (size_t)(at - one->said),
                                            "################", MARK)); at += MARK)
        memcpy(at, number, MARK);
    one->asked++;
    one->said_length = next->length;
    one->sent = one->have = 0;
    one->began_ns = now_ns();
    waiting++;
    send_more(one);
}

/* Returns the length of the whole answer, or 0 as long as that is not known. */
static size_t answer_length(struct connection *one) {
    char *body = memmem(one->answer, one->have, "\r\n\r\n", 4);
    if (!body) return 0;
    size_t length = 0;
    for (char *line = one->answer; line < body; line += 2) {
        if (!strncasecmp(line, "content-length:", 15)) length = strtoul(line + 15, NULL, 10);
        line = memmem(line, (size_t)(body + 2 - line), "\r\n", 2);
    }
    return (size_t)(body + 4 - one->answer) + length;
}

static void read_more(struct connection *one) {
    ssize_t came = recv(one->socket, one->answer + one->have, ANSWER_MAX - one->have, 0);
    if (came < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (came <= 0 || !one->began_ns) { lose(one); return; }
    one->have += (size_t)came;
    size_t whole = answer_length(one);
    if (!whole || one->have < whole) {
        if (one->have == ANSWER_MAX) lose(one);
        return;
    }
    note(one, (uint32_t)strtoul(one->answer + 9, NULL, 10));
    ask(one);
}

static void dial(struct connection *one, int port) {
    int yes = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    one->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (one->socket < 0 || connect(one->socket, (void *)&to, sizeof to)) fail("connecting");
    setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    one->answer = grown(NULL, ANSWER_MAX);
    one->open = 1;
    struct epoll_event want = {EPOLLIN, {.ptr = one}};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, one->socket, &want)) fail("epoll");
}

int main(int argc, char **argv) {
    if (argc != 5) { fprintf(stderr, "asking PORT SECONDS EACH_MAX OUT < PLAN\n"); return 2; }
    read_plan();
    each_max = (uint32_t)strtoul(argv[3], NULL, 10);
    out = fopen(argv[4], "wb");
    poller = epoll_create1(0);
    if (!out || poller < 0) fail("opening");
    for (uint32_t at = 0; at < count; at++)
        if (all[at].request_count) dial(&all[at], atoi(argv[1]));
    ends_ns = now_ns() + (uint64_t)(strtod(argv[2], NULL) * 1e9);
    for (uint32_t at = 0; at < count; at++)
        if (all[at].open) ask(&all[at]);
    uint64_t gives_up_ns = ends_ns + GRACE_S * 1000000000ull;
    while (waiting && now_ns() < gives_up_ns) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, 100);
        for (int at = 0; at < ready; at++) {
            struct connection *one = events[at].data.ptr;
            if (one->open && events[at].events & EPOLLOUT) send_more(one);
            if (one->open && events[at].events & ~(uint32_t)EPOLLOUT) read_more(one);
        }
    }
    return fclose(out) ? 1 : waiting != 0;
}
