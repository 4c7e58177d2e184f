/*
 * Sends datagrams as fast as the kernel takes them.
 *
 *     burst ADDRESS PORT FILE
 *
 * FILE has the datagrams one after the other, each behind its length (16 bits, little-endian). Prints {"datagrams",
 * "seconds"}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common.h"

#define AT_ONCE_MAX 256

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("usage: burst ADDRESS PORT FILE\n", stderr);
    return 2;
  }
  FILE *file = fopen(argv[3], "r");
  struct stat status;
  if (file == NULL || fstat(fileno(file), &status) < 0) fail(argv[3]);
  unsigned char *bytes = malloc(status.st_size);
  if (fread(bytes, 1, status.st_size, file) != (size_t)status.st_size) fail(argv[3]);

  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) fail("inet_pton");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");

  struct iovec pieces[AT_ONCE_MAX];
  struct mmsghdr messages[AT_ONCE_MAX];
  long offset = 0, sent = 0;
  double begun = seconds_now();
  while (offset < status.st_size) {
    int count = 0;
    for (; count < AT_ONCE_MAX && offset < status.st_size; count++) {
      long length = bytes[offset] | bytes[offset + 1] << 8;
      pieces[count] = (struct iovec){.iov_base = bytes + offset + 2, .iov_len = length};
      messages[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[count], .msg_iovlen = 1}};
      offset += 2 + length;
    }
    for (int done = 0; done < count;) {
      int taken = sendmmsg(fd, messages + done, count - done, 0);
      if (taken < 0) fail("sendmmsg");
      done += taken;
    }
    sent += count;
  }
  printf("{\"datagrams\": %ld, \"seconds\": %.6f}\n", sent, seconds_now() - begun);
  return 0;
}
