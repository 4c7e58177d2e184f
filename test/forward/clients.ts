/** Several mirrored connections of --mode http, on one clock, which is the capture's as well. */
import { Comparison } from "../../src/compare/comparison.ts";
import { Ignored } from "../../src/compare/ignore.ts";
import { HttpMode } from "../../src/forward/http-mode.ts";
import type { HttpOptions } from "../../src/forward/http-options.ts";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { USUAL } from "../support/usual.ts";
import { Scripted, type ScriptedSocket } from "./scripted.ts";

const COMPARED = { maxCompareBytes: 1 << 20, share: 1, hasControl: false, wantsLines: false };
const NUMBERS = { clientStart: 0, clientNext: 0, clientAcknowledged: null, serverNext: 0, serverAcknowledged: null };

export class Clients extends Scripted {
  readonly mode: HttpMode;
  /** Null: responses are not compared. */
  readonly comparison: Comparison | null;

  constructor({ bufferBytes, ...http }: Partial<HttpOptions> & { bufferBytes?: number } = {}, compares = false) {
    super(bufferBytes === undefined ? {} : { bufferBytes });
    const usual = {
      pipelineDepth: 1,
      maxWaitingRequests: 128,
      maxRequestBytes: 1 << 20,
      maxHeaderBytes: 65_536,
      responseTimeoutMs: 30_000,
    };
    const { memory } = this.destination;
    this.comparison = compares ? new Comparison(COMPARED, new Ignored([]), new Redactor([]), memory, this) : null;
    const options = { ...USUAL, ...usual, ...http };
    this.mode = new HttpMode(this.destination, options, { foreign() {} }, this, [], this.comparison);
  }

  open(hasSyn = true): StreamConsumer {
    return this.mode.open({ identity: new Int32Array(9), hasSyn, numbers: NUMBERS });
  }

  take(client: StreamConsumer, text: string): void {
    this.mode.advance();
    client.data(new TextEncoder().encode(text), 0, text.length, this.nowMs);
  }

  say(client: StreamConsumer, text: string): void {
    this.take(client, text);
    this.settle();
  }

  respond(socket: ScriptedSocket, text: string): void {
    socket.events.received(new TextEncoder().encode(text));
    this.settle();
  }

  settle(): void {
    this.mode.flush();
    this.destination.flush();
  }

  override pass(ms: number): void {
    super.pass(ms);
    this.mode.advance();
    this.settle();
  }

  get requests() {
    return this.counters.requests;
  }
}
