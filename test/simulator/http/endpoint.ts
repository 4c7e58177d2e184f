/**
 * An endpoint that speaks HTTP, as difficult as real ones: it reads requests with its own parser, and responds to them
 * one after the other in every possible way. It also closes, resets, half-closes, and responds early, wrongly or never.
 * Its received and sent bytes are recorded.
 */
import type { SocketEvents } from "../../../src/forward/socket.ts";
import { Random } from "../../support/random.ts";
import { GrowingBytes } from "../recorder.ts";
import { type Harm, SimulatedEndpoint, SimulatedSocket } from "../simulated-endpoint.ts";
import { type ParsedHead, parseHead, wholeLength } from "./request-parser.ts";
import type { HttpScenario } from "./scenario.ts";

/** A request that reached the endpoint, whole or in part. */
export interface Attempt {
  readonly socket: HttpSocket;
  /** Null: its header section is not whole. */
  head: ParsedHead | null;
  /** Its received bytes; all of them once it is whole. */
  bytes: Buffer;
  isWhole: boolean;
  /** It has a response, or the beginning of one, before it is whole. */
  isEarly: boolean;
  /** The program got the final response's status line. */
  isBegun: boolean;
  /** The program got the whole response. */
  isAnswered: boolean;
  /** The response accepted another protocol. */
  isUpgraded: boolean;
}

/** The fault at one of a connection's requests. */
const MISCHIEF = ["before", "within", "malformed", "extra", "silent", "unasked"] as const;
type Mischief = (typeof MISCHIEF)[number];

/** Oddities of a response that clients tolerate. */
interface Dress {
  readonly reason?: string;
  readonly field?: string;
  readonly length?: (length: number) => string[];
  readonly coding?: string[];
  readonly chunks?: (body: string) => string;
  /** The connection must not be used again. */
  readonly isDoubtful?: boolean;
}

