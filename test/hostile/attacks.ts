/** The floods of each kind, and the behaviour of a hostile endpoint. */
import { bytes, ethernet, ip, mirrored, TCP, tcp } from "../support/frames.ts";
import type { Attack } from "./attack.ts";
import { collidingWords } from "./collisions.ts";
import { BEHAVIOURS, type BehaviourName } from "./endpoint.ts";
import { HTTP2_ATTACKS } from "./http2-attacks.ts";
import { INNER_IP_OFFSET, OUTER_IP_OFFSET, PORT, rounds, Template, VNI } from "./frames.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: production.example\r\n\r\n";
/** The smallest request. */
const TINY_REQUEST = "GET / HTTP/1.1\r\n\r\n";
const HALF_REQUEST = "GET / HTTP/1.1\r\nHost";
const UPGRADE = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SEGMENT_BYTES = 1440;

/** Each client's SYN, then the same payload from it, again and again, at long intervals. */
function* streams(
  clients: number,
  count: number,
  payload: Uint8Array | string,
  first: Uint8Array | string = "",
  skip = 0,
): Generator<Uint8Array> {
  const syn = new Template("S");
  const begin = new Template("A", first);
  const next = new Template("A", payload);
  for (let client = 0; client < clients; client++) {
    yield syn.from(client).at(0);
    if (begin.payloadLength > 0) yield begin.from(client).at(1);
  }
  const base = 1 + begin.payloadLength;
  const each = next.payloadLength + skip;
  yield* rounds(clients, count, (client, round) => next.from(client).at(base + skip + round * each));
}

/** Requests on connections of their own; those that end do so at once. */
function* sessions(count: number, payload: string, ends: boolean): Generator<Uint8Array> {
  const syn = new Template("S");
  const request = new Template("PA", payload);
  const fin = new Template("FA");
  for (let client = 0; client * (ends ? 3 : 2) < count; client++) {
    yield syn.from(client).at(0);
    yield request.from(client).at(1);
    if (ends) yield fin.from(client).at(1 + payload.length);
  }
}

const FRAGMENT_BYTES = 8;
const TINY_DATAGRAM_BYTES = 1480;
const LARGE_DATAGRAM_BYTES = 64_000;
const MORE_FRAGMENTS = 0x2000;

/**
 * Fragments of eight bytes each, datagram after datagram, the last one first and the others in order: any of them might
 * complete it. `isOuter`: fragments of the mirror's own packets.
 */
function* tinyFragments(
  count: number,
  datagramBytes: number,
  isOuter: boolean,
  isCompleted: boolean,
): Generator<Uint8Array> {
  const segment = tcp({
    source: "10.0.0.0",
    destination: "10.200.0.1",
    sourcePort: 1,
    destinationPort: PORT,
    sequence: 0,
    flags: "A",
    payload: new Uint8Array(datagramBytes - 20),
  });
  const payload = isOuter
    ? mirrored(ethernet(ip("10.0.0.0", "10.200.0.1", TCP, segment)), { vni: VNI }).slice(OUTER_IP_OFFSET + 20)
    : segment;
  const fragment = (at: number) => {
    const part = payload.slice(at, at + FRAGMENT_BYTES);
    return isOuter
      ? ethernet(ip("172.31.0.238", "172.31.17.188", 17, part))
      : mirrored(ethernet(ip("10.0.0.0", "10.200.0.1", TCP, part)), { vni: VNI });
  };
  const pieces = Array.from({ length: Math.ceil(payload.length / FRAGMENT_BYTES) }, (_, i) =>
    fragment(i * FRAGMENT_BYTES),
  );
  const header = isOuter ? OUTER_IP_OFFSET : INNER_IP_OFFSET;
  const order = pieces.map((_, i) => (i + pieces.length - 1) % pieces.length).filter((i) => isCompleted || i !== 1);
  for (let number = 0, datagram = 0; number < count; datagram++) {
    for (const i of order) {
      if (number++ >= count) return;
      const view = new DataView(pieces[i]!.buffer);
      view.setUint16(header + 4, datagram & 0xffff);
      view.setUint16(header + 6, (i === pieces.length - 1 ? 0 : MORE_FRAGMENTS) | i);
      view.setUint16(header + 12, 0x0a00 | (datagram >> 16));
      yield pieces[i]!;
    }
  }
}

