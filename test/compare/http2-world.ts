/** An HTTP/2 client that talks to production: several requests at a time, some of them cancelled, reset or cut off. */
import { FrameType } from "../../src/http/http2/frames.ts";
import {
  data,
  type Fields,
  frame,
  headers,
  PING,
  PREFACE,
  reset,
  SETTINGS,
  SETTINGS_ACK,
  windowUpdate,
  word,
} from "../http/http2/client-frames.ts";
import { TableEncoder } from "../http/http2/table-encoder.ts";
import type { Random } from "../support/random.ts";
import type { Content, Ends, Talk } from "./world.ts";

const CONCURRENCY_MAX = 6;
const FRAME_BYTES_MAX = 3000;
const PUSHED_STREAM = 2;
const ACCEPTED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

/** Frames that are made when they are sent: a header block depends on the blocks before it. */
type Frames = (() => Buffer)[];

interface Stream {
  readonly number: number;
  readonly talk: Talk;
  readonly request: Frames;
  readonly response: Frames;
}

/** A response in frames. */
export function responseFrames(
  stream: number,
  { code, kind, type, body, trailer = [] }: Content,
  isHead: boolean,
  encoder: TableEncoder,
  random: Random,
): Frames {
  const fields: Fields = [
    [":status", String(code)],
    ["date", String(random.next())],
    ["x-request-id", String(random.next())],
    ["content-type", type],
    ["x-kind", kind],
  ];
  const bytes = isHead ? Buffer.alloc(0) : Buffer.from(body as Uint8Array);
  const hasTrailer = trailer.length > 0 && !isHead;
  const isBare = bytes.length === 0 && !hasTrailer && random.chance(0.8);
  const options = () => ({
    continuations: random.chance(0.1) ? random.int(1, 3) : 0,
    ...(random.chance(0.1) ? { padding: random.int(0, 30) } : {}),
  });
  const interim: Fields = [
    [":status", "103"],
    ["link", "</a>"],
  ];
  const frames: Frames = random.chance(0.05) ? [() => headers(stream, encoder.block(interim))] : [];
  frames.push(() => headers(stream, encoder.block(fields), { ...options(), end: isBare }));
  if (isBare) return frames;
  const endsWithData = !hasTrailer && bytes.length > 0 && random.chance(0.7);
  for (let at = 0; at < bytes.length;) {
    const [from, to] = [at, Math.min(bytes.length, at + random.int(1, FRAME_BYTES_MAX))];
    const padding = random.chance(0.1) ? random.int(0, 50) : undefined;
    frames.push(() => data(stream, bytes.subarray(from, to), endsWithData && to === bytes.length, padding));
    at = to;
  }
  if (hasTrailer) frames.push(() => headers(stream, encoder.block(trailer), { end: true, ...options() }));
  else if (!endsWithData) frames.push(() => data(stream, "", true));
  return frames;
}

class Http2Client {
  private readonly client: TableEncoder;
  private readonly server: TableEncoder;
  private readonly open: Stream[] = [];
  /** The next bursts of both sides. */
  private readonly bursts: [client: Buffer[], server: Buffer[]] = [[], []];
  private nextStream = 1;
  private hasPushed = false;

  constructor(
    private readonly ends: Ends,
    private readonly talks: Talk[],
    private readonly random: Random,
  ) {
    this.client = new TableEncoder(random);
    this.server = new TableEncoder(random);
  }

  run(): void {
    const { ends, random, talks } = this;
    ends.open();
    const isFirst = random.chance(0.3);
    if (talks[0]!.isUpgraded) this.upgrade(talks.shift()!);
    else if (isFirst) ends.bytes(true, SETTINGS);
    ends.bytes(false, Buffer.concat([PREFACE, SETTINGS, windowUpdate(0)]));
    if (!isFirst) ends.bytes(true, SETTINGS);
    const isCutOff = random.chance(0.1);
    while (talks.length > 0 || this.open.length > 0) {
      if (isCutOff && random.chance(0.05)) break;
      this.step();
    }
    for (const { talk } of this.open) talk.isWhole = false;
    for (const talk of talks) talk.isLeftOut = true;
    this.send();
    ends.close(random.chance(0.3));
  }

