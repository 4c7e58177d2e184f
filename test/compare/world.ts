/**
 * Clients that talk to production, a mirror that delivers both directions, and an endpoint that responds as production
 * did, except for planted differences. Every response contains its request's number, so a response that is paired with
 * another request shows as a difference that nobody planted.
 */
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from "node:zlib";
import { mirroredSegment } from "../support/frames.ts";
import type { Fields } from "../http/http2/client-frames.ts";
import type { Random } from "../support/random.ts";
import { talkHttp2 } from "./http2-world.ts";

export const VNI = 7;
export const PORT = 80;
const SERVER = "10.9.9.9";

/** The endpoint's planted behaviour, and the difference that must be found. */
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
  /** The same content with another coding; only in HTTP/1. */
  coding: ["header content-encoding"],
  /** Only in HTTP/2. */
  grpc: ["header grpc-status"],
} as const satisfies Record<string, readonly string[]>;
export type Plant = keyof typeof PLANTS;
const OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
const PLANT_NAMES = Object.keys(PLANTS) as Plant[];
const EITHER_PLANT_NAMES = PLANT_NAMES.filter((plant) => plant !== "grpc" && plant !== "coding");
const HTTP1_PLANT_NAMES = PLANT_NAMES.filter((plant) => plant !== "grpc");
const HTTP2_PLANT_NAMES = PLANT_NAMES.filter((plant) => plant !== "coding");

/** The framing of a body. */
type Framing = "length" | "chunked" | "close" | "none";

export interface Talk {
  readonly id: number;
  readonly plant: Plant;
  readonly method: string;
  readonly body: string;
  /** The content of both responses. */
  readonly content: Content;
  readonly planted: Content;
  // The same in HTTP/1.
  readonly request: string;
  readonly production: Uint8Array;
  readonly endpoint: Uint8Array;
  /** The connection ends after the response. */
  readonly closes: boolean;
  /** The request offers HTTP/2; production and the endpoint accept. */
  readonly isUpgraded: boolean;
  readonly isAccepted: boolean;
  /** Request and response were sent completely. */
  isWhole: boolean;
  /** No byte of it was sent. */
  isLeftOut: boolean;
}

export interface WorldOptions {
  readonly connections: number;
  /** The share of clients that speak HTTP/2. */
  readonly http2?: number;
  readonly talksMax: number;
  /** Whether some clients send several requests at a time. */
  readonly pipelines: boolean;
  readonly segmentBytesMax: number;
  /** The shares of frames that are lost, late, and repeated. */
  readonly lost: number;
  readonly late: number;
  readonly twice: number;
  /** A client's SYN is never late. */
  readonly isSynInTime?: boolean;
  /** All SYN-ACKs are lost. */
  readonly losesSynAcks?: boolean;
}

export interface Frame {
  readonly bytes: Uint8Array;
  readonly isSyn: boolean;
  readonly isSynAck: boolean;
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
    const isHttp2 = options.http2 !== undefined && random.chance(options.http2);
    const isUpgraded = isHttp2 && random.chance(0.2);
    const own = makeTalks(random, talks.length, count, isHttp2, isUpgraded);
    talks.push(...own);
    const ends = new Ends(random, i, options);
    if (isHttp2) talkHttp2(ends, own, random);
    else new Client(random, ends, options).talk(own);
    frames.push(...ends.frames);
  }
  frames.sort((a, b) => a.timestampMs - b.timestampMs);
  return { talks, frames: mirror(random, frames, options) };
}

/** What is said on a connection, numbered from `first` on. */
export function makeTalks(
  random: Random,
  first: number,
  count: number,
  isHttp2 = false,
  isFirstUpgraded = false,
): Talk[] {
  return Array.from({ length: count }, (_, n) =>
    makeTalk(random, first + n, !isHttp2 && n === count - 1, isHttp2, isFirstUpgraded && n === 0),
  );
}

function mirror(random: Random, frames: Frame[], options: WorldOptions): Frame[] {
  const { lost, late, twice, isSynInTime = false, losesSynAcks = false } = options;
  const kept = frames.filter(({ isSynAck }) => !random.chance(lost) && !(losesSynAcks && isSynAck));
  const all = kept.flatMap((frame) =>
    random.chance(twice) ? [frame, { ...frame, timestampMs: frame.timestampMs + 0.3 }] : [frame],
  );
  const places = all.map((frame) => ({
    frame,
    atMs: frame.timestampMs + (random.chance(late) && !(isSynInTime && frame.isSyn) ? random.next() * 5 : 0),
  }));
  places.sort((a, b) => a.atMs - b.atMs);
  return places.map(({ frame, atMs }) => ({ ...frame, timestampMs: atMs }));
}