const GOOD = 2000;

const syns: Attack = {
  name: "syn",
  what: "a million SYNs of other connections",
  count: 1_000_000,
  rate: 60_000,
  good: GOOD,
  *frames(count) {
    const syn = new Template("S");
    for (let client = 0; client < count; client++) yield syn.from(client).at(0);
  },
};

/** The number that kept two cores busy at 3,000 a second. */
const collisions: Attack = {
  name: "collisions",
  what: "SYNs over IPv6 whose addresses and ports have one hash, if there is no secret in it",
  count: 20_000,
  rate: 3000,
  good: GOOD,
  *frames(count) {
    const syn = new Template("S", "", 6);
    for (let client = 0; client < count; client++) yield syn.fromWords(...collidingWords(client)).at(0);
  },
};

const halves: Attack = {
  name: "half-requests",
  what: "70,000 connections with 20 bytes of a request each, and 8,000 whole requests of others",
  count: 140_000,
  good: 8000,
  frames: (count) => sessions(count, HALF_REQUEST, false),
};

const waiting: Attack = {
  name: "waiting-requests",
  what: "14,000 connections with 910 requests of 18 bytes each that wait, for the endpoint is silent",
  endpoint: "silent",
  count: 14_000 * Math.ceil((910 * TINY_REQUEST.length) / SEGMENT_BYTES),
  good: GOOD,
  descriptors: 100_000,
  way: "live",
  frames: (count) => streams(14_000, count, TINY_REQUEST.repeat(SEGMENT_BYTES / TINY_REQUEST.length)),
};

const behindUpgrade: Attack = {
  name: "behind-upgrade",
  what: "pieces of ten bytes behind an upgrade that the endpoint does not respond to",
  endpoint: "silent",
  count: 1_000_000,
  rate: 40_000,
  good: GOOD,
  way: "live",
  frames: (count) => streams(500, count, "0123456789", UPGRADE),
};

const holesBehindUpgrade: Attack = {
  ...behindUpgrade,
  name: "holes-behind-upgrade",
  what: "the same with a hole before each piece",
  flags: ["--max-pending-packets", "0"],
  frames: (count) => streams(500, count, "0123456789", UPGRADE, 1),
};

const behindHoles: Attack = {
  name: "behind-holes",
  what: "pieces of ten bytes behind holes of 50,000 connections",
  count: 1_000_000,
  rate: 40_000,
  good: GOOD,
  *frames(count) {
    const piece = new Template("A", "0123456789");
    yield* rounds(50_000, count, (client, round) => piece.from(client).at(2000 + round * 11));
  },
};

const largeBehindHoles: Attack = {
  name: "large-behind-holes",
  what: "pieces of 1,400 bytes behind holes of 50,000 connections",
  count: 600_000,
  good: GOOD,
  *frames(count) {
    const piece = new Template("A", new Uint8Array(1400));
    yield* rounds(50_000, count, (client, round) => piece.from(client).at(2000 + round * 1401));
  },
};

const fragments = (
  name: string,
  what: string,
  datagramBytes: number,
  isOuter: boolean,
  isCompleted: boolean,
): Attack => ({
  name,
  what,
  count: 400_000,
  good: GOOD,
  frames: (count) => tinyFragments(count, datagramBytes, isOuter, isCompleted),
});

const silent: Attack = {
  name: "silent-endpoint",
  what: "1,000 short connections a second to a silent endpoint, where 1,024 descriptors are all there are",
  endpoint: "silent",
  descriptors: 1024,
  count: 45_000,
  rate: 3000,
  good: 0,
  way: "live",
  frames: (count) => sessions(count, REQUEST, true),
};

const silentToMany: Attack = {
  ...silent,
  name: "silent-endpoint-many",
  what: "20,000 short connections to a silent endpoint, and descriptors for all",
  descriptors: 100_000,
  count: 60_000,
  rate: 10_000,
  good: GOOD,
};