  /** The first request is an HTTP/1 request. */
  private upgrade(talk: Talk): void {
    this.ends.bytes(false, Buffer.from(talk.request));
    this.bursts[1].push(Buffer.from(ACCEPTED), SETTINGS);
    this.begin(talk).request.length = 0;
    if (this.random.chance(0.7)) this.send();
    if (this.random.chance(0.5)) while (this.open.length > 0) this.respond(this.open[0]!);
    this.send();
  }

  private step(): void {
    const { random, talks, open } = this;
    const chance = random.next();
    if (chance < 0.3 && talks.length > 0 && open.length < CONCURRENCY_MAX) {
      this.request(this.begin(talks.shift()!));
    } else if (chance < 0.9 && open.length > 0) {
      const stream = random.pick(open);
      if (random.chance(0.01)) this.end(stream, random.chance(0.5));
      else if (stream.request.length > 0 && !random.chance(0.03)) this.request(stream);
      else this.respond(stream);
    } else if (chance < 0.93) {
      const side = random.int(0, 1);
      this.bursts[side]!.push(random.pick([PING, SETTINGS_ACK, windowUpdate(0), frame(0x42, 0xff, 7, "unknown")]));
    } else if (chance < 0.94 && open.length > 0 && !this.hasPushed) {
      this.push(random.pick(open).number);
    }
    if (random.chance(0.4)) this.send();
  }

  private begin(talk: Talk): Stream {
    const { random } = this;
    const number = this.nextStream;
    this.nextStream += 2;
    const response = responseFrames(number, talk.content, talk.method === "HEAD", this.server, random);
    const stream = { number, talk, request: this.requestFrames(number, talk), response };
    this.open.push(stream);
    return stream;
  }

  private requestFrames(stream: number, { method, id, plant, body }: Talk): Frames {
    const { random } = this;
    const fields: Fields = [
      [":method", method],
      [":scheme", "http"],
      [":path", `/${plant}/${id}`],
      [":authority", "a"],
      ["user-agent", "client/1"],
    ];
    const frames: Frames = [() => headers(stream, this.client.block(fields), { end: body === "" })];
    for (let at = 0; at < body.length;) {
      const [from, to] = [at, Math.min(body.length, at + random.int(1, FRAME_BYTES_MAX))];
      frames.push(() => data(stream, body.slice(from, to), to === body.length));
      at = to;
    }
    return frames;
  }

  private request(stream: Stream): void {
    this.say(false, stream.request.shift()!());
  }

  private respond(stream: Stream): void {
    this.say(true, stream.response.shift()!());
    if (stream.response.length > 0) return;
    // The rest of the request is not needed.
    if (stream.request.length > 0) stream.talk.isWhole = false;
    this.close(stream);
  }

  /** Either side ends a stream; if its client ended it, more frames may be under way. */
  private end(stream: Stream, isServers: boolean): void {
    this.say(isServers, reset(stream.number));
    stream.talk.isWhole = false;
    this.close(stream);
    const more = isServers ? 0 : this.random.int(0, stream.response.length);
    for (const made of stream.response.splice(0, more)) this.say(true, made());
  }

  private push(stream: number): void {
    this.hasPushed = true;
    const fields: Fields = [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/pushed"],
      [":authority", "a"],
    ];
    const promised = Buffer.concat([word(PUSHED_STREAM), this.server.block(fields)]);
    this.say(true, frame(FrameType.PUSH_PROMISE, 4, stream, promised));
    const content = { code: 200, kind: "pushed", type: "text/plain", body: "pushed" };
    for (const made of responseFrames(PUSHED_STREAM, content, false, this.server, this.random)) this.say(true, made());
  }

  private close(stream: Stream): void {
    this.open.splice(this.open.indexOf(stream), 1);
  }

  /** One side's bytes come before the other side's next bytes. */
  private say(isServers: boolean, bytes: Buffer): void {
    if (this.bursts[isServers ? 0 : 1].length > 0) this.send();
    this.bursts[isServers ? 1 : 0].push(bytes);
  }

  private send(): void {
    for (const [side, burst] of this.bursts.entries()) {
      if (burst.length > 0) this.ends.bytes(side === 1, Buffer.concat(burst));
      burst.length = 0;
    }
  }
}

export function talkHttp2(ends: Ends, talks: readonly Talk[], random: Random): void {
  new Http2Client(ends, [...talks], random).run();
}
