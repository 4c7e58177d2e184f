/**
 * What an HTTP client says on one connection, and what of it is what: known from how it was made, not
 * from reading it.
 */
import type { DamageReason } from "../../../src/http/request-sink.ts";
import type { Random } from "../../support/random.ts";

/** A stretch of a stream: a request, or something that is none. Places are in the stream. */
export interface Item {
  readonly id: string;
  readonly kind: "request" | "broken" | "foreign";
  readonly start: number;
  readonly end: number;
  /** Behind the request line, if it has one that anyone would know for one; else 0. */
  readonly lineEnd: number;
  /** Behind the header section. */
  readonly headEnd: number;
  /** Whether the length of its body was known beforehand. */
  readonly hasLength: boolean;
  readonly isIdempotent: boolean;
  /** Nothing may come behind it on its connection. */
  readonly isLast: boolean;
  /** It asks for another protocol; what follows may be of that. */
  readonly wantsUpgrade: boolean;
  /** Of a broken one: why, and at which byte that is seen. Of a foreign one: where it is seen. */
  readonly reason: DamageReason;
  readonly seenAt: number;
}

export interface Session {
  readonly stream: Uint8Array;
  readonly items: readonly Item[];
  readonly cuts: readonly number[];
}

export interface SessionKnobs {
  readonly requestsMax: number;
  readonly bodyBytesMax: number;
  readonly maxHeaderBytes: number;
  /** How many requests begin a segment of their own. */
  readonly apart: number;
  /** How many are no requests that anyone should take. */
  readonly broken: number;
  readonly foreign: number;
  readonly upgrade: number;
  readonly closing: number;
}

