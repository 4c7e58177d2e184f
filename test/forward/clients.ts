/** Several mirrored connections of --mode http, on one clock, which is also the capture's. */
import { Comparison } from "../../src/compare/comparison.ts";
import { Ignored } from "../../src/compare/ignore.ts";
import { HttpMode } from "../../src/forward/http-mode.ts";
import type { HttpOptions } from "../../src/forward/http-options.ts";
import type { StreamConsumer } from "../../src/flow/stream.ts";
import { Redactor } from "../../src/redact/redactor.ts";
import { USUAL } from "../support/usual.ts";
import { Scripted, type ScriptedSocket } from "./scripted.ts";

const COMPARED = { maxCompareBytes: 1 << 20, share: 1, hasControl: false, endpointIsFile: false, wantsLines: false };
const NUMBERS = { clientStart: 0, clientNext: 0, clientAcknowledged: null, serverNext: 0, serverAcknowledged: null };

export interface ClientsOptions extends Partial<HttpOptions> {
  bufferBytes?: number;
  /** The number of further destinations, and the memory of each. */
  further?: number;
  furtherBytes?: number;
}

export class Clients extends Scripted {
  readonly mode: HttpMode;
  /** The destinations beside the endpoint, on the same clock. */
  readonly further: readonly Scripted[];
  /** Null: responses are not compared. */
  readonly comparison: Comparison | null;

  constructor({ bufferBytes, further = 0, furtherBytes = 1 << 24, ...http }: ClientsOptions = {}, compares = false) {
    super(bufferBytes === undefined ? {} : { bufferBytes });
    this.further = Array.from({ length: further }, () => new Scripted({ bufferBytes: furtherBytes }));
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
    const others = this.further.map(({ destination }) => destination);
    this.mode = new HttpMode(this.destination, options, { foreign() {} }, this, others, this.comparison);
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
    this.mode.flushFurther();
  }

  override pass(ms: number): void {
    super.pass(ms);
    for (const each of this.further) each.pass(ms);
    this.mode.advance();
    this.settle();
  }

  get requests() {
    return this.counters.requests;
  }
}
