/*
 * The floor: the cost of sending requests and reading their responses without any other work. One send and one recv for
 * DEPTH requests of a connection, epoll, one thread.
 *
 *     floor ADDRESS PORT CONNECTIONS REQUESTS DEPTH REQUEST
 *
 * Prints {"requests", "seconds", "user_us", "system_us"} of everything, as JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include "client.h"

#define EVENTS_MAX 256

static double microseconds(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

int main(int argc, char **argv) {
  if (argc != 7) {
    fputs("usage: floor ADDRESS PORT CONNECTIONS REQUESTS DEPTH REQUEST\n", stderr);
    return 2;
  }
  long connections = atol(argv[3]), depth = atol(argv[5]), request_bytes = strlen(argv[6]);
  /* Rounded down to whole writes. */
  long writes = atol(argv[4]) / depth, requests = writes * depth;
  char *request = malloc(request_bytes * depth);
  for (long i = 0; i < depth; i++) memcpy(request + i * request_bytes, argv[6], request_bytes);
  long *awaited = calloc(connections, sizeof *awaited);
  int *fds = calloc(connections, sizeof *fds);
  long answer_bytes = 0;

  int epoll = epoll_create1(0);
  for (long i = 0; i < connections; i++) {
    fds[i] = connect_to(argv[1], argv[2]);
    if (i == 0) answer_bytes = measure_answer(fds[0], argv[6], request_bytes, NULL, 0);
    watch(epoll, fds[i], i);
  }

  double begun = seconds_now();
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  long begun_writes = 0, done_writes = 0;
  for (long i = 0; i < connections && begun_writes < writes; i++, begun_writes++) {
    send_all(fds[i], request, request_bytes * depth);
    awaited[i] = answer_bytes * depth;
  }
  struct epoll_event events[EVENTS_MAX];
  while (done_writes < writes) {
    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      long at = events[i].data.u64;
      awaited[at] -= receive(fds[at]);
      if (awaited[at] > 0) continue;
      if (awaited[at] < 0) fail_with("an answer is longer than the first one was");
      done_writes++;
      if (begun_writes == writes) continue;
      begun_writes++;
      send_all(fds[at], request, request_bytes * depth);
      awaited[at] = answer_bytes * depth;
    }
  }
  getrusage(RUSAGE_SELF, &after);
  printf("{\"requests\": %ld, \"seconds\": %.6f, \"user_us\": %.0f, \"system_us\": %.0f}\n", requests, seconds_now() - begun,
         microseconds(after.ru_utime) - microseconds(before.ru_utime), microseconds(after.ru_stime) - microseconds(before.ru_stime));
  return 0;
}