const METHODS = ["GET", "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "FROB"];
const IDEMPOTENT = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"];
const FIELDS = ["Accept: */*", "X-Empty:", "Cookie: a=b; c=\"d\"", "X-Folded: one\r\n two\r\n\tthree", "Accept-Encoding:gzip , br", "TE: trailers", "X-Long: " + "v".repeat(150)];
const EXTENSIONS = ["", "", ";name", ";name=value", '; a = "q;\\""', " ;b"];
/** What other bodies would be wrongly framed by. */
const BODY_TEXTS = ["0\r\n\r\n", "\r\n\r\n", "GET / HTTP/2\r\n", "5\r\nhello\r\n", "\n"];

/** The id of what speaks HTTP/2 with prior knowledge. */
export const HTTP2 = "HTTP/2";

export function converse(random: Random, knobs: SessionKnobs, connection: number): Session {
  return new Writer(random, knobs, connection).write();
}

class Writer {
  private readonly pieces: Buffer[] = [];
  private readonly items: Item[] = [];
  private readonly cuts: number[] = [];
  private length = 0;

  constructor(
    private readonly random: Random,
    private readonly knobs: SessionKnobs,
    private readonly connection: number,
  ) {}

  write(): Session {
    const { random, knobs } = this;
    if (random.chance(knobs.foreign)) this.addForeign();
    for (let left = random.int(0, knobs.requestsMax); left > 0 && this.goesOn; left--) {
      if (random.chance(0.1)) this.put(random.pick(["\r\n", "\n", "\r\n\r\n"]));
      if (random.chance(knobs.apart)) this.cuts.push(this.length);
      if (random.chance(knobs.broken)) this.addBroken();
      else this.addRequest();
    }
    return { stream: Buffer.concat(this.pieces), items: this.items, cuts: this.cuts };
  }

  private get goesOn(): boolean {
    const last = this.items.at(-1);
    if (last === undefined) return true;
    // Some clients do not know that a server will not listen.
    return last.kind !== "foreign" && last.end !== Infinity && (!last.isLast || this.random.chance(0.2));
  }

  private addRequest(): void {
    const { random, knobs } = this;
    const isUpgrade = random.chance(knobs.upgrade);
    const isConnect = isUpgrade && random.chance(0.3);
    const method = isConnect ? "CONNECT" : random.pick(METHODS);
    const minor = isUpgrade || random.chance(0.9) ? 1 : 0;
    const options = this.connectionOptions(minor, isUpgrade && !isConnect);
    const fields = [...options.fields, ...(isUpgrade && !isConnect ? ["Upgrade: websocket"] : [])];
    const body = this.body(method, minor);
    if (body.bytes.length > 0 && random.chance(0.1)) fields.push("Expect: 100-continue");
    this.add("request", method, minor, [...fields, ...body.fields], body.bytes, { hasLength: body.hasLength, isLast: options.isLast && !isUpgrade, wantsUpgrade: isUpgrade });
    if (isUpgrade && random.chance(0.5)) this.addOtherProtocol();
  }

  private connectionOptions(minor: number, isUpgrade: boolean): { fields: string[]; isLast: boolean } {
    const { random } = this;
    const isLast = random.chance(this.knobs.closing);
    if (minor === 0) return { fields: isLast ? [] : ["Connection: Keep-Alive"], isLast };
    // What an upgrade's request says of closing is about the connection that it may not be any more.
    if (isUpgrade) return { fields: [random.pick(["Connection: Upgrade", "connection: keep-alive, upgrade"])], isLast: false };
    return { fields: isLast ? [random.pick(["Connection: close", "Connection: foo , Close"])] : [], isLast };
  }

  private body(method: string, minor: number): { fields: string[]; bytes: Buffer; hasLength: boolean } {
    const { random } = this;
    const isUsual = ["POST", "PUT", "PATCH", "FROB"].includes(method);
    const nothing = { fields: isUsual && random.chance(0.5) ? ["Content-Length: 0"] : [], bytes: Buffer.alloc(0), hasLength: false };
    if (method === "CONNECT" || !random.chance(isUsual ? 0.9 : 0.1)) return nothing;
    const bytes = this.bodyBytes(random.pick([1, 10, 300, this.knobs.bodyBytesMax]));
    if (minor === 1 && random.chance(0.4)) return { fields: [random.pick(["Transfer-Encoding: chunked", "transfer-encoding:\tChunked "])], bytes: this.chunked(bytes), hasLength: false };
    return { fields: [`${random.pick(["Content-Length", "content-length"])}: ${random.chance(0.1) ? "0" : ""}${bytes.length}`], bytes, hasLength: true };
  }

  private bodyBytes(lengthMax: number): Buffer {
    const { random } = this;
    const length = random.int(1, lengthMax);
    if (random.chance(0.5)) return Buffer.from(random.bytes(length));
    let text = "";
    while (text.length < length) text += random.pick(BODY_TEXTS);
    return Buffer.from(text.slice(0, length));
  }

  private chunked(bytes: Buffer): Buffer {
    const { random } = this;
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(bytes.length - at, random.int(1, Math.ceil(bytes.length / random.int(1, 4))));
      const size = length.toString(16);
      pieces.push(Buffer.from(`${random.chance(0.2) ? "00" : ""}${random.chance(0.5) ? size.toUpperCase() : size}${random.pick(EXTENSIONS)}\r\n`));
      pieces.push(bytes.subarray(at, at + length), Buffer.from("\r\n"));
      at += length;
    }
    const trailers = random.chance(0.3) ? "X-Trailer: 1\r\nContent-Length: 7\r\n" : "";
    return Buffer.concat([...pieces, Buffer.from(`${random.pick(["0", "000"])}${random.pick(EXTENSIONS)}\r\n${trailers}\r\n`)]);
  }

  /** A client that was told that it may go on in another protocol. Its first byte begins no request line. */
  private addOtherProtocol(): void {
    if (this.random.chance(0.5)) this.cuts.push(this.length);
    const start = this.length;
    this.put(Buffer.concat([Buffer.from([0x81]), Buffer.from(this.random.bytes(this.random.int(0, 500)))]));
    // Nothing comes behind it: it is read as one broken request where the endpoint has refused.
    this.push({ kind: "broken", start, end: Infinity, reason: "malformed", seenAt: start });
  }

  private addBroken(): void {
    const { random } = this;
    const kinds: (() => void)[] = [
      () => this.addSeenInField("X-Bad : 1", "X-Bad".length),
      () => this.addSeenInField("X-Bad: a\x01b", "X-Bad: a".length),
      () => this.addSeenInField("Content-Length: 5x", "Content-Length: 5".length),
      () => this.add("broken", "POST", 1, ["Content-Length: 5", "Content-Length: 6"], Buffer.from("hello"), { reason: "ambiguous_length" }),
      () => this.add("broken", "POST", 1, ["Content-Length: 5", "Transfer-Encoding: chunked"], Buffer.from("0\r\n\r\n"), { reason: "ambiguous_length" }),
      () => this.add("broken", "POST", 1, ["Transfer-Encoding: gzip"], Buffer.from("hello"), { reason: "ambiguous_length" }),
      () => this.add("broken", "PUT", 1, ["Transfer-Encoding: chunked"], Buffer.from("5\r\nhello\r\nzz\r\n"), { seenInBody: "5\r\nhello\r\n".length }),
      () => {
        const start = this.length;
        const line = `GET /${"x".repeat(random.int(0, 20))} HTTP/`;
        this.put(`${line}9.1\r\nHost: a\r\n\r\n`);
        this.push({ kind: "broken", start, end: this.length, reason: "malformed", seenAt: start + line.length });
      },
      () => this.addTooLong(),
    ];
    random.pick(kinds)();
  }

  /** A request with one field more, in which a byte must not be. */
  private addSeenInField(field: string, at: number): void {
    const { fieldsAt } = this.add("broken", "GET", 1, [], Buffer.alloc(0), {}, field);
    const item = this.items.pop()!;
    this.items.push({ ...item, seenAt: fieldsAt + at });
  }

  private addTooLong(): void {
    const start = this.length;
    const { maxHeaderBytes } = this.knobs;
    const line = `GET /${this.random.chance(0.5) ? "" : "y".repeat(maxHeaderBytes)} HTTP/1.1\r\n`;
    this.put(`${line}X: ${"z".repeat(maxHeaderBytes)}\r\n\r\n`);
    const lineEnd = line.length <= maxHeaderBytes ? start + line.length : 0;
    this.push({ kind: "broken", start, end: this.length, lineEnd, headEnd: this.length, reason: "header_too_long", seenAt: start + maxHeaderBytes });
  }

  private addForeign(): void {
    const { random } = this;
    const rest = Buffer.from(random.bytes(random.int(1, 300)));
    const kinds: [string, number][] = [
      ["\x16\x03\x01\x01\x00", 1],
      ["\x00\x01garbage", 0],
      ["SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6".length],
      ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 23],
    ];
    const [text, seenAt] = random.pick(kinds);
    this.put(Buffer.concat([Buffer.from(text, "latin1"), rest]));
    this.push({ id: text.startsWith("PRI") ? HTTP2 : "", kind: "foreign", start: 0, end: Infinity, seenAt });
  }

  private add(
    kind: Item["kind"],
    method: string,
    minor: number,
    special: readonly string[],
    body: Buffer,
    { seenInBody, ...known }: Partial<Item> & { seenInBody?: number },
    extra?: string,
  ): { fieldsAt: number } {
    const { random } = this;
    const id = `${this.connection}.${this.items.length}`;
    const start = this.length;
    const lineEnd = kind === "request" && random.chance(0.05) ? "\n" : "\r\n";
    const target = method === "CONNECT" ? "host:443" : random.pick(["/", `/${id}`, "/a?b=c|d", "http://host/x", method === "OPTIONS" ? "*" : "/"]);
    const fields = [...special, `X-Id: ${id}`, "Host: host", ...FIELDS.filter(() => random.chance(0.15))];
    for (let i = fields.length - 1; i > 0; i--) {
      const j = random.int(0, i);
      [fields[i], fields[j]] = [fields[j]!, fields[i]!];
    }
    const end = (text: string) => text.replaceAll("\r\n", lineEnd) + lineEnd;
    const line = end(`${method} ${target} HTTP/1.${minor}`);
    this.put(line);
    const fieldsAt = this.length;
    this.put([...(extra === undefined ? [] : [extra]), ...fields, ""].map(end).join(""));
    const headEnd = this.length;
    this.put(body);
    this.push({
      kind,
      id,
      start,
      end: this.length,
      // What nobody knows as a method is none behind a hole.
      lineEnd: method === "FROB" ? 0 : start + line.length,
      headEnd,
      isIdempotent: IDEMPOTENT.includes(method),
      seenAt: headEnd + (seenInBody ?? -1),
      ...known,
    });
    return { fieldsAt };
  }

  private push(item: Partial<Item> & Pick<Item, "kind" | "start" | "end">): void {
    const none = { id: "", lineEnd: 0, headEnd: item.start, hasLength: false, isIdempotent: false, isLast: false, wantsUpgrade: false, reason: "malformed", seenAt: 0 } as const;
    this.items.push({ ...none, ...item });
  }

  private put(text: string | Buffer): void {
    const bytes = typeof text === "string" ? Buffer.from(text, "latin1") : text;
    this.pieces.push(bytes);
    this.length += bytes.length;
  }
}
