/** The behaviour of clients, middleboxes and attackers on TCP connections, and the right result at a receiver. */
import type { Random } from "../support/random.ts";
import { Client, type Packet } from "./wire.ts";

/** A request; its path is unique. */
export interface Sent {
  path: string;
  bytes: Uint8Array;
}

/** One TCP connection, or the mirror's part of it. */
export interface Connection {
  requests: Sent[];
  stream: Uint8Array;
  packets: Packet[];
}

export interface Played {
  name: string;
  connections: Connection[];
}

type Play = (client: Client, stream: Uint8Array, random: Random) => void;

interface Case {
  name: string;
  play: Play;
  /** It has one right result only if its packets arrive once and in order. */
  isOrderly?: boolean;
  /** Bytes are repeated with other content: the result is right only if they arrive in order. */
  isContradictory?: boolean;
  /** It has one right result only if all its packets arrive. */
  isWhole?: boolean;
  /** The distance from the last ISN to the ISN of the next connection with the same addresses. */
  reuse?: (streamBytes: number, random: Random) => number;
  /** Begins in the middle of its first request. */
  isJoined?: boolean;
  requests?: number;
}

const CASES: Case[] = [
  { name: "in order", play: plainly },
  { name: "a thousand requests", requests: 1000, play: plainly },
  {
    name: "segments retransmitted",
    play: conversation((client, stream, from, to, random) => {
      segment(client, stream, from, to);
      if (random.chance(0.5)) segment(client, stream, random.int(0, to), to);
      if (random.chance(0.2)) segment(client, stream, random.int(0, from), random.int(from, to));
    }),
  },
  {
    name: "other bytes in retransmissions",
    isContradictory: true,
    play: conversation((client, stream, from, to, random) => {
      segment(client, stream, from, to);
      const first = random.int(0, to);
      const further = Math.min(to + random.int(0, 100), stream.length);
      if (random.chance(0.4))
        client.send("PA", first, { payload: joined(garbage(random, to - first), stream.subarray(to, further)) });
    }),
  },
  {
    name: "other bytes while some wait behind a hole",
    isContradictory: true,
    play: conversation((client, stream, from, to, random) => {
      const middle = random.int(from, to);
      segment(client, stream, middle, to);
      if (middle > from)
        client.send("PA", from, { payload: joined(stream.subarray(from, middle), garbage(random, to - middle)) });
    }),
  },
  {
    name: "a FIN that comes first",
    play: (client, stream, random) => (
      open(client),
      client.send("FA", stream.length),
      body(client, stream, 0, random),
      close(client, stream)
    ),
  },
  { name: "a FIN with the last bytes, and again", play: finWithBytes },
  {
    name: "a FIN retransmitted",
    play: (client, stream, random) => (
      plainly(client, stream, random),
      client.send("FA", stream.length),
      client.send("FA", stream.length)
    ),
  },
  {
    name: "resets that are not in order",
    play: conversation((client, stream, from, to, random) => {
      segment(client, stream, from, to);
      if (random.chance(0.5))
        client.send(random.pick(["R", "RA"]), random.pick([-1_000_000, 1_000_000, 0x3000_0000]), { isForged: true });
    }),
  },
  {
    name: "a reset that is nearly in order",
    isOrderly: true,
    play: conversation((client, stream, from, to, random) => {
      segment(client, stream, from, to);
      client.send("R", to + random.pick([-2, -1, 1, 2, 1000]), { isForged: true });
    }),
  },
  {
    name: "ends with a reset",
    play: (client, stream, random) => (open(client), body(client, stream, 0, random), client.send("RA", stream.length)),
  },
  { name: "does not end", play: (client, stream, random) => (open(client), body(client, stream, 0, random)) },
  { name: "bytes on the SYN, acknowledged", play: (client, stream, random) => fastOpen(client, stream, random, true) },
  {
    name: "bytes on the SYN, not acknowledged",
    play: (client, stream, random) => fastOpen(client, stream, random, false),
  },
  {
    name: "a SYN retransmitted",
    play: (client, stream, random) => (client.send("S", -1), client.send("S", -1), plainly(client, stream, random)),
  },
  {
    name: "bytes on the SYN, which is retransmitted without them",
    play: (client, stream, random) => (
      client.send("S", -1, { payload: stream.subarray(0, random.int(1, stream.length)) }),
      plainly(client, stream, random)
    ),
  },
  { name: "ports used again, ISN higher", reuse: (bytes, random) => bytes + random.int(2, 1_000_000), play: plainly },
  { name: "ports used again, ISN just behind the FIN", reuse: (bytes) => bytes + 1, play: plainly },
  { name: "ports used again, ISN lower", reuse: (_, random) => -random.int(100_000, 1_000_000_000), play: plainly },
  { name: "ports used again, ISN a little lower", reuse: (_, random) => -random.int(1, 100), play: plainly },
  { name: "ports used again, ISN among the bytes", reuse: (bytes, random) => random.int(1, bytes), play: plainly },
  { name: "ports used again, ISN the same", reuse: () => 0, play: plainly },
  {
    name: "ports used again without a SYN",
    isOrderly: true,
    reuse: (bytes) => bytes + 1,
    play: (client, stream, random) => (body(client, stream, 0, random), close(client, stream)),
  },
  {
    name: "ports used again after a reset",
    reuse: (_, random) => random.int(100_000, 1_000_000_000),
    play: (client, stream, random) => (open(client), body(client, stream, 0, random), client.send("RA", stream.length)),
  },
  {
    name: "keep-alive probes without a byte",
    play: conversation((client, stream, from, to) => {
      segment(client, stream, from, to);
      client.send("A", to - 1);
    }),
  },
  {
    name: "keep-alive probes with a byte",
    isContradictory: true,
    play: (client, stream, random) => {
      open(client);
      body(client, stream, 0, random, (from, to) => {
        segment(client, stream, from, to);
        client.send("A", to - 1, { payload: garbage(random, 1) });
      });
      close(client, stream);
    },
  },
  {
    name: "a keep-alive probe with a byte before any data",
    isWhole: true,
    play: (client, stream, random) => (
      open(client),
      client.send("A", -1, { payload: garbage(random, 1) }),
      body(client, stream, 0, random),
      close(client, stream)
    ),
  },
  {
    name: "probes of a closed window",
    play: conversation((client, stream, from, to) => {
      segment(client, stream, from, from + 1);
      segment(client, stream, from, from + 1);
      client.send("A", from - 1);
      segment(client, stream, from, to);
    }),
  },
  {
    name: "urgent bytes",
    play: conversation((client, stream, from, to, random) =>
      client.send(random.pick(["PAU", "AU"]), from, { payload: stream.subarray(from, to) }),
    ),
  },
  {
    name: "headers with impossible lengths",
    play: conversation((client, stream, from, to, random) => {
      const payload = garbage(random, random.int(0, 19));
      if (random.chance(0.5))
        client.send(random.pick(["PA", "FPA", "S"]), from, {
          payload,
          isForged: true,
          headerBytes: random.pick([0, 4, 16]),
        });
      segment(client, stream, from, to);
      if (random.chance(0.5))
        client.send(random.pick(["PA", "FPA", "RA"]), to, { payload, isForged: true, headerBytes: 60 });
    }),
  },
  {
    name: "resets with a text",
    play: conversation((client, stream, from, to, random) => {
      segment(client, stream, from, to);
      if (random.chance(0.5))
        client.send("RA", random.pick([-1_000_000, 1_000_000]), {
          payload: garbage(random, random.int(1, 100)),
          isForged: true,
        });
    }),
  },
  {
    name: "ends with a reset that has a text",
    play: (client, stream, random) => (
      open(client),
      body(client, stream, 0, random),
      client.send("RA", stream.length, { payload: garbage(random, 30), isForged: true })
    ),
  },
  { name: "joined in its middle", isJoined: true, play: fromItsMiddle },
];

