/**
 * Clients that talk to production, a mirror that brings both directions, and an endpoint that responds as production
 * did, but for what is planted. Every response carries its request's number, so that a response which was taken for
 * another's shows as a difference that nobody planted.
 */
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";
import { mirroredSegment } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

export const VNI = 7;
export const PORT = 80;
const SERVER = "10.9.9.9";

/** What the endpoint does differently, and what is to be found then. */
export const PLANTS = {
  none: [],
  status: ["status "],
  header: ["header x-kind"],
  missing: ["missing items[].price"],
  extra: ["extra more"],
  type: ["type name"],
  value: ["value items[].price"],
  order: ["order items"],
  text: ["text "],
  bytes: ["bytes "],
  /** The same content, coded otherwise. */
  coding: ["header content-encoding"],
} as const satisfies Record<string, readonly string[]>;
export type Plant = keyof typeof PLANTS;
const PLANT_NAMES = Object.keys(PLANTS) as Plant[];

/** How a body is told to end. */
type Framing = "length" | "chunked" | "close" | "none";

export interface Talk {
  readonly id: number;
  readonly plant: Plant;
  readonly request: string;
  readonly production: Uint8Array;
  readonly endpoint: Uint8Array;
  /** The connection ends behind the response. */
  readonly closes: boolean;
}

export interface WorldOptions {
  readonly connections: number;
  readonly talksMax: number;
  /** Whether some clients send several requests at a time. */
  readonly pipelines: boolean;
  readonly segmentBytesMax: number;
  /** The shares of frames that are lost, late, and there twice. */
  readonly lost: number;
  readonly late: number;
  readonly twice: number;
}

export interface Frame {
  readonly bytes: Uint8Array;
  timestampMs: number;
}

export interface World {
  readonly talks: Talk[];
  readonly frames: Frame[];
}

export function makeWorld(random: Random, options: WorldOptions): World {
  const talks: Talk[] = [];
  const frames: Frame[] = [];
  for (let i = 0; i < options.connections; i++) {
    const count = random.int(1, options.talksMax);
    const own: Talk[] = [];
    for (let n = 0; n < count && own.at(-1)?.closes !== true; n++) {
      const talk = makeTalk(random, talks.length, n === count - 1);
      own.push(talk);
      talks.push(talk);
    }
    const client = new Client(random, i, options);
    client.talk(own);
    frames.push(...client.frames);
  }
  frames.sort((a, b) => a.timestampMs - b.timestampMs);
  return { talks, frames: mirror(random, frames, options) };
}

function mirror(random: Random, frames: Frame[], { lost, late, twice }: WorldOptions): Frame[] {
  const kept = frames.filter(() => !random.chance(lost));
  const all = kept.flatMap((frame) =>
    random.chance(twice) ? [frame, { ...frame, timestampMs: frame.timestampMs + 0.3 }] : [frame],
  );
  const places = all.map((frame) => ({
    frame,
    atMs: frame.timestampMs + (random.chance(late) ? random.next() * 5 : 0),
  }));
  places.sort((a, b) => a.atMs - b.atMs);
  return places.map(({ frame, atMs }) => ({ bytes: frame.bytes, timestampMs: atMs }));
}

function makeTalk(random: Random, id: number, isLast: boolean): Talk {
  const plant = random.chance(0.5) ? "none" : random.pick(PLANT_NAMES);
  const isHead = plant === "none" && random.chance(0.1);
  const isPost = !isHead && random.chance(0.3);
  const isEmpty = plant === "none" && random.chance(0.1);
  const body = isPost ? "b".repeat(random.int(1, 2000)) : "";
  const method = isHead ? "HEAD" : isPost ? "POST" : "GET";
  const length = isPost ? `Content-Length: ${body.length}\r\n` : "";
  const request = `${method} /${plant}/${id} HTTP/1.1\r\nHost: a\r\n${length}\r\n${body}`;
  const framing: Framing = isEmpty
    ? "none"
    : isLast && random.chance(0.2)
      ? "close"
      : random.pick(["length", "chunked"]);
  const endpointFraming: Framing = isEmpty ? "none" : random.pick(["length", "chunked"]);
  const content = contentOf(random, id, plant);
  const planted = plantedIn(content, plant, id);
  return {
    id,
    plant,
    request,
    production: response(random, content, framing, isHead, "production"),
    endpoint: response(random, planted, endpointFraming, isHead, "endpoint"),
    closes: framing === "close",
  };
}

/** By its name in Content-Encoding; empty: none. */
const CODERS = {
  "": (bytes: Uint8Array) => bytes,
  gzip: (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }),
  br: (bytes: Uint8Array) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: (bytes: Uint8Array) => zstdCompressSync(bytes),
} as const;
type Coding = keyof typeof CODERS;

interface Content {
  code: number;
  coding: Coding;
  kind: string;
  type: string;
  body: string | Uint8Array;
}

function contentOf(random: Random, id: number, plant: Plant): Content {
  const kind = `k${id}`;
  if (plant === "text")
    return {
      code: 200,
      coding: "",
      kind,
      type: "text/plain",
      body: `text of ${id} ${"t".repeat(random.int(0, 3000))}`,
    };
  if (plant === "bytes")
    return { code: 200, coding: "", kind, type: "image/png", body: random.bytes(random.int(8, 3000)) };
  const items = Array.from({ length: random.int(2, 40) }, (_, i) => ({ name: `item ${i}`, price: i + 1 }));
  const body = JSON.stringify({ id, name: `n${id}`, items });
  const coding = plant === "coding" ? random.pick(["gzip", "br"] as const) : random.chance(0.1) ? "gzip" : "";
  return { code: 200, coding, kind, type: "application/json", body };
}