const endless = (endpoint: BehaviourName): Attack => ({
  name: endpoint.replaceAll(" ", "-"),
  what: "200 connections whose responses never end",
  endpoint,
  count: 400,
  rate: 400,
  good: 500,
  way: "live",
  patienceMs: 2000,
  frames: () => sessions(400, REQUEST, false),
  // The endpoint sends meanwhile.
  after: ({ setup }) => Bun.sleep(15_000 * Math.min(setup.scale, 1)),
});

const UPLOAD_BYTES = 200_000;
const UPLOADS = 670;

/** One connection's requests, cut into segments of full size. */
function* upload(total: number, request: Uint8Array): Generator<Uint8Array> {
  const syn = new Template("S");
  yield syn.from(0).at(0);
  const perBlock = Math.max(Math.ceil(SEGMENT_BYTES / request.length), 1);
  const block = bytes(...Array.from({ length: perBlock }, () => request));
  const templates = new Map<number, Template>();
  let sequence = 1;
  for (let requests = 0; requests < total; requests += perBlock) {
    for (let at = 0; at < block.length; at += SEGMENT_BYTES) {
      let template = templates.get(at);
      if (template === undefined)
        templates.set(at, (template = new Template("A", block.slice(at, at + SEGMENT_BYTES))));
      yield template.from(0).at(sequence);
      sequence += template.payloadLength;
    }
  }
}

/** The time that the endpoint is away: longer than a connection is tried. */
const OUTAGE_MS = 7000;
const AFTER_OUTAGE = 100;

/**
 * The endpoint is away while the requests wait: good requests come when it is back, and the signal comes when the
 * waiting ones were given up.
 */
const outage = (
  name: string,
  what: string,
  flags: string[],
  rate: number,
  total: number,
  request: Uint8Array,
): Attack => ({
  name,
  what,
  endpoint: "silent",
  flags,
  count: total,
  rate,
  good: 0,
  way: "live",
  *frames(count) {
    yield* upload(count, request);
  },
  async after({ endpoint, good, send, settle, watch, notes }) {
    endpoint.away();
    await Bun.sleep(OUTAGE_MS);
    watch.look();
    const cpuBefore = watch.cpuUs;
    endpoint.back();
    const beganMs = performance.now();
    await send(good.passers(AFTER_OUTAGE));
    await settle();
    const tookMs = Math.max(endpoint.lastMs - beganMs, 0).toFixed(0);
    const cpuMs = (watch.cpuUs - cpuBefore) / 1000;
    notes.push(`the good requests came ${tookMs} ms after the outage, which took ${cpuMs} ms of CPU`);
  },
});

const post = bytes(
  `POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: ${UPLOAD_BYTES}\r\n\r\n`,
  new Uint8Array(UPLOAD_BYTES),
);
const uploads = outage(
  "uploads-outage",
  `${UPLOADS} uploads of 200 kB wait on one connection when the endpoint goes away`,
  [],
  30_000,
  UPLOADS,
  post,
);
const many = outage(
  "many-outage",
  "300,000 small requests wait on one connection when the endpoint goes away",
  ["--max-waiting-requests", "1000000"],
  20_000,
  300_000,
  bytes(REQUEST),
);

export const ATTACKS: readonly Attack[] = [
  syns,
  collisions,
  halves,
  waiting,
  behindUpgrade,
  holesBehindUpgrade,
  behindHoles,
  largeBehindHoles,
  fragments("tiny-fragments", "mirrored datagrams in fragments of eight bytes", TINY_DATAGRAM_BYTES, false, true),
  fragments(
    "tiny-fragments-large",
    "large mirrored datagrams in fragments of eight bytes",
    LARGE_DATAGRAM_BYTES,
    false,
    true,
  ),
  fragments("tiny-fragments-incomplete", "the same, one missing", TINY_DATAGRAM_BYTES, false, false),
  fragments("tiny-outer-fragments", "mirror packets in fragments of eight bytes", TINY_DATAGRAM_BYTES, true, true),
  silent,
  silentToMany,
  ...(Object.keys(BEHAVIOURS) as BehaviourName[]).filter((name) => name.startsWith("endless")).map(endless),
  uploads,
  many,
  ...HTTP2_ATTACKS,
];