interface Wanted {
  /** Their packets arrive once and in order. */
  isOrderly: boolean;
  /** All of them arrive, whole. */
  isWhole: boolean;
  /** Also cases in which the first copy of a byte is right, whichever copy comes first. */
  isContradictory: boolean;
  /** The probability that the mirror cuts off a packet's end. */
  cut: number;
}

/**
 * The cases, each played once, that have one right result if packets arrive once and in order, or if all arrive: for a
 * lost packet, its connection among those with the same addresses is unknown.
 */
export function played(random: Random, wanted: Wanted): Played[] {
  return CASES.filter((each) => wanted.isOrderly || each.isOrderly !== true)
    .filter((each) => wanted.isWhole || (each.reuse === undefined && each.isWhole !== true))
    .filter((each) => wanted.isContradictory || each.isContradictory !== true)
    .filter(({ requests }) => requests === undefined || random.chance(0.1))
    .map((each, index) => {
      const client = new Client(random, index + 1, wanted.cut);
      const count = each.reuse === undefined ? 1 : random.int(2, 4);
      const connections = Array.from({ length: count }, (_, i): Connection => {
        const requests = requestsOf(random, `/${index}-${i}`, each.requests ?? random.int(1, 6));
        const stream = joined(
          each.isJoined === true ? garbage(random, random.int(1, 300)) : new Uint8Array(0),
          ...requests.map(({ bytes }) => bytes),
        );
        const first = client.packets.length;
        each.play(client, stream, random);
        const packets = client.packets.slice(first);
        if (each.reuse !== undefined) client.again(each.reuse(stream.length, random));
        return { requests, stream, packets };
      });
      return { name: each.name, connections };
    });
}

