/* Shared by floor.c, forwarder.c and load.c: connections to a server whose responses all have the same length. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

static void fail_with(const char *why) {
  fprintf(stderr, "%s\n", why);
  exit(1);
}

static int connect_to(const char *host, const char *port) {
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("inet_pton");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void watch(int epoll, int fd, long number) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = number};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

/* Small requests fit into the socket's buffer: an incomplete write is an error. */
static void send_all(int fd, const char *bytes, long length) {
  long taken = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (taken < 0) fail("send");
  if (taken != length) fail_with("the kernel took only a part of a request");
}

/* Waits until the kernel has taken all bytes. */
static void send_body(int fd, const char *bytes, long length) {
  while (length > 0) {
    long taken = send(fd, bytes, length, MSG_NOSIGNAL);
    if (taken < 0) fail("send");
    bytes += taken;
    length -= taken;
  }
}

static inline long receive(int fd) {
  static char answers[65536];
  long length = recv(fd, answers, sizeof answers, MSG_DONTWAIT);
  if (length < 0) fail("recv");
  if (length == 0) fail_with("the server has closed a connection");
  return length;
}

/* Sends one request and returns the length of its response, from the response's head. */
static inline long measure_answer(int fd, const char *request, long request_bytes, const char *body, long body_bytes) {
  char answer[4096];
  long length = 0;
  send_all(fd, request, request_bytes);
  send_body(fd, body, body_bytes);
  for (;;) {
    long more = recv(fd, answer + length, sizeof answer - 1 - length, 0);
    if (more <= 0) fail_with("the server gave no answer that could be measured");
    length += more;
    answer[length] = 0;
    char *end = strstr(answer, "\r\n\r\n"), *field = strcasestr(answer, "\r\nContent-Length:");
    if (end == NULL) continue;
    if (field == NULL || field > end) fail_with("the server's answer has no Content-Length");
    long whole = end + 4 - answer + atol(field + strlen("\r\nContent-Length:"));
    if (length == whole) return whole;
    if (length > whole) fail_with("the server answered more than was asked");
  }
}
