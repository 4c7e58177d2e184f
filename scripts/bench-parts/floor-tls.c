/*
 * The floor over TLS: the same as floor.c, with OpenSSL between it and the kernel. Needs OpenSSL's headers
 * (libssl-dev).
 *
 *     floor-tls ADDRESS PORT CONNECTIONS REQUESTS REQUEST
 *
 * Certificates are not verified, because a verification happens only once for a connection. Prints {"requests",
 * "seconds", "user_us", "system_us"} of everything except the handshakes, as JSON.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include "client.h"

#define EVENTS_MAX 256
#define ANSWER_BYTES_MAX 16384

static double microseconds(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

static SSL *connect_tls(SSL_CTX *context, int fd) {
  SSL *ssl = SSL_new(context);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) fail_with("SSL_new");
  if (SSL_connect(ssl) != 1) fail_with("the TLS handshake has failed");
  /* A record that is no response (a session ticket) must be reported, so that no read waits behind it. */
  SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
  return ssl;
}

static void say(SSL *ssl, const char *request, int length) {
  if (SSL_write(ssl, request, length) != length) fail_with("a request was not taken as a whole");
}

/* The number of a response's bytes in one record; 0: the record was none. */
static long hear(SSL *ssl) {
  static char answers[ANSWER_BYTES_MAX];
  int length = SSL_read(ssl, answers, sizeof answers);
  if (length > 0) return length;
  if (SSL_get_error(ssl, length) != SSL_ERROR_WANT_READ) fail_with("the server has closed a connection");
  return 0;
}

/* The first response is one record: the server writes it at once. */
static long first_answer(SSL *ssl, const char *request, int length) {
  long bytes = 0;
  say(ssl, request, length);
  while (bytes == 0) bytes = hear(ssl);
  return bytes;
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fputs("usage: floor-tls ADDRESS PORT CONNECTIONS REQUESTS REQUEST\n", stderr);
    return 2;
  }
  long connections = atol(argv[3]), requests = atol(argv[4]);
  int request_bytes = strlen(argv[5]);
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL **tls = calloc(connections, sizeof *tls);
  long *awaited = calloc(connections, sizeof *awaited);
  long answer_bytes = 0;

  int epoll = epoll_create1(0);
  for (long i = 0; i < connections; i++) {
    int fd = connect_to(argv[1], argv[2]);
    tls[i] = connect_tls(context, fd);
    answer_bytes = first_answer(tls[i], argv[5], request_bytes);
    watch(epoll, fd, i);
  }

  double begun = seconds_now();
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  long begun_requests = 0, done = 0;
  for (long i = 0; i < connections && begun_requests < requests; i++, begun_requests++) {
    say(tls[i], argv[5], request_bytes);
    awaited[i] = answer_bytes;
  }
  struct epoll_event events[EVENTS_MAX];
  while (done < requests) {
    int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      long at = events[i].data.u64;
      awaited[at] -= hear(tls[at]);
      if (awaited[at] > 0) continue;
      if (awaited[at] < 0) fail_with("an answer is longer than the first one was");
      done++;
      if (begun_requests == requests) continue;
      begun_requests++;
      say(tls[at], argv[5], request_bytes);
      awaited[at] = answer_bytes;
    }
  }
  getrusage(RUSAGE_SELF, &after);
  printf("{\"requests\": %ld, \"seconds\": %.6f, \"user_us\": %.0f, \"system_us\": %.0f}\n", requests, seconds_now() - begun,
         microseconds(after.ru_utime) - microseconds(before.ru_utime), microseconds(after.ru_stime) - microseconds(before.ru_stime));
  return 0;
}