function requestsOf(random: Random, prefix: string, count: number): Sent[] {
  return Array.from({ length: count }, (_, i) => {
    const path = `${prefix}/${i}`;
    const size = random.pick([0, 1, 50, 2000]);
    const head = random.chance(0.5)
      ? `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
      : `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`;
    const bytes = new TextEncoder().encode(head);
    return { path, bytes: head.startsWith("GET") ? bytes : joined(bytes, garbage(random, size)) };
  });
}

/** Letters that do not begin a request line. */
function garbage(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => 0x61 + random.int(0, 25));
}

function joined(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function segment(client: Client, stream: Uint8Array, from: number, to: number): void {
  if (to > from) client.send("PA", from, { payload: stream.subarray(from, to) });
}

function open(client: Client): void {
  client.send("S", -1);
  client.answer("SA");
  client.send("A", 0);
}

function close(client: Client, stream: Uint8Array): void {
  client.send("FA", stream.length);
  client.answer("FA");
  client.send("A", stream.length + 1);
  client.answer("A");
}

/** All bytes from `first` on, cut into segments that `send` sends; the server sends bytes at intervals. */
function body(
  client: Client,
  stream: Uint8Array,
  first: number,
  random: Random,
  send: (from: number, to: number) => void = (from, to) => segment(client, stream, from, to),
): void {
  const segmentBytesMax = stream.length < 500 ? random.pick([1, 5, 100]) : random.pick([100, 536, 1400]);
  for (let from = first; from < stream.length;) {
    const to = Math.min(from + random.int(1, segmentBytesMax), stream.length);
    send(from, to);
    if (random.chance(0.3)) client.answer("PA", random.int(0, 200));
    from = to;
  }
}

function conversation(
  send: (client: Client, stream: Uint8Array, from: number, to: number, random: Random) => void,
): Play {
  return (client, stream, random) => {
    open(client);
    body(client, stream, 0, random, (from, to) => send(client, stream, from, to, random));
    close(client, stream);
  };
}

function plainly(client: Client, stream: Uint8Array, random: Random): void {
  open(client);
  body(client, stream, 0, random);
  close(client, stream);
}

function finWithBytes(client: Client, stream: Uint8Array, random: Random): void {
  const last = random.int(0, stream.length - 1);
  open(client);
  body(client, stream.subarray(0, last), 0, random);
  for (let copies = 0; copies < 2; copies++) client.send("FPA", last, { payload: stream.subarray(last) });
  close(client, stream);
}

/** If no earlier byte is known, a request is found only if a segment begins with it. */
function fromItsMiddle(client: Client, stream: Uint8Array, random: Random): void {
  const begins = [
    ...Buffer.from(stream)
      .toString("latin1")
      .matchAll(/(GET|POST) \//g),
  ].map(({ index }) => index);
  for (const [i, begin] of [0, ...begins].entries()) body(client, stream.subarray(0, begins[i]), begin, random);
  close(client, stream);
}

function fastOpen(client: Client, stream: Uint8Array, random: Random, isAcknowledged: boolean): void {
  const onSyn = random.int(1, Math.min(stream.length, 1400));
  client.send("S", -1, { payload: stream.subarray(0, onSyn) });
  client.answer("SA");
  client.send("A", isAcknowledged ? onSyn : 0);
  body(client, stream, isAcknowledged ? onSyn : 0, random);
  close(client, stream);
}
