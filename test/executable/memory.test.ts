/**
 * The program's memory in a flood: at most --max-buffer-mib and 100 MB; and an earlier connection is still forwarded.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { bytes, ethernet, ip, mirrored, mirroredSegment, TCP } from "../support/frames.ts";
import { type Change, flooded, INNER_IP_OFFSET, INNER_TCP_OFFSET, SavefileMaker } from "./flood.ts";
import { TemporaryDirectory } from "./program.ts";
import { refusingAddress } from "./recording-endpoint.ts";

const directory = new TemporaryDirectory();
afterAll(() => directory[Symbol.dispose]());

const VNI = 42;
const PORT = 80;
/** The peak differs by this much between runs, because it depends on when garbage is collected. */
const SPREAD_BYTES = 16 * 2 ** 20;
const LIMIT_BYTES = 256 * 2 ** 20 + 100e6 + SPREAD_BYTES;
/** More than the limit, if each brings a thousand bytes. */
const COUNT = 300_000;
/** Half a million a second. */
const INTERVAL_MS = 0.002;
/** In mode tcp each flow is a connection, and reading waits for it: this number fills the program's tables. */
const TCP_COUNT = 140_000;
/** Records of the flood between two requests of the earlier connection. */
const FLOOD_RECORDS = 20_000;
const REQUEST = bytes("GET / HTTP/1.1\r\nHost: production.example\r\n\r\n");

interface Flood {
  name: string;
  template: Uint8Array;
  change: Change;
}

function segment(source: string, flags: string, sequence: number, payload = bytes()): Uint8Array {
  return mirroredSegment(
    {
      source,
      destination: "10.200.0.1",
      sourcePort: 1024,
      destinationPort: PORT,
      sequence,
      acknowledgment: 1,
      flags,
      payload,
    },
    VNI,
  );
}

function fragment(length: number, fragmentOffset: number): Uint8Array {
  return mirrored(
    ethernet(ip("10.0.0.1", "10.200.0.1", TCP, new Uint8Array(length), { fragmentOffset, moreFragments: true })),
    { vni: VNI },
  );
}

const toClient: Change = (view, at, number) => {
  view.setUint32(at + INNER_IP_OFFSET + 12, 0x0a00_0000 + (number >> 4));
  view.setUint16(at + INNER_TCP_OFFSET, 1024 + (number & 15));
};

/** Each of this many clients leaves a hole of one byte. */
const toHoleOf =
  (clients: number, length: number): Change =>
  (view, at, number) => {
    toClient(view, at, number % clients);
    view.setUint32(at + INNER_TCP_OFFSET + 4, 2000 + Math.floor(number / clients) * (length + 1));
  };

const toDatagram: Change = (view, at, number) => {
  view.setUint16(at + INNER_IP_OFFSET + 4, number);
  view.setUint32(at + INNER_IP_OFFSET + 12, 0x0a00_0000 + (number >> 16));
};

const FLOODS: Flood[] = [
  { name: "SYNs of other connections", template: segment("10.0.0.1", "S", 0), change: toClient },
  {
    name: "bytes of other connections without a SYN",
    template: segment("10.0.0.1", "A", 2000, new Uint8Array(1000)),
    change: toClient,
  },
  {
    name: "bytes behind holes of many connections",
    template: segment("10.0.0.1", "A", 2000, new Uint8Array(1000)),
    change: toHoleOf(50_000, 1000),
  },
  {
    name: "small segments behind holes of many connections",
    template: segment("10.0.0.1", "A", 2000, new Uint8Array(10)),
    change: toHoleOf(50_000, 10),
  },
  { name: "fragments that are never completed", template: fragment(1000, 8), change: toDatagram },
  {
    name: "fragments of large datagrams that are never completed",
    template: fragment(800, 64_000),
    change: toDatagram,
  },
];

/** A savefile in which one client goes on sending requests while `count` records of a flood come. */
function* savefile({ template, change }: Flood, count: number): Generator<Uint8Array> {
  const maker = new SavefileMaker(INTERVAL_MS);
  const client = "192.0.2.1";
  let sequence = 1;
  yield maker.header();
  yield* maker.records(segment(client, "S", 0), 1);
  for (let done = 0; done < count; done += FLOOD_RECORDS) {
    yield* maker.records(template, FLOOD_RECORDS, change, done);
    yield* maker.records(segment(client, "A", sequence, REQUEST), 1);
    sequence += REQUEST.length;
  }
  yield* maker.records(segment(client, "AF", sequence), 1);
}

const summary = directory.file("summary.json", "");
const args = (mode: string, address: string) => [
  "--mode",
  mode,
  "--summary",
  summary,
  "--read",
  "-",
  String(VNI),
  String(PORT),
  address,
];

describe("a flood", () => {
  test.each(FLOODS)(
    "$name in mode http",
    async (flood) => {
      let requests = 0;
      using server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => (requests++, new Response("ok")) });
      const { status, peakBytes } = await flooded(args("http", `127.0.0.1:${server.port}`), savefile(flood, COUNT));
      expect(status).toBe(0);
      expect(peakBytes).toBeGreaterThan(0);
      expect(peakBytes).toBeLessThan(LIMIT_BYTES);
      expect(requests).toBe(COUNT / FLOOD_RECORDS);
      const { frames, requests: counted } = await Bun.file(summary).json();
      expect(frames.captured).toBe(COUNT + COUNT / FLOOD_RECORDS + 2);
      expect(counted.answered).toBe(requests);
    },
    60_000,
  );
});

describe("a flood in mode tcp with an endpoint that refuses connections", () => {
  test.each(FLOODS.slice(0, 3))(
    "$name",
    async (flood) => {
      const { peakBytes } = await flooded(
        ["--outage-timeout-s", "1", ...args("tcp", refusingAddress())],
        savefile(flood, TCP_COUNT),
      );

      expect(peakBytes).toBeGreaterThan(0);
      expect(peakBytes).toBeLessThan(LIMIT_BYTES);
      const { frames } = await Bun.file(summary).json();
      expect(frames.captured).toBe(TCP_COUNT + TCP_COUNT / FLOOD_RECORDS + 2);
    },
    60_000,
  );
});
