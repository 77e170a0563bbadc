/* A load client: keeps many connections to an echo server busy, one message in flight on each, and checks every byte.
 *
 * load PORT PID CONNECTIONS BUSY SIZE MESSAGES SECONDS PATIENCE
 *
 * Connects CONNECTIONS times to 127.0.0.1:PORT and sends one message on each; then BUSY of them send a message as soon
 * as the last came back, until MESSAGES have been echoed (after a tenth of that to warm up) or SECONDS have passed.
 * Prints one line of JSON: messages, wall seconds, CPU seconds of process PID (the server) meanwhile, and the 50th and
 * 99th percentile of round trips in microseconds. Ends with status 1 and a reason if anything goes wrong, or if it is
 * not connected and warm within PATIENCE seconds. Stays connected until its standard input ends, so that the server
 * does not see clients leave; closes with a reset, leaving no TIME_WAIT.
 *
 * It never sleeps while there is a second core: a server slower than its client would pay for waking it at every send,
 * which a server does not do for clients on other machines, and a faster one would not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, BATCH = 100 };

struct conn {
    int fd;
    int received, sent; /* of the message in flight */
    int busy;           /* sends the next message when one has come back */
    uint64_t since;     /* when the message in flight was begun */
};

static char *message, *buffer;
static int size, epoll, nap;
static uint64_t deadline;

static void fail(const char *what) {
    fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static uint64_t now(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) < 0)
        fail("clock");
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void watch(struct conn *conn, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = conn};
    if (epoll_ctl(epoll, operation, conn->fd, &event) < 0)
        fail("epoll_ctl");
}

static void connect_to(struct conn *conn, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct linger reset = {1, 0};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if ((conn->fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        fail("socket");
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    watch(conn, EPOLL_CTL_ADD, EPOLLIN);
}

/* Send what is left of the message, and ask to be told when there is space again if not all of it fits. */
static void go_on_sending(struct conn *conn) {
    int waited = conn->sent > 0;
    ssize_t sent = send(conn->fd, message + conn->sent, size - conn->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        fail("send");
    conn->sent += sent > 0 ? sent : 0;
    if (conn->sent < size || waited)
        watch(conn, EPOLL_CTL_MOD, conn->sent < size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin(struct conn *conn) {
    conn->received = conn->sent = 0;
    conn->since = now(CLOCK_MONOTONIC);
    go_on_sending(conn);
}

/* Read once; 1 if that completed the message. */
static int receive(struct conn *conn) {
    ssize_t got = recv(conn->fd, buffer, size - conn->received, 0);
    if (got < 0 && errno == EAGAIN)
        return 0;
    if (got <= 0)
        fail(got ? "recv" : "the server closed a connection");
    if (memcmp(buffer, message + conn->received, got) != 0)
        fail("the server sent back other bytes than it got");
    return (conn->received += got) == size;
}

static void fail_late(void) {
    errno = 0;
    fail("out of time");
}

/* Carry messages until `wanted` have come back or the time is over; how many. Round trips go to `trips`, if given. */
static long carry(long wanted, uint64_t *trips) {
    struct epoll_event events[EVENTS];
    long done = 0;
    while (done < wanted && now(CLOCK_MONOTONIC) < deadline) {
        int count = epoll_wait(epoll, events, EVENTS, nap);
        for (int i = 0; i < count; i++) {
            struct conn *conn = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                go_on_sending(conn);
            if (!(events[i].events & ~EPOLLOUT) || !receive(conn))
                continue;
            if (trips && done < wanted)
                trips[done] = now(CLOCK_MONOTONIC) - conn->since;
            done++;
            if (conn->busy)
                begin(conn);
        }
    }
    return done < wanted ? done : wanted;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: load PORT PID CONNECTIONS BUSY SIZE MESSAGES SECONDS PATIENCE\n");
        return 2;
    }
    int port = atoi(argv[1]), pid = atoi(argv[2]), connections = atoi(argv[3]), busy = atoi(argv[4]);
    long messages = atol(argv[6]);
    size = atoi(argv[5]);
    nap = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 0 : 1000; /* milliseconds */
    deadline = now(CLOCK_MONOTONIC) + atol(argv[8]) * 1000000000ull;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct conn *conns = calloc(connections, sizeof *conns);
    uint64_t *trips = calloc(messages, sizeof *trips);
    message = malloc(size);
    buffer = malloc(size);
    epoll = epoll_create1(0);
    clockid_t server;
    if (!conns || !trips || !message || !buffer || epoll < 0)
        fail("no memory");
    if ((errno = clock_getcpuclockid(pid, &server)))
        fail("the server's clock");
    for (int i = 0; i < size; i++)
        message[i] = i * 31 + 7;

    for (int first = 0; first < connections; first += BATCH) { /* no more than fit the backlog at a time */
        int last = first + BATCH < connections ? first + BATCH : connections;
        for (int i = first; i < last; i++)
            connect_to(&conns[i], port);
        for (int i = first; i < last; i++)
            begin(&conns[i]);
        if (carry(last - first, NULL) < last - first)
            fail_late();
    }
    for (int i = 0; i < busy; i++) /* spread over all, as busy clients are */
        conns[(long)i * connections / busy].busy = 1;
    for (int i = 0; i < connections; i++)
        if (conns[i].busy)
            begin(&conns[i]);
    if (carry(messages / 10, NULL) < messages / 10)
        fail_late();
    uint64_t cpu = now(server), wall = now(CLOCK_MONOTONIC);
    deadline = wall + atol(argv[7]) * 1000000000ull;
    messages = carry(messages, trips);
    cpu = now(server) - cpu;
    wall = now(CLOCK_MONOTONIC) - wall;

    if (messages == 0)
        fail_late();
    qsort(trips, messages, sizeof *trips, compare);
    printf("{\"messages\": %ld, \"wall\": %.9f, \"cpu\": %.9f, \"p50\": %.3f, \"p99\": %.3f}\n", messages, wall / 1e9,
           cpu / 1e9, trips[messages / 2] / 1e3, trips[messages * 99 / 100] / 1e3);
    fflush(stdout);
    while (read(STDIN_FILENO, buffer, 1) > 0)
        ;
    return 0;
}