function plantedIn(content: Content, plant: Plant, id: number): Content {
  const planted = { ...content };
  if (plant === "status") planted.code = 500;
  else if (plant === "header") planted.kind = "other";
  else if (plant === "coding") planted.coding = content.coding === "br" ? "gzip" : "zstd";
  else if (plant === "text") planted.body = `${content.body as string}!`;
  else if (plant === "bytes") {
    const bytes = (content.body as Uint8Array).slice();
    bytes[3]! ^= 1;
    planted.body = bytes;
  } else if (plant !== "none") planted.body = JSON.stringify(plantJson(JSON.parse(content.body as string), plant, id));
  return planted;
}

function plantJson(value: any, plant: Plant, id: number): unknown {
  if (plant === "missing") delete value.items[0].price;
  else if (plant === "extra") value.more = id;
  else if (plant === "type") value.name = id;
  else if (plant === "value") value.items[1].price = -1;
  else value.items.reverse();
  return value;
}

function response(random: Random, content: Content, framing: Framing, isHead: boolean, who: string): Uint8Array {
  const { code, coding, kind, type } = content;
  const interim = framing !== "none" && random.chance(0.05) ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "";
  if (framing === "none") return Buffer.from(`HTTP/1.1 204 No Content\r\nDate: ${who}\r\nX-Kind: ${kind}\r\n\r\n`);
  const body = Buffer.from(CODERS[coding](Buffer.from(content.body as Uint8Array)));
  const head = [
    `HTTP/1.1 ${code} ${who}`,
    `Date: ${random.next()}`,
    `X-Request-Id: ${random.next()}`,
    `X-Kind: ${kind}`,
    `Content-Type: ${type}`,
    ...(coding === "" ? [] : [`Content-Encoding: ${coding}`]),
    ...(framing === "length" ? [`Content-Length: ${body.length}`] : []),
    ...(framing === "chunked" ? ["Transfer-Encoding: chunked"] : []),
    ...(framing === "close" ? ["Connection: close"] : []),
  ];
  const start = Buffer.from(`${interim}${head.join("\r\n")}\r\n\r\n`);
  if (isHead) return start;
  return Buffer.concat([start, framing === "chunked" ? chunked(random, body) : body]);
}

function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length;) {
    const size = random.int(1, 1500);
    const part = body.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
    at += size;
  }
  return Buffer.concat([...parts, Buffer.from(random.chance(0.2) ? "0\r\nX-Trailer: 1\r\n\r\n" : "0\r\n\r\n")]);
}

/** One connection as its two ends have it: what each acknowledges is what has come to it. */
class Client {
  readonly frames: Frame[] = [];
  private readonly address: string;
  private readonly port: number;
  private clientNext: number;
  private serverNext: number;
  private nowMs: number;

  constructor(
    private readonly random: Random,
    index: number,
    private readonly options: WorldOptions,
  ) {
    this.address = `10.0.${index >> 8}.${index & 0xff}`;
    this.port = random.int(1024, 65_535);
    this.clientNext = random.pick([0xffff_ff00, 0x7fff_ff00, random.int(0, 0xffff_ffff)]);
    this.serverNext = random.pick([0xffff_ff00, 0x7fff_ff00, random.int(0, 0xffff_ffff)]);
    this.nowMs = 1_750_000_000_000 + random.next() * 20;
  }

  talk(talks: Talk[]): void {
    const { random } = this;
    this.send(false, "S");
    this.send(true, "SA");
    this.send(false, "A");
    const isPipelining = this.options.pipelines && random.chance(0.3);
    for (let i = 0; i < talks.length;) {
      const some = talks.slice(i, i + (isPipelining ? random.int(1, 4) : 1));
      i += some.length;
      this.round(some);
    }
    const closes = talks.at(-1)!.closes;
    this.send(closes, "FA");
    this.send(!closes, "FA");
    this.send(closes, "A");
  }

  /** Requests that are sent together, and their responses. */
  private round(talks: Talk[]): void {
    const { random } = this;
    // Of several the server may respond to the first ones before it reads the others.
    let unread = [...talks];
    while (unread.length > 0) {
      const read = unread.splice(0, random.int(1, unread.length));
      for (const { request } of read) this.bytes(false, Buffer.from(request));
      this.nowMs += random.next();
      for (const { production } of read) this.bytes(true, production);
    }
  }

  private bytes(isServer: boolean, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + this.random.int(1, this.options.segmentBytesMax));
      at += part.length;
      this.send(isServer, "A", part);
      if (this.random.chance(0.3)) this.send(!isServer, "A");
    }
  }

  private send(isServer: boolean, flags: string, payload: Uint8Array = new Uint8Array(0)): void {
    const [sequence, acknowledgment] = isServer
      ? [this.serverNext, this.clientNext]
      : [this.clientNext, this.serverNext];
    const [source, destination] = isServer ? [SERVER, this.address] : [this.address, SERVER];
    const [sourcePort, destinationPort] = isServer ? [PORT, this.port] : [this.port, PORT];
    const segment = { source, destination, sourcePort, destinationPort, sequence, acknowledgment, flags, payload };
    this.frames.push({ bytes: mirroredSegment(segment, VNI), timestampMs: this.nowMs });
    this.nowMs += 0.01 + this.random.next() * 0.05;
    const advanced = sequence + payload.length + (/[SF]/.test(flags) ? 1 : 0);
    if (isServer) this.serverNext = advanced >>> 0;
    else this.clientNext = advanced >>> 0;
  }
}
