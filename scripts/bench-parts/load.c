/*
 * Clients at a chosen rate: CONNECTIONS keep-alive connections, each with one request at a time.
 *
 *     load ADDRESS PORT CONNECTIONS SECONDS RATE REQUEST BODY_BYTES
 *
 * Each REQUEST is followed by a body of BODY_BYTES; the clients wait until the kernel has taken it. A REQUEST with
 * "Connection: close" has its own connection. RATE is in requests per second, evenly spaced; 0: each connection sends
 * as soon as its response has come. If all connections wait for a response, the rate is not reached, and the missed
 * requests are not sent later. Prints {"requests", "seconds"} as JSON after the last response.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include "client.h"

#define EVENTS_MAX 256
/* The interval of the checks whether a request is due. */
#define TICK_NS 200000
/* If all connections were busy, due requests wait; at most this many are sent in one go. */
#define BEHIND_MAX 64.0

static long connections, request_bytes, body_bytes, sent;
static const char *request;
static char *body;
static int *fds;
/* Idle connections: a ring, with the longest idle one first. */
static long *idle, idle_first, idle_count;
static long *awaited, answer_bytes;

static void rest(long at) { idle[(idle_first + idle_count++) % connections] = at; }

static long longest_idle(void) {
  long at = idle[idle_first];
  idle_first = (idle_first + 1) % connections;
  idle_count--;
  return at;
}

static void send_on(long at) {
  send_all(fds[at], request, request_bytes);
  send_body(fds[at], body, body_bytes);
  awaited[at] = answer_bytes;
  sent++;
}

static int tick_every(long ns) {
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct itimerspec every = {.it_interval.tv_nsec = ns, .it_value.tv_nsec = ns};
  if (timer < 0 || timerfd_settime(timer, 0, &every, NULL) < 0) fail("timerfd");
  return timer;
}

/* Its response has come: the next request uses another connection, if the request says so. */
static void next_connection(int epoll, long at, char **argv) {
  close(fds[at]);
  fds[at] = connect_to(argv[1], argv[2]);
  watch(epoll, fds[at], at);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fputs("usage: load ADDRESS PORT CONNECTIONS SECONDS RATE REQUEST BODY_BYTES\n", stderr);
    return 2;
  }
  connections = atol(argv[3]);
  double seconds = atof(argv[4]), rate = atof(argv[5]);
  request = argv[6];
  request_bytes = strlen(request);
  body_bytes = atol(argv[7]);
  body = malloc(body_bytes + 1);
  memset(body, 'x', body_bytes);
  fds = calloc(connections, sizeof *fds);
  awaited = calloc(connections, sizeof *awaited);
  idle = calloc(connections, sizeof *idle);

  int is_closing = strcasestr(request, "\r\nConnection: close\r\n") != NULL;
  int epoll = epoll_create1(0), timer = tick_every(TICK_NS);
  watch(epoll, timer, connections);
  for (long i = 0; i < connections; i++) {
    fds[i] = connect_to(argv[1], argv[2]);
    if (i == 0) answer_bytes = measure_answer(fds[0], request, request_bytes, body, body_bytes);
    if (i == 0 && is_closing)
      next_connection(epoll, i, argv);
    else
      watch(epoll, fds[i], i);
    rest(i);
  }

  double begun = seconds_now(), due = 0, due_at = begun;
  struct epoll_event events[EVENTS_MAX];
  for (;;) {
    double now = seconds_now();
    int is_over = now - begun >= seconds;
    if (is_over && idle_count == connections) break;
    due = rate > 0 ? due + rate * (now - due_at) : connections;
    due_at = now;
    if (rate > 0 && due > BEHIND_MAX) due = BEHIND_MAX;
    for (; !is_over && due >= 1 && idle_count > 0; due--) send_on(longest_idle());

    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      long at = events[i].data.u64;
      uint64_t ticks;
      if (at == connections) {
        if (read(timer, &ticks, sizeof ticks) < 0) fail("read");
        continue;
      }
      awaited[at] -= receive(fds[at]);
      if (awaited[at] < 0) fail_with("an answer is longer than the first one was");
      if (awaited[at] > 0) continue;
      if (is_closing) next_connection(epoll, at, argv);
      rest(at);
    }
  }
  /* One more was sent to measure the response. */
  printf("{\"requests\": %ld, \"seconds\": %.6f}\n", sent + 1, seconds_now() - begun);
  return 0;
}