function makeTalk(random: Random, id: number, isLast: boolean, isHttp2: boolean, isUpgraded: boolean): Talk {
  const plants = isUpgraded ? EITHER_PLANT_NAMES : isHttp2 ? HTTP2_PLANT_NAMES : HTTP1_PLANT_NAMES;
  const plant = random.chance(0.5) ? "none" : random.pick(plants);
  const isHead = plant === "none" && !isUpgraded && random.chance(0.1);
  const isPost = !isHead && !isUpgraded && random.chance(0.3);
  const isEmpty = plant === "none" && !isUpgraded && random.chance(0.1);
  const body = isPost ? "b".repeat(random.int(1, 2000)) : "";
  const method = isHead ? "HEAD" : isPost ? "POST" : "GET";
  const length = isPost ? `Content-Length: ${body.length}\r\n` : "";
  const offer = isUpgraded ? OFFER : "";
  const request = `${method} /${plant}/${id} HTTP/1.1\r\nHost: a\r\n${offer}${length}\r\n${body}`;
  const framing: Framing = isEmpty
    ? "none"
    : isLast && random.chance(0.2)
      ? "close"
      : random.pick(["length", "chunked"]);
  const endpointFraming: Framing = isEmpty ? "none" : random.pick(["length", "chunked"]);
  const content = contentOf(random, id, plant, isEmpty, isHttp2);
  const planted = plantedIn(content, plant, id);
  // In HTTP/2, some have a trailer section.
  if (isHttp2 && !isUpgraded && random.chance(0.3)) {
    const trailer = [...(content.trailer ?? []), ["x-trailer", `t${id % 5}`]] as const;
    content.trailer = trailer;
    planted.trailer = trailer.map(([name, value]) => [name, plant === "grpc" && name === "grpc-status" ? "13" : value]);
  }
  return {
    id,
    plant,
    method,
    body,
    content,
    planted,
    isUpgraded,
    isAccepted: isUpgraded && random.chance(0.5),
    isWhole: true,
    isLeftOut: false,
    request,
    production: response(random, content, framing, isHead, "production"),
    endpoint: response(random, planted, endpointFraming, isHead, "endpoint"),
    closes: framing === "close",
  };
}

/** By the name in Content-Encoding; empty: no coding. */
const CODERS = {
  "": (bytes: Uint8Array) => bytes,
  gzip: (bytes: Uint8Array) => gzipSync(bytes, { level: 1 }),
  br: (bytes: Uint8Array) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: (bytes: Uint8Array) => zstdCompressSync(bytes),
} as const;
type Coding = keyof typeof CODERS;

export interface Content {
  code: number;
  coding?: Coding;
  kind: string;
  type: string;
  body: string | Uint8Array;
  trailer?: Fields;
}

function contentOf(random: Random, id: number, plant: Plant, isEmpty: boolean, isHttp2: boolean): Content {
  // Some values repeat, so that a header table has them.
  const kind = `k${isHttp2 && random.chance(0.5) ? id % 5 : id}`;
  if (isEmpty) return { code: 204, coding: "", kind, type: "text/plain", body: "" };
  const grpc = {
    code: 200,
    coding: "" as const,
    kind,
    type: "application/grpc",
    trailer: [["grpc-status", "0"]] as const,
  };
  if (plant === "grpc") return { ...grpc, body: random.bytes(random.int(0, 3000)) };
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
  const coding =
    plant === "coding" ? random.pick(["gzip", "br"] as const) : !isHttp2 && random.chance(0.1) ? "gzip" : "";
  return { code: 200, coding, kind, type: "application/json", body };
}

function plantedIn(content: Content, plant: Plant, id: number): Content {
  const planted = { ...content };
  if (plant === "status") planted.code = 500;
  else if (plant === "header") planted.kind = "other";
  else if (plant === "coding") planted.coding = content.coding === "br" ? "gzip" : "zstd";
  else if (plant === "grpc") planted.trailer = [["grpc-status", "13"]];
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
  const { code, coding = "", kind, type } = content;
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

/** One connection as its two ends see it: each end acknowledges the bytes that reached it. */
export class Ends {
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

  open(): void {
    this.send(false, "S");
    this.send(true, "SA");
    this.send(false, "A");
  }

  /** `isServers`: the server is the first to end it. */
  close(isServers: boolean): void {
    this.send(isServers, "FA");
    this.send(!isServers, "FA");
    this.send(isServers, "A");
  }

  /** Time passes. */
  pass(ms: number): void {
    this.nowMs += ms;
  }

  bytes(isServer: boolean, bytes: Uint8Array): void {
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
    const isSynAck = isServer && flags.includes("S");
    this.frames.push({ bytes: mirroredSegment(segment, VNI), isSyn: flags === "S", isSynAck, timestampMs: this.nowMs });
    this.nowMs += 0.01 + this.random.next() * 0.05;
    const advanced = sequence + payload.length + (/[SF]/.test(flags) ? 1 : 0);
    if (isServer) this.serverNext = advanced >>> 0;
    else this.clientNext = advanced >>> 0;
  }
}

/** A client of HTTP/1. */
class Client {
  constructor(
    private readonly random: Random,
    private readonly ends: Ends,
    private readonly options: WorldOptions,
  ) {}

  talk(talks: Talk[]): void {
    const { random } = this;
    this.ends.open();
    const isPipelining = this.options.pipelines && random.chance(0.3);
    for (let i = 0; i < talks.length;) {
      const some = talks.slice(i, i + (isPipelining ? random.int(1, 4) : 1));
      i += some.length;
      this.round(some);
    }
    this.ends.close(talks.at(-1)!.closes);
  }

  /** Requests that are sent together, and their responses. */
  private round(talks: Talk[]): void {
    const { random } = this;
    // The server may respond to the first of several requests before it reads the others.
    let unread = [...talks];
    while (unread.length > 0) {
      const read = unread.splice(0, random.int(1, unread.length));
      for (const { request } of read) this.ends.bytes(false, Buffer.from(request));
      this.ends.pass(random.next());
      for (const { production } of read) this.ends.bytes(true, production);
    }
  }
}