const ORDINARY: Dress = {};
const DRESSES: readonly Dress[] = [
  ...["OK", "", "\tOK", " O\x01\x7f\rK"].map((reason) => ({ reason })),
  ...[
    "X y: a",
    "X : a",
    "no colon",
    "<br />",
    "<b>Warning</b>:  in <b>/a.php</b>",
    "X[\xe9]: a",
    "X: a\x01\x7f\rb",
    ": a",
    "X: a\r\n b",
    "X: a\nY: b",
  ].map((field) => ({ field })),
  { length: (length) => [`Content-Length: ${length}`, `Content-Length: ${length}`] },
  { length: (length) => [`Content-Length: ${length}, ${length}`] },
  { length: (length) => [`Content-Length : ${length}`] },
  { length: (length) => [`Content-Length: ${length + 1}`, `Content-Length: ${length}`], isDoubtful: true },
  { length: (length) => ["Transfer-Encoding: identity", `Content-Length: ${length}`], isDoubtful: true },
  { coding: ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"] },
  { coding: ["Transfer-Encoding: gzip,,\tChunked"] },
  ...["  ", "\t", ";", '; a="b', ";\x01", "x"].map((padding) => ({
    chunks: (body: string) => `${body.length.toString(16)}${padding}\r\n${body}\r\n0${padding}\r\n\r\n`,
  })),
  { chunks: (body) => `${body.length.toString(16)}\n${body}\n0\nX : a\nno colon\n\n` },
];

const HTTP2_START = "PRI * HTTP/2.0\r\n";
const NOTHING = Buffer.alloc(0);

const text = (value: string) => Buffer.from(value, "latin1");

export class HttpEndpoint extends SimulatedEndpoint {
  /** All requests that have reached it, in the order of their first bytes. */
  readonly requests: Attempt[] = [];
  /** For later additions, so that seeds keep most of their meaning. */
  readonly odd: Random;

  constructor(
    readonly http: HttpScenario,
    ...rest: ConstructorParameters<typeof SimulatedEndpoint>
  ) {
    super(...rest);
    this.odd = new Random(http.seed ^ 0xd2e55);
  }

  get httpSockets(): HttpSocket[] {
    return this.sockets as HttpSocket[];
  }

  protected override socketFor(events: SocketEvents, harm: Harm): HttpSocket {
    return new HttpSocket(this, events, harm, this.sockets.length);
  }
}

interface Answer {
  readonly bytes: Buffer;
  /** The end of the final response's status line. */
  readonly begunAt: number;
  readonly headEnd: number;
  readonly isPersistent: boolean;
  /** It ends with the connection. */
  readonly isUntilClose: boolean;
}

export class HttpSocket extends SimulatedSocket {
  readonly attempts: Attempt[] = [];
  /** The bytes of another protocol, once it is spoken. */
  bare: GrowingBytes | null = null;
  /** Bytes came when the endpoint had stopped reading. */
  wasMissed = false;
  private unread: Buffer = NOTHING;
  private isServing = false;
  /** The program knows that the endpoint has stopped reading. */
  private isClosing = false;
  /** The endpoint has stopped reading and responding. */
  private hasLeft = false;
  private hasEnded = false;
  private served = 0;
  /** Its response has begun, and ends with the connection. */
  private untilClose: Attempt | null = null;
  private readonly answersMax: number;
  private readonly isAnnounced: boolean;
  private readonly mischief: Mischief | null;
  private readonly mischiefAt: number;
  private readonly http: HttpScenario;

  constructor(
    protected override readonly endpoint: HttpEndpoint,
    events: SocketEvents,
    harm: Harm,
    index: number,
  ) {
    super(endpoint, events, harm, index);
    const { random, http } = endpoint;
    this.http = http;
    this.answersMax = random.chance(http.closing) ? random.int(1, 4) : Infinity;
    this.isAnnounced = random.chance(0.5);
    this.mischief = http.isDown ? "before" : random.chance(http.mischief) ? random.pick(MISCHIEF) : null;
    this.mischiefAt = http.isDown ? 1 : random.int(1, 4);
  }

  override begin(): void {
    const { random } = this.endpoint;
    if (this.mayDieSoon && random.chance(0.5)) this.endpoint.at(random.int(0, 300), () => this.harmNow());
  }

  override write(bytes: Uint8Array, offset: number, length: number): number {
    if (this.isClosing && this.partial === null)
      throw new Error(`connection ${this.index} is to be closed, and gets another request`);
    const taken = super.write(bytes, offset, length);
    if (taken < 0 || (taken > 0 && this.hasLeft)) this.wasMissed = true;
    else if (taken > 0) this.read(Buffer.from(bytes.subarray(offset, offset + taken)));
    return taken;
  }

  override shutdown(): void {
    this.mustBeOpen("shutdown");
    if (this.isShutDown) throw new Error("a second shutdown");
    this.isShutDown = true;
    if (this.harm === "never closed") return;
    const { random } = this.endpoint;
    this.endpoint.at(random.int(0, 100), () => {
      if (random.chance(0.5)) this.sendEnd();
      this.endpoint.at(0, () => this.close(undefined));
    });
  }

  /** The request that has begun and is not whole. */
  get partial(): Attempt | null {
    const last = this.attempts.at(-1);
    return last === undefined || last.isWhole ? null : last;
  }

  private read(bytes: Buffer): void {
    if (this.bare !== null) {
      this.bare.push(bytes);
      return;
    }
    this.unread = Buffer.concat([this.unread, bytes]);
    while (this.unread.length > 0 && this.readRequest());
  }

  /** Returns whether a request was read to its end. */
  private readRequest(): boolean {
    const attempt = this.partial ?? this.newAttempt();
    attempt.bytes = this.unread;
    if (this.attempts.length === 1 && this.unread.subarray(0, HTTP2_START.length).equals(text(HTTP2_START))) {
      this.attempts.length = 0;
      this.endpoint.requests.splice(this.endpoint.requests.indexOf(attempt), 1);
      this.bare = new GrowingBytes();
      this.bare.push(this.unread);
      return false;
    }
    attempt.head ??= parseHead(this.unread);
    if (attempt.head === null) return false;
    const length = wholeLength(this.unread, attempt.head);
    if (length < 0) {
      if (!attempt.isEarly && this.endpoint.random.chance(this.http.early * 0.3)) attempt.isEarly = true;
    } else {
      attempt.isWhole = true;
      attempt.bytes = this.unread.subarray(0, length);
      this.unread = this.unread.subarray(length);
    }
    this.serve();
    return length >= 0;
  }

  private newAttempt(): Attempt {
    const open = this.attempts.filter(({ isAnswered }) => !isAnswered).length;
    if (open >= this.http.pipelineDepth)
      throw new Error(`connection ${this.index} has ${open} unanswered requests, and gets another`);
    const none = {
      head: null,
      bytes: NOTHING,
      isWhole: false,
      isEarly: false,
      isBegun: false,
      isAnswered: false,
      isUpgraded: false,
    };
    const attempt: Attempt = { socket: this, ...none };
    this.attempts.push(attempt);
    this.endpoint.requests.push(attempt);
    return attempt;
  }

  /** Responds to the next request, if allowed. */
  private serve(): void {
    const next = this.attempts.find(({ isAnswered }) => !isAnswered);
    if (this.isServing || this.hasLeft || next === undefined || !(next.isWhole || next.isEarly)) return;
    this.isServing = true;
    this.after(this.http.answerMsMax, () => this.answer(next));
  }

  private answer(attempt: Attempt): void {
    const { random } = this.endpoint;
    this.served++;
    const mischief = this.served === this.mischiefAt ? this.mischief : null;
    const head = attempt.head!;
    if (mischief === "silent") return;
    if (mischief === "before") {
      this.leave();
      return;
    }
    if (mischief === "malformed") {
      this.send(
        text(
          random.pick([
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "hello\r\n\r\n",
            "HTTP/1.1 200 OK\r\nBad: \0\r\n\r\n",
            "\x16\x03\x01",
          ]),
        ),
        () => {},
        () => {},
      );
      return;
    }
    if (mischief === "unasked" && !head.wantsUpgrade) {
      this.send(
        text("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
        () => {},
        () => {},
      );
      return;
    }
    if (head.wantsUpgrade && attempt.isWhole && random.chance(this.http.upgrading)) {
      this.upgrade(attempt);
      return;
    }
    const isLast = this.served >= this.answersMax;
    const answer = this.compose(attempt, isLast);
    const note = (sent: number) => {
      attempt.isBegun = sent >= answer.begunAt;
      if (!answer.isUntilClose) attempt.isAnswered = sent >= answer.bytes.length;
      else if (sent >= answer.headEnd) this.untilClose = attempt;
      if (attempt.isAnswered && !answer.isPersistent) this.isClosing = true;
    };
    if (mischief === "within") {
      const length = random.int(1, answer.bytes.length - 1);
      this.send(answer.bytes.subarray(0, length), note, () => this.leave());
      return;
    }
    // Bytes that come with the response to the only request, and belong to no response.
    const extra =
      mischief === "extra" && this.http.pipelineDepth === 1 && !answer.isUntilClose
        ? text("HTTP/1.1 408 Request Timeout\r\n\r\n")
        : NOTHING;
    this.send(
      Buffer.concat([answer.bytes, extra]),
      note,
      () => {
        if (answer.isUntilClose) this.leave();
        else if (!answer.isPersistent) this.after(10, () => this.leave());
        else this.goOn(isLast || head.closes);
      },
      extra.length,
    );
  }

  private goOn(closes: boolean): void {
    this.isServing = false;
    // A server that closes without an announcement may have read the next request, and does not respond to it.
    if (closes) this.after(30, () => this.leave());
    else this.serve();
  }

  private upgrade(attempt: Attempt): void {
    const isConnect = attempt.head!.method === "CONNECT";
    const bytes = text(
      isConnect
        ? "HTTP/1.1 200 Connection established\r\n\r\n"
        : "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    const note = (sent: number) => {
      if (sent < bytes.length) return;
      attempt.isBegun = attempt.isAnswered = attempt.isUpgraded = true;
      this.bare = new GrowingBytes();
    };
    this.send(bytes, note, () => {
      if (this.endpoint.random.chance(0.5))
        this.send(
          Buffer.from(this.endpoint.random.bytes(20)),
          () => {},
          () => {},
        );
    });
  }

  private compose({ head, isWhole }: Attempt, isLast: boolean): Answer {
    const { random } = this.endpoint;
    const { method, closes, expectsContinue } = head!;
    const isRefusal = method === "CONNECT";
    const code = isRefusal
      ? random.pick([403, 405, 502])
      : random.pick([200, 200, 200, 201, 204, 304, 301, 404, 500, 503]);
    const minor = random.chance(0.9) ? 1 : 0;
    // Announces that it keeps the connection, if either side speaks HTTP/1.0.
    const mustSay = Math.min(minor, head!.minor) === 0;
    const hasNoBody = method === "HEAD" || code === 204 || code === 304;
    const framings = [
      "length",
      "nothing",
      ...(minor === 1 ? ["chunked", "chunked"] : []),
      ...(this.endpoint.random.chance(0.2) ? ["close"] : []),
    ];
    const framing = hasNoBody && random.chance(0.5) ? "bare" : random.pick(framings);
    const body = "x".repeat(random.pick([1, 10, 1000]));
    const isClosing =
      (isLast && this.isAnnounced) || (closes && random.chance(0.7)) || (!isWhole && random.chance(0.5));
    const fields: string[] = [];
    const dress = this.dress();
    if (framing === "length") fields.push(...(dress.length?.(body.length) ?? [`Content-Length: ${body.length}`]));
    if (framing === "nothing") fields.push("Content-Length: 0");
    if (framing === "chunked") fields.push(...(dress.coding ?? ["Transfer-Encoding: chunked"]));
    if (dress.field !== undefined) fields.push(dress.field);
    if (isClosing) fields.push("Connection: close");
    else if (mustSay && random.chance(0.7)) fields.push("Connection: keep-alive");
    const content =
      hasNoBody || framing === "nothing"
        ? ""
        : framing === "chunked"
          ? (dress.chunks?.(body) ?? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
          : body;
    let interim = "";
    if (expectsContinue && random.chance(0.5)) interim += "HTTP/1.1 100 Continue\r\n\r\n";
    while (random.chance(this.http.interim))
      interim += random.pick(["HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n"]);
    const reason = random.pick(["OK", ""]);
    const line = `HTTP/1.${minor} ${code}${dress.reason ?? ` ${reason}`}\r\n`;
    const isUntilClose = framing === "close" && !hasNoBody;
    const section = fields.map((field) => `${field}\r\n`).join("") + "\r\n";
    return {
      bytes: text(`${interim}${line}${section}${content}`),
      begunAt: interim.length + line.length,
      headEnd: interim.length + line.length + section.length,
      isPersistent:
        !isClosing &&
        !isUntilClose &&
        !(framing === "length" && dress.isDoubtful === true) &&
        (!mustSay || fields.includes("Connection: keep-alive")),
      isUntilClose,
    };
  }

  /** The oddity of the next response; mostly none. */
  private dress(): Dress {
    const { odd, http } = this.endpoint;
    return odd.chance(http.dressing) ? odd.pick(DRESSES) : ORDINARY;
  }

  /**
   * Sends bytes in pieces; one piece has the last `together` bytes and the one before them. `note` gets the number of
   * sent bytes before the program gets them.
   */
  private send(bytes: Buffer, note: (sent: number) => void, then: () => void, together = 0): void {
    const { random } = this.endpoint;
    const cuts = new Set(
      Array.from({ length: random.pick([0, 0, 1, 3]) }, () => random.int(1, Math.max(1, bytes.length - 1 - together))),
    );
    const ends = [...cuts, bytes.length].filter((end) => end <= bytes.length).toSorted((a, b) => a - b);
    let sent = 0;
    const step = () => {
      if (this.isOver || this.hasLeft) return;
      const end = ends.shift()!;
      note(end);
      this.responseBytes += end - sent;
      const piece = Buffer.from(bytes.subarray(sent, end));
      sent = end;
      if (piece.length > 0) this.events.received(piece);
      if (ends.length > 0) this.after(this.http.answerMsMax / 4, step);
      else if (!this.isOver && !this.hasLeft) then();
    };
    step();
  }

  private leave(): void {
    const how = this.endpoint.random.pick(["closed", "reset", "half", "half"] as const);
    this.hasLeft = true;
    if (how === "half") this.sendEnd();
    else this.die(how === "reset" && this.untilClose === null);
  }

  private sendEnd(): void {
    if (this.isOver || this.hasEnded) return;
    this.hasEnded = true;
    this.endAnswer();
    this.events.ended();
  }

  protected override close(error: Error | undefined): void {
    if (error === undefined && !this.isTerminated && !this.isClosed) this.endAnswer();
    super.close(error);
  }

  private endAnswer(): void {
    if (this.untilClose !== null) this.untilClose.isAnswered = true;
  }

  private after(msMax: number, act: () => void): void {
    this.endpoint.at(msMax * this.endpoint.random.next(), () => {
      if (!this.isOver && !this.hasLeft) act();
    });
  }
}
