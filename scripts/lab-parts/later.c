/*
 * Hands frames on later than they came, each by a time of its own: so that they come in another order.
 *
 *     later IN OUT DELAY_MAX_MS
 *
 * Frames that arrive on the device IN leave through OUT unchanged, up to DELAY_MAX_MS later. Runs in the background,
 * until it is ended; when the command returns, it hands on frames already.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench-parts/common.h"

/* The frames that wait at a time. With this many, further ones wait in the kernel. */
#define FRAMES_MAX 4096
#define FRAME_BYTES_MAX 9216

static struct frame {
  double due;
  int length;
  char bytes[FRAME_BYTES_MAX];
} frames[FRAMES_MAX];
static int count;

static int packets_of(const char *device, int protocol) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(protocol));
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
  address.sll_ifindex = if_nametoindex(device);
  if (fd < 0 || address.sll_ifindex == 0) fail(device);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(device);
  return fd;
}

static void take(int in, double delay_max) {
  struct frame *frame = &frames[count];
  frame->length = recv(in, frame->bytes, FRAME_BYTES_MAX, MSG_DONTWAIT);
  if (frame->length < 0 && errno != EAGAIN) fail("recv");
  if (frame->length <= 0) return;
  frame->due = seconds_now() + delay_max * drand48();
  count++;
}

/* Returns in how many seconds the next one is due, at most `wait`. */
static double hand_on(int out, double wait) {
  double now = seconds_now();
  for (int i = 0; i < count;) {
    if (frames[i].due > now) {
      if (frames[i].due - now < wait) wait = frames[i].due - now;
      i++;
    } else {
      if (send(out, frames[i].bytes, frames[i].length, 0) < 0 && errno != ENOBUFS) fail("send");
      frames[i] = frames[--count];
    }
  }
  return wait;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: later IN OUT DELAY_MAX_MS\n", stderr);
    return 2;
  }
  int in = packets_of(argv[1], ETH_P_ALL), out = packets_of(argv[2], 0);
  double delay_max = atof(argv[3]) / 1e3;
  if (daemon(0, 0) < 0) fail("daemon");
  for (;;) {
    double wait = hand_on(out, 1);
    struct pollfd readable = {.fd = in, .events = count < FRAMES_MAX ? POLLIN : 0};
    struct timespec timeout = {.tv_nsec = wait < 1 ? wait * 1e9 : 0, .tv_sec = wait < 1 ? 0 : 1};
    if (ppoll(&readable, 1, &timeout, NULL) < 0 && errno != EINTR) fail("ppoll");
    if (readable.revents != 0) take(in, delay_max);
  }
}
