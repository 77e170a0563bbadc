/* An echo server: one thread, level-triggered epoll, one read and one write a message.
 *
 * server FD: FD is a listening socket. Bytes that a slow client does not take are waited for with a blocking write:
 * the load client always reads.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, CHUNK = 65536 };

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: server FD\n");
        return 2;
    }
    int listener = atoi(argv[1]), epoll = epoll_create1(0);
    static char data[CHUNK];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) {
        perror("server: epoll");
        return 1;
    }
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int conn = accept4(listener, NULL, NULL, 0);
                struct epoll_event added = {.events = EPOLLIN, .data.fd = conn};
                if (conn >= 0)
                    epoll_ctl(epoll, EPOLL_CTL_ADD, conn, &added);
                continue;
            }
            ssize_t size = recv(fd, data, CHUNK, 0);
            for (ssize_t sent = 0, now; size > 0 && sent < size; sent += now)
                if ((now = send(fd, data + sent, size - sent, MSG_NOSIGNAL)) < 0)
                    size = -1;
            if (size <= 0)
                close(fd);
        }
    }
}
