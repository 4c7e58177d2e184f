/*
 * The floor of forwarding: reads the same packets as the program, and writes the same bytes, with no work in between.
 * No reassembly, no HTTP, no counters; only VXLAN over IPv4. It waits if a socket does not take all bytes.
 *
 *     forwarder INTERFACE|FILE.pcap VNI PORT ENDPOINT_ADDRESS ENDPOINT_PORT
 *
 * An interface is read until SIGINT, through a ring of blocks (TPACKET_V3), a savefile to its end. Prints "Capturing
 * on" at its start, and {"bytes", "seconds", "user_us", "system_us"} as JSON at its end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "client.h"

#define EVENTS_MAX 256
#define BLOCK_BYTES (1 << 20)
#define BLOCKS 64
/* As in src/capture/live.ts: the time that the kernel gathers frames in a block. */
#define BLOCK_TIMEOUT_MS 4
/* Like the program: responses are read when frames come, and at least this often. */
#define SLEEP_MS 10
#define VXLAN_PORT 4789
#define OUTER_LEN (14 + 20 + 8 + 8)
#define CONNECTIONS_MAX 65536
#define FILE_HEADER_LEN 24
#define RECORD_HEADER_LEN 16
/* Packets of a savefile between two reads of the endpoint's responses. */
#define PACKETS_BETWEEN_LOOKS 256
#define FIN 1

struct connection {
  uint64_t client; /* address and port; 0: free */
  int fd;
  int is_ended; /* what comes now was sent twice */
};

static struct connection connections[CONNECTIONS_MAX];
static uint32_t vni, port;
static const char *endpoint_address, *endpoint_port;
static int epoll;
static long forwarded_bytes;
static volatile sig_atomic_t is_over;

static void end(int signal) {
  (void)signal;
  is_over = 1;
}

static uint32_t u16(const uint8_t *at) { return at[0] << 8 | at[1]; }
static uint32_t u32(const uint8_t *at) { return u16(at) << 16 | u16(at + 2); }

static struct connection *find(uint64_t client) {
  uint32_t at = (client * 0x9e3779b97f4a7c15ull) >> 48;
  while (connections[at].client != 0 && connections[at].client != client) at = (at + 1) % CONNECTIONS_MAX;
  return &connections[at];
}

static void forward(const uint8_t *frame, uint32_t length) {
  if (length < OUTER_LEN + 54 || u16(frame + 12) != ETH_P_IP || frame[14] != 0x45 || frame[23] != IPPROTO_UDP ||
      u16(frame + 36) != VXLAN_PORT || u32(frame + 46) >> 8 != vni)
    return;
  const uint8_t *ip = frame + OUTER_LEN + 14, *tcp = ip + (ip[0] & 15) * 4;
  if (u16(ip - 2) != ETH_P_IP || ip[9] != IPPROTO_TCP || u16(tcp + 2) != port) return;
  const uint8_t *payload = tcp + (tcp[12] >> 4) * 4;
  long payload_bytes = ip + u16(ip + 2) - payload;
  struct connection *connection = find((uint64_t)u32(ip + 12) << 16 | u16(tcp));
  if (connection->client == 0) {
    connection->client = (uint64_t)u32(ip + 12) << 16 | u16(tcp);
    connection->fd = connect_to(endpoint_address, endpoint_port);
    watch(epoll, connection->fd, connection - connections);
  }
  if (connection->is_ended) return;
  send_body(connection->fd, (const char *)payload, payload_bytes);
  forwarded_bytes += payload_bytes;
  if (!(tcp[13] & FIN)) return;
  shutdown(connection->fd, SHUT_WR);
  connection->is_ended = 1;
}

/* Reads the endpoint's responses, and throws them away. */
static void look(void) {
  static char answers[1 << 18];
  struct epoll_event events[EVENTS_MAX];
  int count = epoll_wait(epoll, events, EVENTS_MAX, 0);
  for (int i = 0; i < count; i++) {
    struct connection *connection = &connections[events[i].data.u64];
    if (recv(connection->fd, answers, sizeof answers, MSG_DONTWAIT) != 0) continue;
    close(connection->fd);
    connection->is_ended = 1;
  }
}

static void read_savefile(const char *name) {
  int fd = open(name, O_RDONLY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) < 0) fail(name);
  const uint8_t *file = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) fail("mmap");
  long packets = 0;
  for (long at = FILE_HEADER_LEN; at + RECORD_HEADER_LEN <= status.st_size && !is_over;) {
    uint32_t length = *(const uint32_t *)(file + at + 8);
    forward(file + at + RECORD_HEADER_LEN, length);
    at += RECORD_HEADER_LEN + length;
    if (++packets % PACKETS_BETWEEN_LOOKS == 0) look();
  }
}

static void capture(const char *interface) {
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)), version = TPACKET_V3;
  struct tpacket_req3 ring = {.tp_block_size = BLOCK_BYTES,
                              .tp_block_nr = BLOCKS,
                              .tp_frame_size = 2048,
                              .tp_frame_nr = BLOCKS * (BLOCK_BYTES / 2048),
                              .tp_retire_blk_tov = BLOCK_TIMEOUT_MS};
  struct sockaddr_ll address = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = if_nametoindex(interface)};
  if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) < 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
    fail("packet socket");
  uint8_t *blocks = mmap(NULL, (long)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (blocks == MAP_FAILED) fail("mmap");
  struct pollfd waited = {.fd = fd, .events = POLLIN};
  for (int at = 0; !is_over;) {
    uint8_t *block = blocks + (long)at * BLOCK_BYTES;
    struct tpacket_hdr_v1 *header = &((struct tpacket_block_desc *)block)->hdr.bh1;
    if (!(__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      poll(&waited, 1, SLEEP_MS);
      look();
      continue;
    }
    const uint8_t *packet = block + header->offset_to_first_pkt;
    for (uint32_t i = 0; i < header->num_pkts; i++) {
      const struct tpacket3_hdr *each = (const struct tpacket3_hdr *)packet;
      forward(packet + each->tp_mac, each->tp_snaplen);
      packet += each->tp_next_offset;
    }
    __atomic_store_n(&header->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    at = (at + 1) % BLOCKS;
  }
}

static double microseconds(struct timeval time) { return time.tv_sec * 1e6 + time.tv_usec; }

int main(int argc, char **argv) {
  if (argc != 6) {
    fputs("usage: forwarder INTERFACE|FILE.pcap VNI PORT ENDPOINT_ADDRESS ENDPOINT_PORT\n", stderr);
    return 2;
  }
  vni = atol(argv[2]);
  port = atol(argv[3]);
  endpoint_address = argv[4];
  endpoint_port = argv[5];
  epoll = epoll_create1(0);
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGINT, &action, NULL);
  puts("Capturing on");
  fflush(stdout);
  double begun = seconds_now();
  if (if_nametoindex(argv[1]) != 0) capture(argv[1]);
  else read_savefile(argv[1]);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("{\"bytes\": %ld, \"seconds\": %.6f, \"user_us\": %.0f, \"system_us\": %.0f}\n", forwarded_bytes,
         seconds_now() - begun, microseconds(usage.ru_utime), microseconds(usage.ru_stime));
  return 0;
}
