/*
 * A server that costs nearly nothing: it responds to each request with the same few bytes. One thread, epoll.
 *
 *     server ADDRESS PORT [TYPE BODY]
 *
 * It reads no bodies: a request ends with an empty line. Prints "listening", and runs until it is ended.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define EVENTS_MAX 256
#define READ_BYTES 65536
/* Responses offered to the kernel at once. */
#define ANSWERS_MAX 1024

static const char END[] = "\r\n\r\n";

struct connection {
  int end_matched;  /* bytes of END that the request under way ends with */
  long owed_bytes;  /* of answers that the kernel has not taken */
};

static char *answers;
static long answer_bytes;
static char input[READ_BYTES];

static int count_requests(struct connection *connection, const char *bytes, int length) {
  int count = 0;
  int matched = connection->end_matched;
  for (int i = 0; i < length; i++) {
    if (bytes[i] != END[matched]) matched = bytes[i] == END[0] ? 1 : 0;
    else if (++matched == 4) {
      matched = 0;
      count++;
    }
  }
  connection->end_matched = matched;
  return count;
}

/* Returns whether the connection goes on. */
static int answer(int epoll, int fd, struct connection *connection, int was_blocked) {
  while (connection->owed_bytes > 0) {
    /* A partly taken response goes on with its rest. */
    long skip = (answer_bytes - connection->owed_bytes % answer_bytes) % answer_bytes;
    long length = connection->owed_bytes;
    if (length > (ANSWERS_MAX - 1) * answer_bytes) length = (ANSWERS_MAX - 1) * answer_bytes;
    long taken = send(fd, answers + skip, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return 0;
    if (taken < 0) break;
    connection->owed_bytes -= taken;
  }
  int is_blocked = connection->owed_bytes > 0;
  if (is_blocked != was_blocked) {
    struct epoll_event event = {.events = is_blocked ? EPOLLOUT : EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) < 0) fail("epoll_ctl");
  }
  return 1;
}

/* Returns whether the connection goes on. */
static int serve(int epoll, int fd, struct connection *connection) {
  int was_blocked = connection->owed_bytes > 0;
  if (!was_blocked) {
    long length = recv(fd, input, sizeof input, MSG_DONTWAIT);
    if (length < 0 && errno == EAGAIN) return 1;
    if (length <= 0) return 0;
    connection->owed_bytes = count_requests(connection, input, length) * answer_bytes;
  }
  return answer(epoll, fd, connection, was_blocked);
}

static void prepare_answers(const char *type, const char *body) {
  char *answer;
  answer_bytes = asprintf(&answer, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type,
                          strlen(body), body);
  answers = answer_bytes < 0 ? NULL : malloc(ANSWERS_MAX * answer_bytes);
  if (answers == NULL) fail("malloc");
  for (int i = 0; i < ANSWERS_MAX; i++) memcpy(answers + i * answer_bytes, answer, answer_bytes);
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 5) {
    fputs("usage: server ADDRESS PORT [TYPE BODY]\n", stderr);
    return 2;
  }
  prepare_answers(argc == 5 ? argv[3] : "text/plain", argc == 5 ? argv[4] : "hello");
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  struct connection *connections = calloc(limit.rlim_cur, sizeof *connections);
  if (connections == NULL) fail("calloc");

  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("inet_pton");
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) fail("bind");
  if (listen(listener, 65535) < 0) fail("listen");
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
  puts("listening");
  fflush(stdout);

  struct epoll_event events[EVENTS_MAX];
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (!serve(epoll, fd, &connections[fd])) close(fd);
        continue;
      }
      int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      if (accepted < 0) continue;
      setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      connections[accepted] = (struct connection){0};
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = accepted};
      if (epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &event) < 0) fail("epoll_ctl");
    }
  }
}
